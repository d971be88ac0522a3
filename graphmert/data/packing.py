"""From a masked ragged batch to rows of real tokens, as the model reads them.

Legend: W windows, R roots, F leaves, T triples of the batch; B rows of N tokens, E edges a row,
M labelled roots. A window is never cut: its roots stand in order, then its visible leaves. Hidden
leaves take no place at all.
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from graphmert.data.windows import RaggedBatch
from graphmert.models.inputs import GraphInputs
from graphmert.training.losses import NO_LABEL
from graphmert.training.masking import MaskedBatch


@dataclass(frozen=True)
class PackedRows:
    """What the model reads, and where its answers are asked for."""

    inputs: GraphInputs
    mlm_tokens: Tensor  # (M,) place of each labelled root in the flat (B * N) rows
    mlm_roots: Tensor  # (M,) the same root, index into R
    mlm_labels: Tensor  # (M,) token ids
    relation_labels: Tensor  # (B, E) 0 .. K - 1, NO_LABEL where nothing is asked
    edge_triples: Tensor  # (B, E) index into T; -1 no edge

    def to(self, device: torch.device | str) -> Self:
        tensors = {
            name: value.to(device)
            for name, value in vars(self).items()
            if isinstance(value, Tensor)
        }
        return replace(self, inputs=self.inputs.to(device), **tensors)

    def without_labels(self) -> Self:
        """Return the same rows with nothing asked of them."""
        return replace(
            self,
            mlm_labels=torch.full_like(self.mlm_labels, NO_LABEL),
            relation_labels=torch.full_like(self.relation_labels, NO_LABEL),
        )


def pack(batch: RaggedBatch, masked: MaskedBatch, row_length: int | None = None) -> PackedRows:
    """Put each window in a row of its own, as long as the longest (`row_length` None), or several
    in rows of `row_length` tokens: in order, a new row where the next window does not fit.

    Raises ValueError for a window longer than `row_length`.
    """
    leaves = (~masked.leaf_is_hidden).nonzero().flatten()
    places = _place(batch, leaves, row_length)
    triples = batch.leaf_triples[leaves]
    mlm_roots = (masked.mlm_labels != NO_LABEL).nonzero().flatten()
    return PackedRows(
        inputs=_graph_inputs(batch, masked, leaves, places),
        mlm_tokens=places.roots[mlm_roots],
        mlm_roots=mlm_roots,
        mlm_labels=masked.mlm_labels[mlm_roots],
        relation_labels=places.spread_edges(masked.relation_labels[triples], NO_LABEL),
        edge_triples=places.spread_edges(triples, -1),
    )


@dataclass(frozen=True)
class _Places:
    """Where tokens and edges stand. F' visible leaves, each of them one edge."""

    num_rows: int  # B
    row_length: int  # N
    edges_per_row: int  # E
    roots: Tensor  # (R,) in the flat (B * N) rows
    leaves: Tensor  # (F',) likewise
    edges: Tensor  # (F',) in the flat (B * E) edges

    def spread_tokens(self, of_roots: Tensor, of_leaves: Tensor, nothing: int) -> Tensor:
        """Return (B, N): values of roots and leaves at their places, `nothing` elsewhere."""
        flat = of_roots.new_full((self.num_rows * self.row_length,), nothing)
        flat[self.roots], flat[self.leaves] = of_roots, of_leaves
        return flat.view(self.num_rows, self.row_length)

    def spread_edges(self, values: Tensor, nothing: int) -> Tensor:
        """Return (B, E): values of edges at their places, `nothing` elsewhere."""
        flat = values.new_full((self.num_rows * self.edges_per_row,), nothing)
        flat[self.edges] = values
        return flat.view(self.num_rows, self.edges_per_row)


def _place(batch: RaggedBatch, leaves: Tensor, row_length: int | None) -> _Places:
    windows = batch.leaf_windows[leaves]
    num_roots = torch.bincount(batch.root_windows, minlength=batch.num_windows)
    num_leaves = torch.bincount(windows, minlength=batch.num_windows)
    rows, offsets, row_length = _rows_of_windows(num_roots + num_leaves, row_length)
    num_rows = int(rows[-1]) + 1 if len(rows) else 0
    firsts = rows * row_length + offsets  # (W,)
    order = torch.arange(len(leaves), device=leaves.device)
    leaf_ranks = order - (num_leaves.cumsum(0) - num_leaves)[windows]
    num_edges = torch.bincount(rows[windows], minlength=num_rows)
    edge_ranks = order - (num_edges.cumsum(0) - num_edges)[rows[windows]]
    edges_per_row = int(num_edges.max()) if num_rows else 0
    return _Places(
        num_rows=num_rows,
        row_length=row_length,
        edges_per_row=edges_per_row,
        roots=firsts[batch.root_windows] + batch.root_index,
        leaves=(firsts + num_roots)[windows] + leaf_ranks,
        edges=rows[windows] * edges_per_row + edge_ranks,
    )


def _rows_of_windows(num_tokens: Tensor, row_length: int | None) -> tuple[Tensor, Tensor, int]:
    """Return for each window (W,) its row and where it starts there, and the length of rows."""
    longest = int(num_tokens.max()) if len(num_tokens) else 0
    if row_length is None:
        rows = torch.arange(len(num_tokens), device=num_tokens.device)
        return rows, torch.zeros_like(rows), longest
    if longest > row_length:
        raise ValueError(f"a window of {longest} tokens does not fit a row of {row_length}")
    ends = num_tokens.cumsum(0)
    firsts = [0]  # first window of each row: one jump a row, not one step a window
    while firsts[-1] < len(ends):
        limit = (ends[firsts[-1]] - num_tokens[firsts[-1]]) + row_length
        firsts.append(int(torch.searchsorted(ends, limit, right=True)))
    sizes = torch.tensor(firsts, device=ends.device).diff()
    rows = torch.repeat_interleave(sizes)
    starts = ends - num_tokens
    return rows, starts - starts[torch.tensor(firsts[:-1], device=ends.device)][rows], row_length


def _graph_inputs(
    batch: RaggedBatch, masked: MaskedBatch, leaves: Tensor, places: _Places
) -> GraphInputs:
    layout, owners = batch.layout, batch.leaf_roots[leaves]
    triples, slots = batch.leaf_triples[leaves], batch.leaf_slots[leaves]
    owner_index = batch.root_index[owners]
    leaf_positions = layout.num_roots + layout.leaves_per_root * owner_index + slots
    no_slot = torch.full_like(batch.root_index, -1)
    in_row = places.roots % max(1, places.row_length)
    return GraphInputs(
        input_ids=places.spread_tokens(masked.root_input_ids, masked.leaf_input_ids[leaves], 0),
        position_ids=places.spread_tokens(batch.root_index, leaf_positions, 0),
        token_type_ids=places.spread_tokens(no_slot + 1, torch.ones_like(leaves), 0),
        window_index=places.spread_tokens(batch.root_windows, batch.leaf_windows[leaves], -1),
        root_index=places.spread_tokens(batch.root_index, owner_index, 0),
        leaf_slot=places.spread_tokens(no_slot, slots, -1),
        edge_leaf=places.spread_edges(places.leaves % max(1, places.row_length), -1),
        edge_root=places.spread_edges(in_row[owners], 0),
        edge_head_start=places.spread_edges(in_row[batch.triple_head_starts[triples]], 0),
        edge_head_length=places.spread_edges(batch.triple_head_lengths[triples], 1),
        edge_relation=places.spread_edges(masked.relation_inputs[triples], 0),
    )
