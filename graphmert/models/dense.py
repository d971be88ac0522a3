"""From the fixed-width tensors of a chain graph to what the encoder reads.

Legend: B windows, R roots (128), L leaves per root (7), N = R * (1 + L) nodes (1024), E = R * L
edges (896), K relations (12).
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from graph_builder.layout import ChainLayout
from graphmert.models.inputs import KNOWLEDGE_LEAF, GraphInputs


def dense_graph_inputs(
    input_ids: Tensor,
    attention_mask: Tensor,
    token_type_ids: Tensor,
    graph_structure: Tensor,
    relation_ids: Tensor,
    *,
    head_starts: Tensor | None,
    head_lengths: Tensor | None,
    is_knowledge: Tensor | None,
    layout: ChainLayout,
    num_relations: int,
) -> GraphInputs:
    """Return one row of N tokens and one edge for each slot, E of them, for each window.

    `input_ids`, `attention_mask`, `token_type_ids` are (B, N), the rest (B, R, L). A slot without
    a head (none given, or -1) has its own root as head; without `is_knowledge` all leaves are
    local. Raises ValueError for a shape or a value that the layout does not have.
    """
    _check(input_ids, graph_structure, relation_ids, layout, num_relations)
    num_windows, device = len(input_ids), input_ids.device
    roots = torch.arange(layout.num_roots, device=device)
    slots = torch.arange(layout.leaves_per_root, device=device)
    owners = roots.repeat_interleave(layout.leaves_per_root)  # (E,)
    root_index = torch.cat([roots, owners])  # (N,)
    leaf_slot = torch.cat([torch.full_like(roots, -1), slots.repeat(layout.num_roots)])
    relations = relation_ids.reshape(num_windows, -1).long()
    edge_root = owners.expand(num_windows, -1)
    head_start, head_length = _heads(edge_root, head_starts, head_lengths)
    return GraphInputs(
        input_ids=input_ids.long(),
        position_ids=torch.arange(layout.num_nodes, device=device).expand(num_windows, -1),
        token_type_ids=_token_types(token_type_ids, graph_structure, is_knowledge),
        window_index=attention_mask.long().clamp(0, 1) - 1,
        root_index=root_index.expand(num_windows, -1),
        leaf_slot=leaf_slot.expand(num_windows, -1),
        edge_leaf=graph_structure.reshape(num_windows, -1).long(),
        edge_root=edge_root,
        edge_head_start=head_start,
        edge_head_length=head_length,
        edge_relation=torch.where(relations < 0, num_relations, relations),
    )


def _token_types(
    token_type_ids: Tensor, graph_structure: Tensor, is_knowledge: Tensor | None
) -> Tensor:
    """Return (B, N) types, in which leaves that slots of knowledge feed have one of their own."""
    types = token_type_ids.long()
    if is_knowledge is None:
        return types
    leaves = graph_structure.flatten(1).long()
    is_fed = is_knowledge.flatten(1).bool() & (leaves >= 0)  # (B, E)
    # Slots that feed nothing write to a place past the end.
    places = torch.where(is_fed, leaves, types.shape[1])
    return F.pad(types, (0, 1)).scatter(1, places, KNOWLEDGE_LEAF)[:, :-1]


def _heads(
    edge_root: Tensor, head_starts: Tensor | None, head_lengths: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return first token and length of each edge's head, (B, E) each."""
    if head_starts is None or head_lengths is None:
        return edge_root, torch.ones_like(edge_root)
    starts = head_starts.reshape(edge_root.shape).long()
    lengths = head_lengths.reshape(edge_root.shape).long()
    is_given = (starts >= 0) & (lengths > 0)
    return torch.where(is_given, starts, edge_root), torch.where(is_given, lengths, 1)


def _check(
    input_ids: Tensor,
    graph_structure: Tensor,
    relation_ids: Tensor,
    layout: ChainLayout,
    num_relations: int,
) -> None:
    """Refuse what would be read as something else further on."""
    if input_ids.ndim != 2 or input_ids.shape[1] != layout.num_nodes:
        raise ValueError(
            f"input_ids has shape {tuple(input_ids.shape)}; "
            f"this layout needs (batch, {layout.num_nodes})"
        )
    wanted = (len(input_ids), layout.num_roots, layout.leaves_per_root)
    for name, tensor in (("graph_structure", graph_structure), ("relation_ids", relation_ids)):
        if tensor.shape != wanted:
            raise ValueError(f"{name} has shape {tuple(tensor.shape)}; {wanted} is needed")
    is_leaf = (graph_structure >= layout.num_roots) & (graph_structure < layout.num_nodes)
    if not bool((is_leaf | (graph_structure == -1)).all()):
        wrong = graph_structure[~is_leaf & (graph_structure != -1)][0]
        raise ValueError(
            f"graph_structure holds {int(wrong)}; a leaf's position is "
            f"{layout.num_roots} to {layout.num_nodes - 1}, and -1 is none"
        )
    if int(relation_ids.max()) >= num_relations:
        raise ValueError(
            f"relation_ids holds {int(relation_ids.max())}; the model knows 0 to "
            f"{num_relations - 1}, and -1 is masked or none"
        )
