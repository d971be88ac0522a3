"""From a masked ragged batch to rows of real tokens, as the model reads them.

Legend: W windows, R roots, F leaves, T triples of the batch; B rows of N tokens, E edges a row,
M labelled roots, M' labelled leaves. A window is never cut: its roots stand in order, then its
visible leaves, or the facts as text. Hidden leaves take no place at all.
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from graphmert.data.fact_text import fact_tokens
from graphmert.data.windows import RaggedBatch
from graphmert.models.inputs import KNOWLEDGE_LEAF, LEAF, ROOT, GraphInputs
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
    tail_tokens: Tensor  # (M',) place of each labelled leaf in the flat rows
    tail_labels: Tensor  # (M',) token ids

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
            tail_labels=torch.full_like(self.tail_labels, NO_LABEL),
        )


def pack(batch: RaggedBatch, masked: MaskedBatch, row_length: int | None = None) -> PackedRows:
    """Put each window in a row of its own, as long as the longest (`row_length` None), or several
    in rows of `row_length` tokens: in order, a new row where the next window does not fit.

    Raises ValueError for a window longer than `row_length`.
    """
    return _pack(batch, masked, _followers(batch, masked), row_length)


def pack_one_row(batch: RaggedBatch, masked: MaskedBatch) -> PackedRows:
    """Put all windows in one row, in order, and say where each starts."""
    followers = _followers(batch, masked)
    rows = _pack(batch, masked, followers, len(batch.root_ids) + len(followers.ids))
    lengths = torch.bincount(rows.inputs.window_index.flatten(), minlength=batch.num_windows)
    starts = F.pad(lengths.cumsum(0), (1, 0))
    return replace(rows, inputs=replace(rows.inputs, window_starts=starts))


def _pack(
    batch: RaggedBatch, masked: MaskedBatch, followers: "_Followers", row_length: int | None
) -> PackedRows:
    places = _place(batch, followers, row_length)
    triples = batch.leaf_triples[followers.leaves]
    mlm_roots = (masked.mlm_labels != NO_LABEL).nonzero().flatten()
    tails, tail_labels = _labelled_leaves(masked, followers.leaves)
    return PackedRows(
        inputs=_graph_inputs(batch, masked, followers, places),
        mlm_tokens=places.roots[mlm_roots],
        mlm_roots=mlm_roots,
        mlm_labels=masked.mlm_labels[mlm_roots],
        relation_labels=places.spread_edges(masked.relation_labels[triples], NO_LABEL),
        edge_triples=places.spread_edges(triples, -1),
        tail_tokens=places.followers[tails],
        tail_labels=tail_labels,
    )


@dataclass(frozen=True)
class _Followers:
    """What stands after a window's roots, window by window: F' visible leaves, or facts as text."""

    windows: Tensor  # (F',)
    ids: Tensor  # (F',)
    position_ids: Tensor  # (F',)
    root_index: Tensor  # (F',)
    leaf_slot: Tensor  # (F',) -1: no leaf
    token_types: Tensor  # (F',) as in GraphInputs
    leaves: Tensor  # (F',) index into F; empty for text


def _followers(batch: RaggedBatch, masked: MaskedBatch) -> _Followers:
    if batch.fact_words is not None:
        text = fact_tokens(batch, masked)
        return _Followers(
            windows=text.windows,
            ids=text.ids,
            position_ids=text.root_index,
            root_index=text.root_index,
            leaf_slot=torch.full_like(text.ids, -1),
            token_types=torch.full_like(text.ids, ROOT),
            leaves=text.ids[:0],
        )
    leaves = (~masked.leaf_is_hidden).nonzero().flatten()
    slots, owner_index = batch.leaf_slots[leaves], batch.root_index[batch.leaf_roots[leaves]]
    layout = batch.layout
    is_knowledge = batch.triple_is_knowledge[batch.leaf_triples[leaves]]
    return _Followers(
        windows=batch.leaf_windows[leaves],
        ids=masked.leaf_input_ids[leaves],
        position_ids=layout.num_roots + layout.leaves_per_root * owner_index + slots,
        root_index=owner_index,
        leaf_slot=slots,
        token_types=torch.where(is_knowledge, KNOWLEDGE_LEAF, LEAF),
        leaves=leaves,
    )


def _labelled_leaves(masked: MaskedBatch, leaves: Tensor) -> tuple[Tensor, Tensor]:
    """Return which of the visible leaves have a label, and the labels, (M',) each."""
    if masked.leaf_labels is None:
        return leaves[:0], leaves[:0]
    labels = masked.leaf_labels[leaves]
    tails = (labels != NO_LABEL).nonzero().flatten()
    return tails, labels[tails]


@dataclass(frozen=True)
class _Places:
    """Where tokens and edges stand. A visible leaf is one edge, text is none."""

    num_rows: int  # B
    row_length: int  # N
    edges_per_row: int  # E
    roots: Tensor  # (R,) in the flat (B * N) rows
    followers: Tensor  # (F',) likewise
    edges: Tensor  # (edges,) in the flat (B * E) edges

    def spread_tokens(self, of_roots: Tensor, of_followers: Tensor, nothing: int) -> Tensor:
        """Return (B, N): values of roots and followers at their places, `nothing` elsewhere."""
        flat = of_roots.new_full((self.num_rows * self.row_length,), nothing)
        flat[self.roots], flat[self.followers] = of_roots, of_followers
        return flat.view(self.num_rows, self.row_length)

    def spread_edges(self, values: Tensor, nothing: int) -> Tensor:
        """Return (B, E): values of edges at their places, `nothing` elsewhere."""
        flat = values.new_full((self.num_rows * self.edges_per_row,), nothing)
        flat[self.edges] = values
        return flat.view(self.num_rows, self.edges_per_row)


def _place(batch: RaggedBatch, followers: _Followers, row_length: int | None) -> _Places:
    windows = followers.windows
    num_roots = torch.bincount(batch.root_windows, minlength=batch.num_windows)
    num_followers = torch.bincount(windows, minlength=batch.num_windows)
    rows, offsets, row_length = _rows_of_windows(num_roots + num_followers, row_length)
    num_rows = int(rows[-1]) + 1 if len(rows) else 0
    firsts = rows * row_length + offsets  # (W,)
    order = torch.arange(len(windows), device=windows.device)
    ranks = order - (num_followers.cumsum(0) - num_followers)[windows]
    edge_rows = rows[batch.leaf_windows[followers.leaves]]
    num_edges = torch.bincount(edge_rows, minlength=num_rows)
    edge_ranks = order[: len(edge_rows)] - (num_edges.cumsum(0) - num_edges)[edge_rows]
    edges_per_row = int(num_edges.max()) if num_rows else 0
    return _Places(
        num_rows=num_rows,
        row_length=row_length,
        edges_per_row=edges_per_row,
        roots=firsts[batch.root_windows] + batch.root_index,
        followers=(firsts + num_roots)[windows] + ranks,
        edges=edge_rows * edges_per_row + edge_ranks,
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
    batch: RaggedBatch, masked: MaskedBatch, followers: _Followers, places: _Places
) -> GraphInputs:
    owners, triples = batch.leaf_roots[followers.leaves], batch.leaf_triples[followers.leaves]
    no_slot = torch.full_like(batch.root_index, -1)
    in_row = places.roots % max(1, places.row_length)
    edge_leaf = places.followers[: len(followers.leaves)] % max(1, places.row_length)
    return GraphInputs(
        input_ids=places.spread_tokens(masked.root_input_ids, followers.ids, 0),
        position_ids=places.spread_tokens(batch.root_index, followers.position_ids, 0),
        token_type_ids=places.spread_tokens(
            torch.full_like(no_slot, ROOT), followers.token_types, ROOT
        ),
        window_index=places.spread_tokens(batch.root_windows, followers.windows, -1),
        root_index=places.spread_tokens(batch.root_index, followers.root_index, 0),
        leaf_slot=places.spread_tokens(no_slot, followers.leaf_slot, -1),
        edge_leaf=places.spread_edges(edge_leaf, -1),
        edge_root=places.spread_edges(in_row[owners], 0),
        edge_head_start=places.spread_edges(in_row[batch.triple_head_starts[triples]], 0),
        edge_head_length=places.spread_edges(batch.triple_head_lengths[triples], 1),
        edge_relation=places.spread_edges(masked.relation_inputs[triples], 0),
    )
