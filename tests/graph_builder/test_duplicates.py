"""Duplicates: exact ones anywhere, near ones across splits, compared with every pair."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph_builder import duplicates
from graph_builder.duplicates import (
    JACCARD_THRESHOLD,
    SHINGLE_TOKENS,
    SeenWindows,
    jaccard,
    own_tokens,
)
from graph_builder.shingle_filter import ShingleFilter


def table(*windows: list[int]) -> pa.Table:
    """Windows with <s>, a synthetic name of one token, their own tokens, and </s>."""
    return pa.table(
        {
            "root_ids": pa.array([[0, 7, *ids, 2] for ids in windows], pa.list_(pa.int32())),
            "root_starts": pa.array(
                [[-1, -1, *range(len(ids)), -1] for ids in windows], pa.list_(pa.int32())
            ),
        }
    )


def test_own_tokens_are_those_with_text() -> None:
    windows = [[5, 6], [], [9, 8, 7]]
    assert [tokens.tolist() for tokens in own_tokens(table(*windows))] == windows
    assert [tokens.tolist() for tokens in own_tokens(table(*windows).slice(1))] == windows[1:]


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [
        ([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6], 1),
        ([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 7], 1 / 3),
        ([1, 2], [1, 2], 1),
        ([1, 2], [1, 3], 0),
        ([1, 2, 3, 4, 5], [6, 7, 8, 9, 10], 0),
    ],
)
def test_jaccard(one: list[int], other: list[int], share: float) -> None:
    assert jaccard(np.array(one, np.int32), np.array(other, np.int32)) == pytest.approx(share)


def test_exact_duplicates_go_within_and_across() -> None:
    seen = SeenWindows()
    first = seen.admit(table([1, 2, 3], [4, 5], [1, 2, 3]), "validation")
    assert first.is_kept.tolist() == [True, True, False]
    assert (first.num_exact, first.num_near) == (1, 0)
    second = seen.admit(table([4, 5], [6]), "train")
    assert second.is_kept.tolist() == [False, True]


def changed(generator: np.random.Generator, ids: list[int]) -> list[int]:
    copy = list(ids)
    for position in generator.integers(0, len(ids), generator.integers(0, 6)):
        copy[position] = int(generator.integers(5, 5000))
    return copy


def test_near_duplicates_are_those_that_every_pair_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "SKETCHES_AT_ONCE", 50)
    generator = np.random.default_rng(1)
    held_out = [generator.integers(5, 5000, 120).tolist() for _ in range(60)]
    train = [changed(generator, ids) for ids in held_out for _ in range(2)]
    pairs = [
        max(jaccard(np.array(ids, np.int32), np.array(other, np.int32)) for other in held_out)
        for ids in train
    ]
    seen = SeenWindows()
    seen.admit(table(*held_out), "test")
    verdict = seen.admit(table(*train), "train")
    expected = [share < JACCARD_THRESHOLD for share in pairs]
    assert 20 < sum(expected) < 100
    assert verdict.is_kept.tolist() == [
        is_new and train.index(ids) == index
        for index, (is_new, ids) in enumerate(zip(expected, train, strict=True))
    ]
    assert verdict.num_exact + verdict.num_near == len(train) - int(verdict.is_kept.sum())


def test_near_duplicates_within_a_split_stay() -> None:
    ids = list(range(10, 110))
    near = [*ids[:50], 9, *ids[50:]]
    seen = SeenWindows()
    assert seen.admit(table(ids, near), "train").is_kept.all()
    assert seen.admit(table([*near, 9]), "train").is_kept.all()
    assert not seen.admit(table([*near, 8]), "test").is_kept.any()


def test_a_shard_without_windows_is_admitted() -> None:
    seen = SeenWindows()
    for split in ("test", "train", "test"):
        assert seen.admit(table(), split).is_kept.tolist() == []


SHORT_WINDOWS = st.lists(st.lists(st.integers(0, 3), max_size=40), min_size=1, max_size=4)


@settings(max_examples=200)
@given(one=SHORT_WINDOWS, data=st.data())
def test_the_filter_holds_back_no_near_duplicate(one: list[list[int]], data: st.DataObject) -> None:
    known = [np.array(window, np.int32) for window in one]
    shingles = ShingleFilter(SHINGLE_TOKENS)
    shingles.add(known)
    changed = [list(window) for window in one]
    for window in changed:
        if window:
            window[data.draw(st.integers(0, len(window) - 1))] = data.draw(st.integers(0, 5))
    asked = [np.array(window, np.int32) for window in changed]
    for window, may_have in zip(asked, shingles.may_have(asked, JACCARD_THRESHOLD), strict=True):
        is_near = any(jaccard(window, other) >= JACCARD_THRESHOLD for other in known)
        assert may_have or not is_near


def test_the_filter_says_what_the_plain_rule_says() -> None:
    generator = np.random.default_rng(1)
    known = list(generator.integers(0, 9, (30, 40)).astype(np.int32))
    asked = [window.copy() for window in known]
    for number, window in enumerate(asked):  # from all as it was to all changed
        window[:number] = generator.integers(0, 9, number)
    shingles = ShingleFilter(SHINGLE_TOKENS)
    shingles.add(known)
    of_known = {run for window in known for run in runs(window)}
    for share in (0.5, 0.8, 1.0):
        expected = [
            len(runs(window) & of_known) + 1 >= share * len(runs(window)) for window in asked
        ]
        assert shingles.may_have(asked, share).tolist() == expected
        assert len(set(expected)) == 2


def runs(window: npt.NDArray[np.int32]) -> set[tuple[int, ...]]:
    """Return the different runs of tokens in a window that is no shorter than one."""
    return {
        tuple(window[start : start + SHINGLE_TOKENS].tolist())
        for start in range(len(window) - SHINGLE_TOKENS + 1)
    }


def test_the_filter_holds_back_what_is_unlike_all() -> None:
    generator = np.random.default_rng(0)
    known, others = generator.integers(0, 5000, (2, 50, 100)).astype(np.int32)
    shingles = ShingleFilter(SHINGLE_TOKENS)
    shingles.add(list(known))
    assert shingles.may_have(list(known), JACCARD_THRESHOLD).all()
    assert not shingles.may_have(list(others), JACCARD_THRESHOLD).any()
