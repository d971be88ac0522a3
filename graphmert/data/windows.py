"""A split of a data set in memory, and batches of its windows: ragged, never 1,024 wide.

Legend: W windows, R roots, F leaves, T triples, all windows of a table or batch together, one
after another. A table is flat tensors with offsets; a batch is gathered from it by index with no
loop over windows, on the device that the table is on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from graph_builder.layout import ChainLayout

STRING_COLUMNS = ("source", "revision", "path", "qualified_name", "kind")
NUMBER_COLUMNS = ("window_index", "start_line", "end_line")


@dataclass(frozen=True)
class RaggedBatch:
    """Some windows, flat. Every index counts from the start of the batch, int64."""

    layout: ChainLayout
    window_ids: Tensor  # (W,) what masks are seeded by

    root_windows: Tensor  # (R,) window of the batch
    root_index: Tensor  # (R,) place in the window, 0 is <s>
    root_ids: Tensor  # (R,) token ids
    root_bytes: Tensor  # (R,) bytes of the file that the token covers; 0: <s>, </s>, synthetic
    root_names: Tensor  # (R,) id, in its window, of the name that it is part of; -1 none

    leaf_windows: Tensor  # (F,)
    leaf_roots: Tensor  # (F,) owning root, index into R
    leaf_slots: Tensor  # (F,) 0 .. leaves_per_root - 1
    leaf_ids: Tensor  # (F,) token ids
    leaf_names: Tensor  # (F,) as root_names
    leaf_triples: Tensor  # (F,) index into T

    triple_windows: Tensor  # (T,)
    triple_index: Tensor  # (T,) place in the window
    triple_relations: Tensor  # (T,) 0 .. K - 1
    triple_head_starts: Tensor  # (T,) first root of the mention it hangs on, index into R
    triple_head_lengths: Tensor  # (T,) roots of that mention
    triple_is_reversed: Tensor  # (T,) bool: the leaves spell the head
    triple_is_knowledge: Tensor  # (T,) bool: the evidence lies outside the window

    fact_words: Tensor | None = None  # where facts are text instead of leaves, see fact_text.py

    @property
    def num_windows(self) -> int:
        return len(self.window_ids)

    def to(self, device: torch.device | str) -> Self:
        return replace(self, **_tensors_on(device, self))


@dataclass(frozen=True)
class WindowTable:
    """All windows of a split. Tensors are compact (int8 to int32) and may live on any device."""

    layout: ChainLayout
    strings: pa.Table  # (W,) rows of STRING_COLUMNS and NUMBER_COLUMNS, decoded when asked for
    window_ids: Tensor  # (W,)
    root_offsets: Tensor  # (W + 1,) int64, where the roots of each window start
    root_ids: Tensor
    root_bytes: Tensor
    root_names: Tensor
    leaf_offsets: Tensor  # (W + 1,)
    leaf_ids: Tensor
    leaf_roots: Tensor  # here: index in the window
    leaf_names: Tensor
    leaf_triples: Tensor  # here: index in the window
    triple_offsets: Tensor  # (W + 1,)
    triple_relations: Tensor
    triple_head_starts: Tensor  # here: index in the window
    triple_head_lengths: Tensor
    triple_is_reversed: Tensor
    triple_is_knowledge: Tensor

    fact_words: Tensor | None = None  # where facts are text instead of leaves, see fact_text.py

    @classmethod
    def from_arrow(cls, rows: pa.Table, layout: ChainLayout | None = None) -> Self:
        """Take the rows of shards (`graph_builder.record.SCHEMA`)."""
        root_offsets, starts = _ragged(rows, "root_starts")
        leaf_offsets, leaf_ids = _ragged(rows, "leaf_ids")
        triple_offsets, relations = _ragged(rows, "triple_relations")
        flat = {name: _ragged(rows, name)[1] for name in _FLAT_COLUMNS}
        root_bytes = torch.where(starts >= 0, _ragged(rows, "root_ends")[1] - starts, 0)
        return cls(
            layout=layout or ChainLayout(),
            strings=rows.select([*STRING_COLUMNS, *NUMBER_COLUMNS]),
            window_ids=_tensor(rows["window_id"].to_numpy()),
            root_offsets=root_offsets,
            root_bytes=root_bytes,
            leaf_offsets=leaf_offsets,
            leaf_ids=leaf_ids,
            triple_offsets=triple_offsets,
            triple_relations=relations,
            **flat,
        )

    @property
    def num_windows(self) -> int:
        return len(self.window_ids)

    @property
    def num_tokens(self) -> Tensor:
        """(W,) roots and leaves of each window: what it takes up in a packed row."""
        return self.root_offsets.diff() + self.leaf_offsets.diff()

    def to(self, device: torch.device | str) -> Self:
        return replace(self, **_tensors_on(device, self))

    def describe(self, index: int) -> dict[str, str | int]:
        """Return where one window comes from: source, path, qualified name, lines."""
        row: dict[str, str | int] = self.strings.slice(index, 1).to_pylist()[0]
        return row

    def batch(self, indices: Tensor | Sequence[int] | np.ndarray) -> RaggedBatch:
        """Gather the windows with these indices, in this order."""
        chosen = torch.as_tensor(indices, dtype=torch.int64, device=self.window_ids.device)
        roots, root_windows, root_index, root_firsts = _gather(self.root_offsets, chosen)
        leaves, leaf_windows, _, _ = _gather(self.leaf_offsets, chosen)
        triples, triple_windows, triple_index, triple_firsts = _gather(self.triple_offsets, chosen)
        leaf_roots = self.leaf_roots[leaves].long() + root_firsts[leaf_windows]
        head_starts = self.triple_head_starts[triples].long() + root_firsts[triple_windows]
        return RaggedBatch(
            layout=self.layout,
            window_ids=self.window_ids[chosen],
            root_windows=root_windows,
            root_index=root_index,
            root_ids=self.root_ids[roots].long(),
            root_bytes=self.root_bytes[roots].long(),
            root_names=self.root_names[roots].long(),
            leaf_windows=leaf_windows,
            leaf_roots=leaf_roots,
            leaf_slots=_rank_in_run(leaf_roots, len(roots)),
            leaf_ids=self.leaf_ids[leaves].long(),
            leaf_names=self.leaf_names[leaves].long(),
            leaf_triples=self.leaf_triples[leaves].long() + triple_firsts[leaf_windows],
            triple_windows=triple_windows,
            triple_index=triple_index,
            triple_relations=self.triple_relations[triples].long(),
            triple_head_starts=head_starts,
            triple_head_lengths=self.triple_head_lengths[triples].long(),
            triple_is_reversed=self.triple_is_reversed[triples],
            triple_is_knowledge=self.triple_is_knowledge[triples],
            fact_words=self.fact_words,
        )


_FLAT_COLUMNS = (
    "root_ids",
    "root_names",
    "leaf_roots",
    "leaf_names",
    "leaf_triples",
    "triple_head_starts",
    "triple_head_lengths",
    "triple_is_reversed",
    "triple_is_knowledge",
)


def _ragged(rows: pa.Table, name: str) -> tuple[Tensor, Tensor]:
    """Return (offsets (W + 1,), flat values) of a list column, however it is chunked."""
    column = rows[name].combine_chunks()
    if isinstance(column, pa.ChunkedArray):  # no chunk at all, or too long for one
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    lengths = column.value_lengths().to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    return _tensor(offsets), _tensor(column.flatten().to_numpy(zero_copy_only=False))


def _tensor(values: np.ndarray) -> Tensor:
    """Copy: arrow's memory is read-only, and a tensor over it could be written to."""
    return torch.from_numpy(np.array(values))


def _gather(offsets: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return, for the elements of the chosen windows: (index in the table, window of the batch,
    index in the window), and for each window where it starts in the batch."""
    starts = offsets[chosen]
    lengths = offsets[chosen + 1] - starts
    ends = lengths.cumsum(0)
    firsts = ends - lengths
    windows = torch.repeat_interleave(lengths)
    index = torch.arange(len(windows), device=offsets.device) - firsts[windows]
    return starts[windows] + index, windows, index, firsts


def _rank_in_run(sorted_ids: Tensor, num_ids: int) -> Tensor:
    """Return for each element how many equal ones stand before it."""
    counts = torch.bincount(sorted_ids, minlength=num_ids)
    firsts = counts.cumsum(0) - counts
    return torch.arange(len(sorted_ids), device=sorted_ids.device) - firsts[sorted_ids]


def _tensors_on(device: torch.device | str, record: "RaggedBatch | WindowTable") -> dict[str, Any]:
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    return {name: value.to(device) for name, value in values.items() if isinstance(value, Tensor)}
