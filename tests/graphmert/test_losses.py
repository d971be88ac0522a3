"""The losses: the seed's checks, and what it means that a triple is masked as a whole."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphmert.training.losses import (
    NO_LABEL,
    compute_relation_prediction_loss,
    create_relation_masking_labels,
)


def random_graph(seed: int, batch: int = 2, present: float = 0.5) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, 128, 7)
    is_present = torch.rand(shape, generator=generator) < present
    positions = torch.arange(128, 1024).view(128, 7).expand(shape)
    structure = torch.where(is_present, positions, -1)
    relations = torch.randint(0, 12, shape, generator=generator).masked_fill(~is_present, -1)
    triples = torch.randint(0, 60, shape, generator=generator).masked_fill(~is_present, -1)
    return relations, structure, triples


def test_seed_shapes_and_masked_share() -> None:
    relations, structure, _ = random_graph(0, present=1.0)
    generator = torch.Generator().manual_seed(1)
    masked, labels = create_relation_masking_labels(relations, structure, generator=generator)
    assert masked.shape == labels.shape == (2, 128, 7)
    assert 200 <= int((labels != NO_LABEL).sum()) <= 340  # 15% of 1,792 is 268
    assert int((masked == -1).sum()) > 0.6 * int((labels != NO_LABEL).sum())


def test_seed_loss_of_random_logits_is_near_ln_12() -> None:
    logits = 0.1 * torch.randn(2, 128, 7, 12, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(0, 12, (2, 128, 7), generator=torch.Generator().manual_seed(1))
    assert float(compute_relation_prediction_loss(logits, labels)) == pytest.approx(
        math.log(12), abs=0.05
    )


def test_seed_perfect_predictions_beat_random_ones() -> None:
    labels = torch.randint(0, 12, (2, 128, 7), generator=torch.Generator().manual_seed(1))
    perfect = 10.0 * torch.nn.functional.one_hot(labels, 12).float()
    random = torch.randn(2, 128, 7, 12, generator=torch.Generator().manual_seed(2))
    perfect_loss = float(compute_relation_prediction_loss(perfect, labels))
    assert perfect_loss < 0.01
    assert perfect_loss < float(compute_relation_prediction_loss(random, labels))


def test_loss_is_the_mean_over_labelled_slots_only() -> None:
    logits = torch.randn(1, 3, 2, 12, generator=torch.Generator().manual_seed(0))
    labels = torch.full((1, 3, 2), NO_LABEL)
    labels[0, 1, 1], labels[0, 2, 0] = 4, 9
    expected = -(logits[0, 1, 1].log_softmax(-1)[4] + logits[0, 2, 0].log_softmax(-1)[9]) / 2
    torch.testing.assert_close(compute_relation_prediction_loss(logits, labels), expected)


def test_loss_without_labels_is_zero_and_has_a_gradient() -> None:
    logits = torch.randn(1, 3, 2, 12, requires_grad=True)
    loss = compute_relation_prediction_loss(logits, torch.full((1, 3, 2), NO_LABEL))
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert logits.grad is not None
    assert not logits.grad.any()


@settings(max_examples=25)
@given(seed=st.integers(0, 2**31), mask_prob=st.floats(0.0, 1.0))
def test_slots_of_a_triple_are_masked_alike_and_absent_ones_never(
    seed: int, mask_prob: float
) -> None:
    relations, structure, triples = random_graph(seed)
    masked, labels = create_relation_masking_labels(
        relations,
        structure,
        mask_prob,
        triple_ids=triples,
        generator=torch.Generator().manual_seed(seed),
    )
    is_chosen = labels != NO_LABEL
    assert not is_chosen[structure == -1].any()
    assert torch.equal(masked[~is_chosen], relations[~is_chosen])
    assert torch.equal(labels[is_chosen], relations[is_chosen])
    for window in range(2):
        for triple in range(60):
            slots = triples[window] == triple
            assert len(set(is_chosen[window][slots].tolist())) <= 1


def test_the_generator_alone_decides() -> None:
    relations, structure, triples = random_graph(3)
    first, second = (
        create_relation_masking_labels(
            relations, structure, triple_ids=triples, generator=torch.Generator().manual_seed(5)
        )
        for _ in range(2)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="must have one shape"):
        create_relation_masking_labels(torch.zeros(2, 128, 7), torch.zeros(2, 128, 6))
