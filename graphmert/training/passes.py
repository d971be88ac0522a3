"""The forward passes that updates take: which windows, how masked, in which rows.

On a CPU each window has a row of its own, and masks are made update by update. On a GPU all windows
of a pass stand in one row, and a whole round of updates is masked and packed at once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from torch import Tensor

from graphmert.data.packing import PackedRows, pack
from graphmert.data.updates import packed_updates
from graphmert.data.windows import WindowTable
from graphmert.training.masking import MaskSettings, mask_batch
from graphmert.training.settings import TrainSettings

WINDOWS_PER_ROUND = 16_384  # some 0.5 GiB of a GPU's memory while they are masked


def passes_of_updates(
    table: WindowTable,
    updates: Sequence[Tensor],
    epoch: int,
    settings: TrainSettings,
    vocab_size: int,
) -> Iterator[list[PackedRows]]:
    """Yield the passes of each of `updates` (indices of windows), on the device of `table`."""
    if table.window_ids.is_cuda:
        yield from packed_passes(table, updates, epoch, settings, vocab_size)
        return
    for windows in updates:
        yield list(forward_passes(table, windows, epoch, settings, vocab_size))


def forward_passes(
    table: WindowTable, windows: Tensor, epoch: int, settings: TrainSettings, vocab_size: int
) -> Iterator[PackedRows]:
    """Yield the passes that an update on these windows takes, a row a window."""
    for chosen in windows.split(settings.batch_size):
        batch = table.batch(chosen)
        for masks in mask_settings_of_passes(settings):
            yield pack(batch, mask_batch(batch, masks, settings.seed, epoch, vocab_size))


def packed_passes(
    table: WindowTable,
    updates: Sequence[Tensor],
    epoch: int,
    settings: TrainSettings,
    vocab_size: int,
) -> Iterator[list[PackedRows]]:
    """Yield the passes of each update, each one row."""
    updates_per_round = max(1, WINDOWS_PER_ROUND // settings.windows_per_update)
    for first in range(0, len(updates), updates_per_round):
        parts = [
            windows.split(settings.batch_size) for windows in updates[first:][:updates_per_round]
        ]
        rounds = [
            packed_updates(
                table,
                [part for each in parts for part in each],
                masks,
                settings.seed,
                epoch,
                vocab_size,
            )
            for masks in mask_settings_of_passes(settings)
        ]
        for each in parts:
            yield [next(rows) for _ in each for rows in rounds]


def mask_settings_of_passes(settings: TrainSettings) -> list[MaskSettings]:
    """Return one setting for both objectives together, or one for each by itself."""
    if not settings.is_two_passes:
        return [settings.masks]
    return [replace(settings.masks, mnm_share=0.0), replace(settings.masks, mlm_share=0.0)]
