"""A quick look at which windows can have a near duplicate, compiled.

Two windows that are nearly the same have most runs of tokens in common, so most runs of each are
runs of the other. Runs are remembered as bits, by hash: what the filter lets through may be
unlike all, what it holds back has no near duplicate.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from graph_builder.compiled import inner, kept
from graph_builder.link_tables import Array
from graph_builder.record import Int32

_HASH_BITS: Final = 24
_PRIME: Final = 0x100000001B3  # of FNV-1a
_BITS_63: Final = 2**63 - 1
_ROUNDING: Final = 1e-6  # of a share of a window's runs


class ShingleFilter:
    """The runs of `width` tokens of some windows."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._bits = np.zeros(2 ** (_HASH_BITS - 3), dtype=np.uint8)  # that the caches hold

    def add(self, windows: Sequence[Int32]) -> None:
        _note(*_stacked(windows), self._width, self._bits)

    def may_have(self, windows: Sequence[Int32], share: float) -> npt.NDArray[np.bool_]:
        """Tell of each window whether `share` of its different runs may be here (windows,)."""
        found: npt.NDArray[np.bool_] = _may_have(*_stacked(windows), self._width, self._bits, share)
        return found


def _stacked(windows: Sequence[Int32]) -> tuple[Int32, npt.NDArray[np.int64]]:
    bounds = np.cumsum([0, *map(len, windows)], dtype=np.int64)
    tokens = np.concatenate(windows) if windows else np.empty(0)
    return tokens.astype(np.int32), bounds


@kept
def _note(tokens: Array, bounds: Array, width: int, bits: Array) -> None:
    for window in range(bounds.size - 1):
        first, end = bounds[window], bounds[window + 1]
        for start in range(first, _end_of_runs(first, end, width)):
            bit = _shingle(tokens, start, min(start + width, end)) >> (63 - _HASH_BITS)
            bits[bit >> 3] |= 1 << (bit & 7)


@kept
def _may_have(tokens: Array, bounds: Array, width: int, bits: Array, share: float) -> Array:
    may_have = np.zeros(bounds.size - 1, dtype=np.bool_)
    longest, size = 1, 2
    for window in range(bounds.size - 1):
        longest = max(longest, bounds[window + 1] - bounds[window])
    while size < 2 * longest:
        size *= 2
    # The different runs of a window by hash: at each place, the run and the window that it is of.
    runs, windows = np.empty(size, dtype=np.int64), np.full(size, -1, dtype=np.int32)
    for window in range(bounds.size - 1):
        first, end = bounds[window], bounds[window + 1]
        end_of_runs = _end_of_runs(first, end, width)
        # With more unknown runs than this the others are too few, whatever is still to come.
        most_unknown = (end_of_runs - first) * (1 - share) + 1 + _ROUNDING
        num, num_unknown = 0, 0
        for start in range(first, end_of_runs):
            shingle = _shingle(tokens, start, min(start + width, end))
            place = shingle & (size - 1)
            while windows[place] == window and runs[place] != shingle:
                place = (place + 1) & (size - 1)
            if windows[place] != window:
                windows[place], runs[place] = window, shingle
                num += 1
                bit = shingle >> (63 - _HASH_BITS)
                num_unknown += not bits[bit >> 3] & (1 << (bit & 7))
                if num_unknown > most_unknown:
                    break
        # One more: two runs of a window may have the same hash.
        may_have[window] = num - num_unknown + 1 >= share * num
    return may_have


@inner
def _end_of_runs(first: int, end: int, width: int) -> int:
    """Return one past the start of the last run of `width` tokens; the whole is one if shorter."""
    return max(end - width, first) + 1


@inner
def _shingle(tokens: Array, start: int, end: int) -> np.int64:
    """Return a hash of a run of tokens."""
    hashed = np.int64(1469598103934665603)
    for at in range(start, end):
        hashed = ((hashed ^ tokens[at]) * _PRIME) & _BITS_63
        hashed ^= hashed >> 29
    return hashed
