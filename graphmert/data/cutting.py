"""Batches of other text than the shards hold: windows with roots cut out, windows of plain text.

Legend: W windows, R roots, F leaves, T triples of a batch.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from graph_builder.layout import ChainLayout
from graphmert.data.windows import RaggedBatch


def cut_roots(batch: RaggedBatch, is_cut: Tensor) -> RaggedBatch:
    """Return the batch without the roots (R,) that are cut, and without all that hung on them.

    Later roots move up. A triple goes if a root of the mention that it hangs on goes, or the root
    of one of its leaves. Slots keep their numbers.
    """
    num_cut = F.pad(is_cut.long().cumsum(0), (1, 0))  # (R + 1,) before each root
    starts, lengths = batch.triple_head_starts, batch.triple_head_lengths
    is_lost = num_cut[starts + lengths] > num_cut[starts]  # (T,)
    is_lost[batch.leaf_triples[is_cut[batch.leaf_roots]]] = True
    roots, triples = (~is_cut).nonzero().flatten(), (~is_lost).nonzero().flatten()
    leaves = (~is_lost[batch.leaf_triples]).nonzero().flatten()
    new_root = torch.arange(len(is_cut), device=is_cut.device) - num_cut[:-1]
    new_triple = (~is_lost).long().cumsum(0) - 1
    window_starts = torch.searchsorted(
        batch.root_windows, torch.arange(batch.num_windows, device=is_cut.device)
    )
    cut_in_window = num_cut[:-1] - num_cut[window_starts][batch.root_windows]
    owned: dict[str, Any] = _take(batch, "root_", roots) | _take(batch, "leaf_", leaves)
    owned |= _take(batch, "triple_", triples)
    owned["root_index"] = (batch.root_index - cut_in_window)[roots]
    owned["leaf_roots"] = new_root[batch.leaf_roots[leaves]]
    owned["leaf_triples"] = new_triple[batch.leaf_triples[leaves]]
    owned["triple_head_starts"] = new_root[starts[triples]]
    return replace(batch, **owned)


def plain_windows(
    texts: Sequence[Sequence[int]],
    start_id: int,
    end_id: int,
    layout: ChainLayout,
    device: torch.device | str = "cpu",
) -> RaggedBatch:
    """Return a window without leaves for each run of token ids, cut to what a window holds."""
    runs = [[start_id, *ids[: layout.num_roots - 2], end_id] for ids in texts]
    lengths = torch.tensor([len(run) for run in runs])
    windows = torch.repeat_interleave(lengths)
    index = torch.arange(len(windows)) - (lengths.cumsum(0) - lengths)[windows]
    is_text = (index > 0) & (index < lengths[windows] - 1)
    nothing = torch.zeros(0, dtype=torch.int64)
    no_flag = nothing.bool()
    return RaggedBatch(
        layout=layout,
        window_ids=torch.arange(len(runs)),
        root_windows=windows,
        root_index=index,
        root_ids=torch.tensor([token for run in runs for token in run]),
        root_bytes=is_text.long(),
        root_names=torch.full_like(index, -1),
        leaf_windows=nothing,
        leaf_roots=nothing,
        leaf_slots=nothing,
        leaf_ids=nothing,
        leaf_names=nothing,
        leaf_triples=nothing,
        triple_windows=nothing,
        triple_index=nothing,
        triple_relations=nothing,
        triple_head_starts=nothing,
        triple_head_lengths=nothing,
        triple_is_reversed=no_flag,
        triple_is_knowledge=no_flag,
    ).to(device)


def _take(batch: RaggedBatch, prefix: str, chosen: Tensor) -> dict[str, Tensor]:
    """Return the fields of roots, leaves or triples, those that are chosen."""
    return {name: values[chosen] for name, values in vars(batch).items() if name.startswith(prefix)}
