"""Masks against a slow reference, and that they depend on seed, epoch and window alone."""

from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_tables import VOCAB_SIZE, random_table
from torch import Tensor

from graph_builder.layout import ChainLayout
from graphmert.data.counter_random import integers, uniform, window_keys
from graphmert.data.windows import RaggedBatch
from graphmert.training.losses import NO_LABEL
from graphmert.training.masking import (
    EVALUATION_EPOCH,
    EVALUATION_SEED,
    MaskedBatch,
    MaskSettings,
    evaluation_masks,
    mask_batch,
    mask_roots,
)

RATES = MaskSettings()
MASK = RATES.mask_token_id


def per_window(batch: RaggedBatch, masked: MaskedBatch) -> list[tuple[list[int], ...]]:
    """Return the masks of each window by itself."""
    windows = (batch.root_windows, batch.leaf_windows, batch.triple_windows)
    roots, leaves, triples = (
        [(of == window).nonzero().flatten() for window in range(batch.num_windows)]
        for of in windows
    )
    return [
        (
            masked.root_input_ids[roots[i]].tolist(),
            masked.mlm_labels[roots[i]].tolist(),
            masked.leaf_input_ids[leaves[i]].tolist(),
            masked.leaf_is_hidden[leaves[i]].tolist(),
            masked.relation_inputs[triples[i]].tolist(),
            masked.relation_labels[triples[i]].tolist(),
        )
        for i in range(batch.num_windows)
    ]


@settings(max_examples=20)
@given(
    table_seed=st.integers(0, 50),
    seed=st.integers(0, 2**63),
    epoch=st.integers(-1, 1000),
    order=st.lists(st.integers(0, 11), min_size=1, max_size=14),
)
def test_masks_of_a_window_are_the_same_in_every_batch(
    table_seed: int, seed: int, epoch: int, order: list[int]
) -> None:
    table = random_table(table_seed)
    alone = [
        per_window(batch, mask_batch(batch, RATES, seed, epoch, VOCAB_SIZE))[0]
        for batch in (table.batch([index]) for index in range(12))
    ]
    batch = table.batch(order)
    together = per_window(batch, mask_batch(batch, RATES, seed, epoch, VOCAB_SIZE))
    assert together == [alone[index] for index in order]


def test_masks_change_with_seed_and_with_epoch_and_held_out_ones_never() -> None:
    batch = random_table(0, num_windows=40).batch(range(40))
    masks = [
        mask_batch(batch, RATES, seed, epoch, VOCAB_SIZE).mlm_labels
        for seed, epoch in [(0, 0), (0, 1), (1, 0), (EVALUATION_SEED, EVALUATION_EPOCH)]
    ]
    for i, first in enumerate(masks):
        for second in masks[:i]:
            assert not torch.equal(first, second)
    assert torch.equal(evaluation_masks(batch, RATES, VOCAB_SIZE).mlm_labels, masks[3])


def test_evaluation_asks_for_relations_of_few_triples_whatever_was_trained() -> None:
    batch = random_table(7, 1500, ChainLayout()).batch(range(1500))
    num_asked = [
        int((evaluation_masks(batch, rates, VOCAB_SIZE).relation_labels != NO_LABEL).sum())
        for rates in (replace(RATES, mnm_share=share) for share in (0.1, 0.15, 0.5, 1.0))
    ]
    assert 0 < num_asked[0] < num_asked[1] == num_asked[2] == num_asked[3]


def test_what_evaluation_asks_for_is_never_to_be_seen() -> None:
    batch = random_table(0, num_windows=40).batch(range(40))
    masked = evaluation_masks(batch, RATES, VOCAB_SIZE)
    assert (masked.root_input_ids[masked.mlm_labels != NO_LABEL] == MASK).all()
    is_asked = masked.relation_labels != NO_LABEL
    assert is_asked.any()
    assert (masked.relation_inputs[is_asked] == RATES.num_relations).all()


@settings(max_examples=20)
@given(table_seed=st.integers(0, 1000), seed=st.integers(0, 1000))
def test_hidden_leaves_agree_with_a_loop(table_seed: int, seed: int) -> None:
    rates = replace(RATES, mlm_share=0.3)
    batch = random_table(table_seed).batch(range(12))
    masked = mask_batch(batch, rates, seed, 0, VOCAB_SIZE)
    chosen = set((masked.mlm_labels != NO_LABEL).nonzero().flatten().tolist())
    for leaf in range(len(batch.leaf_ids)):
        triple = int(batch.leaf_triples[leaf])
        start = int(batch.triple_head_starts[triple])
        head = range(start, start + int(batch.triple_head_lengths[triple]))
        hangs_on_chosen = any(root in chosen for root in head)
        is_local = not batch.triple_is_knowledge[triple]
        is_asked = bool(masked.relation_labels[triple] != NO_LABEL)
        restates = is_local and spells_a_root(batch, triple, set(range(len(batch.root_ids))))
        is_hidden = hangs_on_chosen or (restates and not is_asked)
        assert bool(masked.leaf_is_hidden[leaf]) == is_hidden
        if is_asked and is_local:
            assert not spells_a_root(batch, triple, chosen)
    assert torch.equal(masked.leaf_input_ids, batch.leaf_ids)


def test_local_leaves_that_restate_the_window_are_hidden_whichever_name_is_asked_for() -> None:
    batch = random_table(3, 200, ChainLayout()).batch(range(200))
    restates = local_restating(batch)
    for root in range(3):
        is_chosen = batch.root_index == root
        masked = mask_roots(batch, is_chosen, RATES)
        hangs = torch.tensor(
            [
                bool(is_chosen[start : start + length].any())
                for start, length in zip(
                    batch.triple_head_starts.tolist(),
                    batch.triple_head_lengths.tolist(),
                    strict=True,
                )
            ]
        )
        assert torch.equal(masked.leaf_is_hidden, (hangs | restates)[batch.leaf_triples])
        assert torch.equal(masked.leaf_input_ids, batch.leaf_ids)


def local_restating(batch: RaggedBatch) -> Tensor:
    """Return for each triple (T,) whether it is local and spells some root of its window."""
    everything = set(range(len(batch.root_ids)))
    return torch.tensor(
        [
            not batch.triple_is_knowledge[triple] and spells_a_root(batch, triple, everything)
            for triple in range(len(batch.triple_relations))
        ]
    )


def spells_a_root(batch: RaggedBatch, triple: int, chosen: set[int]) -> bool:
    leaves = (batch.leaf_triples == triple).nonzero().flatten().tolist()
    window = int(batch.triple_windows[triple])
    roots = (batch.root_windows == window).nonzero().flatten().tolist()
    for leaf in leaves:
        for root in roots:
            if root not in chosen:
                continue
            same_name = int(batch.leaf_names[leaf]) == int(batch.root_names[root])
            if same_name and batch.leaf_names[leaf] >= 0:
                return True
            if same_name and around(batch.leaf_names, batch.leaf_ids, leaf, leaves) == around(
                batch.root_names, batch.root_ids, root, roots
            ):
                return True
    return False


def around(names: Tensor, ids: Tensor, place: int, run: list[int]) -> tuple[int, int, int]:
    before = int(names[place - 1]) if place - 1 in run else -1
    after = int(names[place + 1]) if place + 1 in run else -1
    return before, int(ids[place]), after


@settings(max_examples=20)
@given(seed=st.integers(0, 1000))
def test_labels_and_inputs_fit_together(seed: int) -> None:
    batch = random_table(seed).batch(range(12))
    masked = mask_batch(batch, RATES, seed, 3, VOCAB_SIZE)
    is_chosen = masked.mlm_labels != NO_LABEL
    assert torch.equal(masked.mlm_labels[is_chosen], batch.root_ids[is_chosen])
    assert torch.equal(masked.root_input_ids[~is_chosen], batch.root_ids[~is_chosen])
    assert not is_chosen[batch.root_bytes == 0].any()

    is_asked = masked.relation_labels != NO_LABEL
    assert torch.equal(masked.relation_labels[is_asked], batch.triple_relations[is_asked])
    assert torch.equal(masked.relation_inputs[~is_asked], batch.triple_relations[~is_asked])
    assert not is_asked[batch.leaf_triples[masked.leaf_is_hidden]].any()


def test_shares_are_those_of_the_settings() -> None:
    batch = random_table(7, 1500, ChainLayout()).batch(range(1500))
    masked = mask_batch(batch, RATES, 0, 0, VOCAB_SIZE)
    is_chosen = masked.mlm_labels != NO_LABEL
    num_maskable = np.bincount(batch.root_windows[batch.root_bytes > 0], minlength=1500)
    num_chosen = np.bincount(batch.root_windows[is_chosen], minlength=1500)
    assert (np.abs(num_chosen - 0.15 * num_maskable) < 1.0).all()
    inputs, labels = masked.root_input_ids[is_chosen], masked.mlm_labels[is_chosen]
    assert float((inputs == MASK).float().mean()) == pytest.approx(0.8, abs=0.02)
    assert float((inputs == labels).float().mean()) == pytest.approx(0.1, abs=0.02)
    assert inputs.min() >= MASK
    assert inputs.max() < VOCAB_SIZE

    can_ask = batch.triple_is_knowledge.clone()  # local ones are to be seen where they are asked
    can_ask[batch.leaf_triples[masked.leaf_is_hidden]] = False
    is_asked = masked.relation_labels != NO_LABEL
    assert float(is_asked[can_ask].float().mean()) == pytest.approx(0.5, abs=0.02)
    asked = masked.relation_inputs[is_asked]
    assert float((asked == RATES.num_relations).float().mean()) == pytest.approx(0.8, abs=0.04)


def test_spans_have_the_lengths_of_a_truncated_geometric_distribution() -> None:
    """One span of budget in a long window is rarely cut or merged, so runs show its length."""
    rates = replace(RATES, mlm_share=0.06)
    table = random_table(3, 1500, ChainLayout())
    batch = table.batch((table.root_offsets.diff() > 100).nonzero().flatten())
    chosen = mask_batch(batch, rates, 0, 0, VOCAB_SIZE).mlm_labels != NO_LABEL
    runs = [len(list(group)) for is_in, group in groupby(chosen.tolist()) if is_in]
    weights = 0.8 ** np.arange(7)
    expected = float((np.arange(1, 8) * weights).sum() / weights.sum())  # 3.0 roots
    assert np.mean(runs) == pytest.approx(expected, rel=0.2)
    assert max(runs) <= 14  # neighbours merge


def test_no_budget_masks_nothing() -> None:
    batch = random_table(1).batch(range(12))
    masked = mask_batch(batch, replace(RATES, mlm_share=0.0, mnm_share=0.0), 0, 0, VOCAB_SIZE)
    assert torch.equal(masked.root_input_ids, batch.root_ids)
    assert torch.equal(masked.leaf_input_ids, batch.leaf_ids)
    assert torch.equal(masked.leaf_is_hidden, local_restating(batch)[batch.leaf_triples])
    assert torch.equal(masked.relation_inputs, batch.triple_relations)


@settings(max_examples=30)
@given(ids=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=5), seed=st.integers(0))
def test_hash_is_that_of_64_bit_arithmetic(ids: list[int], seed: int) -> None:
    keys = window_keys(torch.tensor(ids), seed, 7)
    for key, window_id in zip(keys.tolist(), ids, strict=True):
        salt = splitmix(splitmix(seed % 2**64) + 7)
        assert key % 2**64 == finalize((window_id % 2**64) ^ salt)


def splitmix(state: int) -> int:
    return finalize((state + 0x9E3779B97F4A7C15) % 2**64)


def finalize(value: int) -> int:
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
    return value ^ (value >> 31)


def test_random_numbers_are_uniform() -> None:
    keys = window_keys(torch.arange(2000), 0, 0)[:, None]
    numbers = uniform(keys, torch.arange(100)[None])
    assert float(numbers.mean()) == pytest.approx(0.5, abs=0.002)
    assert float(numbers.var()) == pytest.approx(1 / 12, abs=0.002)
    drawn = integers(keys, torch.arange(100)[None], 5, 12)
    counts = torch.bincount(drawn.flatten(), minlength=12)
    assert counts[:5].sum() == 0
    assert counts[5:].min() > 0.97 * 200_000 / 7


def test_tails_are_asked_for_whole_and_relations_stay_to_be_seen() -> None:
    batch = random_table(seed=9, num_windows=60).batch(range(60))
    settings = MaskSettings(mnm_share=0.5, mnm_target="tails")
    masked = mask_batch(batch, settings, 0, 0, VOCAB_SIZE)
    relations = mask_batch(batch, replace(settings, mnm_target="relations"), 0, 0, VOCAB_SIZE)
    assert masked.leaf_labels is not None
    is_asked = masked.leaf_labels != NO_LABEL
    wanted = (relations.relation_labels != NO_LABEL)[batch.leaf_triples]
    assert torch.equal(is_asked, wanted)  # the same triples, all their leaves
    assert torch.equal(masked.leaf_labels[is_asked], batch.leaf_ids[is_asked])
    is_mask = masked.leaf_input_ids == settings.mask_token_id
    assert 0.7 < is_mask[is_asked].float().mean() < 0.9
    unasked = relations.leaf_input_ids[~is_asked]
    assert torch.equal(masked.leaf_input_ids[~is_asked], unasked)
    assert torch.equal(masked.relation_inputs, batch.triple_relations)
    assert (masked.relation_labels == NO_LABEL).all()
    held_out = evaluation_masks(batch, settings, VOCAB_SIZE)
    assert held_out.leaf_labels is None
    assert (held_out.relation_labels != NO_LABEL).any()
