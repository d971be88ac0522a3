"""H-GAT: what a leaf takes from its triple's head, through its relation (arXiv 2510.09580).

Legend: B rows, N tokens of a row, C hidden size, E edges of all rows together, J tokens of the
longest head, K relations.
For a leaf t and its head's tokens h_j: t' = t + sum_j alpha_j W_r h_j with
alpha = softmax_j LeakyReLU(a_r . [W_r t, W_r h_j]).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graphmert.models.configuration import GraphMERTConfig
from graphmert.models.dropout import Dropout
from graphmert.models.inputs import EdgeRuns, GraphInputs


@dataclass(frozen=True)
class FlatEdges:
    """The edges of a batch, sorted by relation; tokens are counted over all rows."""

    leaves: Tensor  # (E,) token
    head_tokens: Tensor  # (E, J) tokens; any token where is_head is False
    is_head: Tensor  # (E, J) bool
    relations: Tensor  # (E,) ascending
    run_lengths: Sequence[int]  # (K + 1,) edges of each relation, on the host


def flat_edges(inputs: GraphInputs, num_relations: int) -> FlatEdges:
    """Return the edges whose leaf is visible. Hidden tokens of a head do not count.

    `num_relations` counts the masked one. A GPU is waited for unless `edge_runs` stands in the
    inputs.
    """
    if inputs.edge_runs is not None:
        return _sorted_edges(inputs, inputs.edge_runs)
    num_rows, row_length = inputs.input_ids.shape
    is_visible = (inputs.window_index >= 0).view(-1)  # (B * N,)
    first = torch.arange(num_rows, device=is_visible.device)[:, None] * row_length  # (B, 1)
    leaves = first + inputs.edge_leaf.clamp(min=0)
    rows, columns = ((inputs.edge_leaf >= 0) & is_visible[leaves]).nonzero(as_tuple=True)
    order = inputs.edge_relation[rows, columns].argsort(stable=True)
    rows, columns = rows[order], columns[order]

    lengths = inputs.edge_head_length[rows, columns]
    longest = int(lengths.max()) if len(lengths) else 1
    steps = torch.arange(longest, device=rows.device)
    head_tokens = inputs.edge_head_start[rows, columns, None] + steps  # (E, J)
    is_head = (steps < lengths[:, None]) & (head_tokens < row_length)
    head_tokens = first[rows] + head_tokens.clamp(0, row_length - 1)
    relations = inputs.edge_relation[rows, columns]
    return FlatEdges(
        leaves=leaves[rows, columns],
        head_tokens=head_tokens,
        is_head=is_head & is_visible[head_tokens],
        relations=relations,
        run_lengths=torch.bincount(relations, minlength=num_relations).tolist(),
    )


def _sorted_edges(inputs: GraphInputs, runs: EdgeRuns) -> FlatEdges:
    """Return the edges of one row as they stand."""
    steps = torch.arange(runs.longest_head, device=inputs.edge_leaf.device)
    head_tokens = inputs.edge_head_start[0, :, None] + steps  # (E, J)
    is_head = steps < inputs.edge_head_length[0, :, None]
    return FlatEdges(
        leaves=inputs.edge_leaf[0],
        head_tokens=head_tokens.where(is_head, inputs.edge_head_start[0, :, None]),
        is_head=is_head,
        relations=inputs.edge_relation[0],
        run_lengths=runs.lengths,
    )


class HGAT(nn.Module):
    """One transform W_r and one attention vector a_r for each relation, and for a masked one."""

    def __init__(self, config: GraphMERTConfig) -> None:
        super().__init__()
        num_transforms, width = config.num_relations + 1, config.hidden_size
        self.transform = nn.Parameter(torch.empty(num_transforms, width, width))  # W_r: (out, in)
        self.attend_leaf = nn.Parameter(torch.empty(num_transforms, width))  # a_r, first half
        self.attend_head = nn.Parameter(torch.empty(num_transforms, width))  # a_r, second half
        self.dropout = Dropout(config.hgat_dropout)

    def forward(self, hidden: Tensor, inputs: GraphInputs) -> Tensor:
        """Return the embeddings with every edge's term added to its leaf, (B, N, C)."""
        edges = flat_edges(inputs, len(self.transform))
        flat = hidden.reshape(-1, hidden.shape[-1])  # (B * N, C)
        # As embedding look-ups, since the gradient of plain indexing adds up in no fixed order.
        leaves = F.embedding(edges.leaves, flat)  # (E, C)
        heads = F.embedding(edges.head_tokens, flat)  # (E, J, C)
        weights = self._head_weights(leaves, heads, edges).to(heads.dtype)
        # W_r is linear, so it is applied once, to the weighted sum; dropout falls on W_r h_j all
        # the same, with one mask for all tokens of a head.
        pooled = (weights[:, None] @ heads).squeeze(1)  # (E, C)
        terms = self.dropout(self._transform(pooled, edges.run_lengths))
        return flat.index_add(0, edges.leaves, terms.to(flat.dtype)).view_as(hidden)

    def _head_weights(self, leaves: Tensor, heads: Tensor, edges: FlatEdges) -> Tensor:
        """Return alpha, (E, J); zero for a head that is hidden altogether.

        a . W x = (a W) . x, so each relation's vector meets its W once, not once an edge.
        """
        by_leaf = torch.einsum("rc,rcd->rd", self.attend_leaf, self.transform)  # (K + 1, C)
        by_head = torch.einsum("rc,rcd->rd", self.attend_head, self.transform)
        by_leaf, by_head = (F.embedding(edges.relations, v) for v in (by_leaf, by_head))  # (E, C)
        leaf_scores = (leaves * by_leaf).sum(-1)  # (E,)
        head_scores = (heads @ by_head[:, :, None].to(heads.dtype)).squeeze(-1)  # (E, J)
        scores = F.leaky_relu(leaf_scores[:, None] + head_scores)  # (E, J)
        scores = scores.masked_fill(~edges.is_head, torch.finfo(scores.dtype).min)
        return scores.softmax(dim=-1) * edges.is_head

    def _transform(self, pooled: Tensor, run_lengths: Sequence[int]) -> Tensor:
        """Return W_r x for each edge, (E, C): one product for each relation's run of edges."""
        runs = zip(pooled.split(list(run_lengths)), self.transform, strict=True)
        return torch.cat([F.linear(run, weight) for run, weight in runs])
