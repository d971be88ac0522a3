"""Duplicates: windows whose code is already there, wherever it comes from.

Exact: the same tokens. Near: at least JACCARD_THRESHOLD of the runs of SHINGLE_TOKENS tokens in
common, looked for between splits only. Who comes first stays, so the order in which sources
arrive decides: held-out sources first, or whatever was in the data set that is extended.
Tokens of a window are its own: without <s>, </s> and the synthetic name.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from rensa import RMinHash, RMinHashLSH

from graph_builder.manifest import SPLITS
from graph_builder.shingle_filter import ShingleFilter

JACCARD_THRESHOLD: Final = 0.8
SHINGLE_TOKENS: Final = 5
NUM_PERMUTATIONS: Final = 128
# 32 bands of 4 rows: of pairs at the threshold all but 1 in 10,000 become candidates.
NUM_BANDS: Final = 32
SEED: Final = 0
SKETCHES_AT_ONCE: Final = 4096  # windows whose runs of tokens are in memory together

COLUMNS: Final = ("root_ids", "root_starts")

Tokens = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Verdict:
    """Which windows of a shard stay."""

    is_kept: npt.NDArray[np.bool_]  # (windows,)
    num_exact: int
    num_near: int


@dataclass
class SeenWindows:
    """The windows that arrived so far; `admit` adds those of one more shard."""

    _exact: set[bytes] = field(default_factory=set)
    _near: dict[str, "_NearIndex"] = field(default_factory=dict)

    def admit(self, table: pa.Table, split: str, is_compared_later: bool = True) -> Verdict:
        """Judge the windows of `table` (COLUMNS) against all before, and remember those kept.

        is_compared_later: False where no shard of another split will follow, which saves work.
        """
        windows = own_tokens(table)
        is_kept = np.array([self._is_new(tokens) for tokens in windows], dtype=bool)
        fresh = np.flatnonzero(is_kept)
        is_near = self._near_duplicates([windows[index] for index in fresh], split)
        is_kept[fresh[is_near]] = False
        if is_compared_later:
            index = self._near.setdefault(split, _NearIndex())
            index.add([windows[position] for position in np.flatnonzero(is_kept)])
        return Verdict(is_kept, len(windows) - len(fresh), int(is_near.sum()))

    def _is_new(self, tokens: Tokens) -> bool:
        digest = hashlib.blake2b(tokens.tobytes(), digest_size=16).digest()
        is_new = digest not in self._exact
        self._exact.add(digest)
        return is_new

    def _near_duplicates(self, windows: Sequence[Tokens], split: str) -> npt.NDArray[np.bool_]:
        others = [self._near[name] for name in SPLITS if name != split and name in self._near]
        is_near = np.zeros(len(windows), dtype=bool)
        for index in others:
            is_near |= index.contains(windows)
        return is_near


class _NearIndex:
    """The windows of one split, to be asked for windows that are nearly the same."""

    def __init__(self) -> None:
        self._candidates = RMinHashLSH(JACCARD_THRESHOLD, NUM_PERMUTATIONS, NUM_BANDS)
        self._windows: list[Tokens] = []
        self._filter = ShingleFilter(SHINGLE_TOKENS)

    def add(self, windows: Sequence[Tokens]) -> None:
        self._filter.add(windows)
        self._candidates.insert_many(_sketches(windows), len(self._windows))
        self._windows.extend(windows)

    def contains(self, windows: Sequence[Tokens]) -> npt.NDArray[np.bool_]:
        """Return for each window whether one in here is nearly the same (windows,)."""
        found = self._filter.may_have(windows, JACCARD_THRESHOLD)
        asked = np.flatnonzero(found).tolist()
        for start in range(0, len(asked), SKETCHES_AT_ONCE):
            places = asked[start : start + SKETCHES_AT_ONCE]
            some = [windows[place] for place in places]
            candidates = self._candidates.query_all(_sketches(some))
            found[places] = [self._has_near(*pair) for pair in zip(some, candidates, strict=True)]
        return found

    def _has_near(self, tokens: Tokens, keys: Sequence[int]) -> bool:
        return any(jaccard(tokens, self._windows[key]) >= JACCARD_THRESHOLD for key in keys)


def own_tokens(table: pa.Table) -> list[Tokens]:
    """Return the token ids of each window that stand for its own text."""
    ids = table.column("root_ids").combine_chunks()
    flat = ids.flatten().to_numpy()
    is_own = table.column("root_starts").combine_chunks().flatten().to_numpy() >= 0
    bounds = np.concatenate([[0], np.cumsum(is_own)])[
        ids.offsets.to_numpy() - ids.offsets[0].as_py()
    ]
    own = flat[is_own]
    return [own[start:end] for start, end in pairwise(bounds)]


def jaccard(one: Tokens, other: Tokens) -> float:
    """Return the share of runs of SHINGLE_TOKENS tokens that two windows have in common."""
    left, right = set(_shingles(one)), set(_shingles(other))
    return len(left & right) / len(left | right)


def _sketches(windows: Sequence[Tokens]) -> list[RMinHash]:
    return RMinHash.from_token_sets(
        [_shingles(tokens) for tokens in windows], NUM_PERMUTATIONS, SEED
    )


def _shingles(tokens: Tokens) -> list[bytes]:
    """Return the bytes of every run of SHINGLE_TOKENS tokens, of the whole where it is shorter."""
    data, width = tokens.tobytes(), tokens.itemsize
    last = max(len(tokens) - SHINGLE_TOKENS, 0)
    return [data[start * width : (start + SHINGLE_TOKENS) * width] for start in range(last + 1)]
