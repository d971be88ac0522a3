"""Leaf choices against plain lists of each window's triples, and what they must not touch."""

from dataclasses import replace
from typing import NamedTuple

import pytest
import torch
from random_tables import VOCAB_SIZE, random_table

from graphmert.data.leaf_choice import LeafChoice, choose_leaves, exchange_knowledge
from graphmert.data.windows import WindowTable
from graphmert.training.losses import NO_LABEL
from graphmert.training.masking import MaskSettings, mask_batch

TABLE = random_table(seed=3, num_windows=40)


class Hung(NamedTuple):
    """A triple of a window: what it says, and where it hangs."""

    says: tuple[int, bool, tuple[int, ...]]  # relation, direction, what its leaves spell
    place: tuple[int, int, tuple[int, ...]]  # head start, head length, owners of its leaves
    is_knowledge: bool


def triples_of(table: WindowTable) -> list[list[Hung]]:
    """Return the triples of each window, read one by one."""
    found: list[list[Hung]] = []
    for window in range(table.num_windows):
        leaves = range(*table.leaf_offsets[window : window + 2].tolist())
        triples = range(*table.triple_offsets[window : window + 2].tolist())
        own = []
        for index, triple in enumerate(triples):
            mine = [leaf for leaf in leaves if int(table.leaf_triples[leaf]) == index]
            says = (
                int(table.triple_relations[triple]),
                bool(table.triple_is_reversed[triple]),
                tuple(table.leaf_ids[mine].tolist()),
            )
            place = (
                int(table.triple_head_starts[triple]),
                int(table.triple_head_lengths[triple]),
                tuple(table.leaf_roots[mine].tolist()),
            )
            own.append(Hung(says, place, bool(table.triple_is_knowledge[triple])))
        found.append(own)
    return found


@pytest.mark.parametrize(
    ("choice", "kinds"),
    [("none", set()), ("local", {False}), ("knowledge", {True}), ("both", {False, True})],
)
def test_a_choice_keeps_the_triples_of_its_kinds_as_they_are(choice: str, kinds: set[bool]) -> None:
    wanted = [[hung for hung in own if hung.is_knowledge in kinds] for own in triples_of(TABLE)]
    assert triples_of(choose_leaves(TABLE, LeafChoice(choice), 0)) == wanted
    assert sum(map(len, triples_of(TABLE))) > 300


def test_the_knowledge_of_each_window_comes_from_other_windows() -> None:
    before, after = triples_of(TABLE), triples_of(exchange_knowledge(TABLE, seed=1))
    for own, others in zip(before, after, strict=True):
        assert [hung.place for hung in own] == [hung.place for hung in others]
        assert [hung for hung in own if not hung.is_knowledge] == [
            hung for hung in others if not hung.is_knowledge
        ]
        lost = {hung.says for hung in own if hung.is_knowledge and len(hung.says[2]) > 2}
        assert lost.isdisjoint(hung.says for hung in others)
    all_before, all_after = (
        sorted(hung.says for own in table for hung in own if hung.is_knowledge)
        for table in (before, after)
    )
    assert all_before == all_after


def test_the_exchange_is_a_function_of_its_seed() -> None:
    first, again, other = (
        choose_leaves(TABLE, LeafChoice.SHUFFLED, seed).leaf_ids for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_fact_that_its_window_has_already_is_dropped() -> None:
    """Else an equal triple beside it would show a masked relation."""
    few = replace(
        TABLE,
        triple_relations=TABLE.triple_relations % 2,
        leaf_ids=TABLE.leaf_ids % 2 + 5,
        root_names=torch.zeros_like(TABLE.root_names),  # all heads have one name
    )
    before, after = triples_of(few), triples_of(choose_leaves(few, LeafChoice.SHUFFLED, 0))
    for own, others in zip(before, after, strict=True):
        said = [hung.says for hung in others if hung.is_knowledge]
        said += {hung.says for hung in others if not hung.is_knowledge}
        assert len(set(said)) == len(said)
        assert [each for each in own if not each.is_knowledge] == [
            each for each in others if not each.is_knowledge
        ]
    assert sum(map(len, after)) < sum(map(len, before))


@pytest.mark.parametrize("choice", list(LeafChoice))
def test_the_same_tokens_are_masked_whatever_the_leaves(choice: LeafChoice) -> None:
    chosen = choose_leaves(TABLE, choice, 0)
    windows = range(TABLE.num_windows)
    wanted, found = (
        mask_batch(table.batch(windows), MaskSettings(), 0, 0, VOCAB_SIZE)
        for table in (TABLE, chosen)
    )
    assert (wanted.mlm_labels != NO_LABEL).sum() > 50
    assert torch.equal(found.mlm_labels, wanted.mlm_labels)
    assert torch.equal(found.root_input_ids, wanted.root_input_ids)
