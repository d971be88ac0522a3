"""Rows of many updates, masked and packed at once, then cut without asking the device anything.

Legend: U updates of a round, W their windows together, T tokens, E edges, M labelled roots, K
relations. On a GPU every look at a number makes the host wait for all that is queued. So a round
of updates is masked and packed as one row, their sizes are fetched in one transfer, and each
update is a slice of that row: only (1, T) tensors whose sizes the host knows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from graphmert.data.packing import PackedRows, pack_one_row
from graphmert.data.windows import WindowTable
from graphmert.models.inputs import EdgeRuns, GraphInputs
from graphmert.training.losses import NO_LABEL
from graphmert.training.masking import MaskSettings, mask_batch

# Rows and labels are padded to multiples of these, so that sizes recur.
TOKEN_MULTIPLE, LABEL_MULTIPLE = 1024, 256
PADDING_RANGE = 128  # tokens: no longer than windows, since a range is one program's work
TOKEN_NAMES = (
    "input_ids",
    "position_ids",
    "token_type_ids",
    "window_index",
    "root_index",
    "leaf_slot",
)
EDGE_NAMES = ("edge_leaf", "edge_root", "edge_head_start", "edge_head_length", "edge_relation")
TOKEN_PADDING = {"window_index": -1, "leaf_slot": -1}  # the rest is padded with 0


@dataclass(frozen=True)
class UpdateSizes:
    """How many windows, tokens, labelled roots and leaves, and edges of each relation an update
    has."""

    num_windows: int
    num_tokens: int
    num_labels: int
    num_tails: int
    relation_lengths: tuple[int, ...]  # (K + 1,)

    @property
    def num_edges(self) -> int:
        return sum(self.relation_lengths)


def packed_updates(
    table: WindowTable,
    updates: Sequence[Tensor],
    masks: MaskSettings,
    seed: int,
    epoch: int,
    vocab_size: int,
) -> Iterator[PackedRows]:
    """Yield one row for each of `updates` (indices of windows), on the device of `table`."""
    windows = torch.cat(list(updates))
    batch = table.batch(windows)
    masked = mask_batch(batch, masks, seed, epoch, vocab_size)
    rows = pack_one_row(batch, masked)
    num_windows = torch.tensor([len(each) for each in updates])
    rows, starts, sizes, longest_head = _sort_edges(rows, num_windows, masks.num_relations)
    first = _Place(0, 0, 0, 0, 0)
    for each in sizes:
        yield _cut(rows, starts, first, each, longest_head)
        first = first.after(each)


@dataclass(frozen=True)
class _Place:
    """Where an update starts in the round."""

    window: int
    token: int
    label: int
    tail: int
    edge: int

    def after(self, sizes: UpdateSizes) -> "_Place":
        return _Place(
            self.window + sizes.num_windows,
            self.token + sizes.num_tokens,
            self.label + sizes.num_labels,
            self.tail + sizes.num_tails,
            self.edge + sizes.num_edges,
        )


def _sort_edges(
    rows: PackedRows, num_windows: Tensor, num_relations: int
) -> tuple[PackedRows, Tensor, list[UpdateSizes], int]:
    """Sort a round's edges by (update, relation); return also where windows start (W + 1,), the
    sizes of each update and the longest head's tokens."""
    inputs, device = rows.inputs, rows.mlm_tokens.device
    num_updates = len(num_windows)
    update_of_window = torch.repeat_interleave(num_windows).to(device)
    window = inputs.window_index[0]
    lengths = torch.bincount(window[window >= 0], minlength=len(update_of_window))  # (W,)
    update_of_edge = update_of_window[window[inputs.edge_leaf[0]]]
    keys = update_of_edge * (num_relations + 1) + inputs.edge_relation[0]  # (E,)
    order = keys.argsort(stable=True)
    counts = (
        torch.bincount(update_of_window, weights=lengths.double(), minlength=num_updates).long(),
        torch.bincount(update_of_window[window[rows.mlm_tokens]], minlength=num_updates),
        torch.bincount(update_of_window[window[rows.tail_tokens]], minlength=num_updates),
        torch.bincount(keys, minlength=num_updates * (num_relations + 1)),
        F.pad(inputs.edge_head_length[0], (0, 1), value=1).max()[None],
    )
    flat = torch.cat(counts).tolist()
    num_tokens, num_labels, num_tails = (
        flat[start : start + num_updates] for start in range(0, 3 * num_updates, num_updates)
    )
    sizes = [
        UpdateSizes(windows, tokens, labels, tails, tuple(flat[start : start + num_relations + 1]))
        for windows, tokens, labels, tails, start in zip(
            num_windows.tolist(),
            num_tokens,
            num_labels,
            num_tails,
            range(3 * num_updates, len(flat) - 1, num_relations + 1),
            strict=True,
        )
    ]
    edges = {name: getattr(inputs, name)[:, order] for name in EDGE_NAMES}
    rows = replace(
        rows,
        inputs=replace(inputs, **edges),
        relation_labels=rows.relation_labels[:, order],
        edge_triples=rows.edge_triples[:, order],
    )
    return rows, F.pad(lengths.cumsum(0), (1, 0)), sizes, flat[-1]


def _cut(
    rows: PackedRows, starts: Tensor, first: _Place, sizes: UpdateSizes, longest_head: int
) -> PackedRows:
    """Return one update's row: a slice of the round's, its indices counted from its own start."""
    inputs = rows.inputs
    row_length = _round_up(sizes.num_tokens, TOKEN_MULTIPLE)
    num_missing = _round_up(sizes.num_labels, LABEL_MULTIPLE) - sizes.num_labels
    num_missing_tails = _round_up(sizes.num_tails, LABEL_MULTIPLE) - sizes.num_tails
    tokens = slice(first.token, first.token + sizes.num_tokens)
    edges = slice(first.edge, first.edge + sizes.num_edges)
    labels = slice(first.label, first.label + sizes.num_labels)
    tails = slice(first.tail, first.tail + sizes.num_tails)

    def cut_tokens(name: str) -> Tensor:
        nothing = TOKEN_PADDING.get(name, 0)
        values = getattr(inputs, name)[:, tokens]
        return F.pad(values, (0, row_length - sizes.num_tokens), value=nothing)

    own = {name: cut_tokens(name) for name in TOKEN_NAMES}
    own["window_index"] = own["window_index"].where(
        own["window_index"] < 0, own["window_index"] - first.window
    )
    own |= {name: getattr(inputs, name)[:, edges] for name in EDGE_NAMES}
    for name in ("edge_leaf", "edge_root", "edge_head_start"):
        own[name] = own[name] - first.token
    windows = starts[first.window : first.window + sizes.num_windows + 1] - first.token
    return PackedRows(
        inputs=GraphInputs(
            **own,
            window_starts=torch.cat([windows, _padding_ends(sizes.num_tokens, windows)]).int(),
            edge_runs=EdgeRuns(sizes.relation_lengths, longest_head),
        ),
        mlm_tokens=F.pad(rows.mlm_tokens[labels] - first.token, (0, num_missing)),
        mlm_roots=F.pad(rows.mlm_roots[labels], (0, num_missing)),
        mlm_labels=F.pad(rows.mlm_labels[labels], (0, num_missing), value=NO_LABEL),
        relation_labels=rows.relation_labels[:, edges],
        edge_triples=rows.edge_triples[:, edges],
        tail_tokens=F.pad(rows.tail_tokens[tails] - first.token, (0, num_missing_tails)),
        tail_labels=F.pad(rows.tail_labels[tails], (0, num_missing_tails), value=NO_LABEL),
    )


def _padding_ends(num_tokens: int, like: Tensor) -> Tensor:
    """Return where the ranges of padding after `num_tokens` end, the last of them at the row's."""
    ends = torch.arange(1, TOKEN_MULTIPLE // PADDING_RANGE + 1, device=like.device)
    return (num_tokens + ends * PADDING_RANGE).clamp(max=_round_up(num_tokens, TOKEN_MULTIPLE))


def _round_up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple
