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


class ShingleFilter:
    """The runs of `width` tokens of some windows."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._is_known = np.zeros(2**_HASH_BITS, dtype=np.bool_)

    def add(self, windows: Sequence[Int32]) -> None:
        _note(*_stacked(windows), self._width, self._is_known)

    def may_have(self, windows: Sequence[Int32], share: float) -> npt.NDArray[np.bool_]:
        """Tell of each window whether `share` of its different runs may be here (windows,)."""
        found: npt.NDArray[np.bool_] = _may_have(
            *_stacked(windows), self._width, self._is_known, share
        )
        return found


def _stacked(windows: Sequence[Int32]) -> tuple[Int32, npt.NDArray[np.int64]]:
    bounds = np.cumsum([0, *map(len, windows)], dtype=np.int64)
    tokens = np.concatenate(windows) if windows else np.empty(0)
    return tokens.astype(np.int32), bounds


@kept
def _note(tokens: Array, bounds: Array, width: int, is_known: Array) -> None:
    for window in range(bounds.size - 1):
        for shingle in _shingles(tokens[bounds[window] : bounds[window + 1]], width):
            is_known[shingle >> (63 - _HASH_BITS)] = True


@kept
def _may_have(tokens: Array, bounds: Array, width: int, is_known: Array, share: float) -> Array:
    may_have = np.zeros(bounds.size - 1, dtype=np.bool_)
    longest, size = 1, 2
    for window in range(bounds.size - 1):
        longest = max(longest, bounds[window + 1] - bounds[window])
    while size < 2 * longest:
        size *= 2
    # The different runs of a window by hash: at each place, the run and the window that it is of.
    runs, windows = np.empty(size, dtype=np.int64), np.full(size, -1, dtype=np.int32)
    for window in range(bounds.size - 1):
        num, num_known = 0, 0
        for shingle in _shingles(tokens[bounds[window] : bounds[window + 1]], width):
            place = shingle & (size - 1)
            while windows[place] == window and runs[place] != shingle:
                place = (place + 1) & (size - 1)
            if windows[place] != window:
                windows[place], runs[place] = window, shingle
                num += 1
                num_known += is_known[shingle >> (63 - _HASH_BITS)]
        # One more: two runs of a window may have the same hash.
        may_have[window] = num_known + 1 >= share * num
    return may_have


@inner
def _shingles(tokens: Array, width: int) -> Array:
    """Return a hash of every run of `width` tokens; of the whole where it is shorter."""
    num = max(tokens.size - width, 0) + 1
    hashes = np.empty(num, dtype=np.int64)
    for start in range(num):
        hashed = np.int64(1469598103934665603)
        for at in range(start, min(start + width, tokens.size)):
            hashed = ((hashed ^ tokens[at]) * _PRIME) & _BITS_63
            hashed ^= hashed >> 29
        hashes[start] = hashed
    return hashes
