"""The five checks of the first design: masking, loss, head and shapes at full size."""

import math

import pytest
import torch

from graphmert import GraphMERTConfig, GraphMERTModel
from graphmert.training.losses import (
    compute_relation_prediction_loss,
    create_relation_masking_labels,
)

NUM_WINDOWS, NUM_ROOTS, LEAVES_PER_ROOT, NUM_RELATIONS = 2, 128, 7, 12
SLOTS = (NUM_WINDOWS, NUM_ROOTS, LEAVES_PER_ROOT)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="module")
def model() -> GraphMERTModel:
    """Return a model of CodeBERT's width, one layer deep."""
    torch.manual_seed(0)
    config = GraphMERTConfig(
        vocab_size=1000, hidden_size=768, num_hidden_layers=1, num_relations=NUM_RELATIONS
    )
    return GraphMERTModel(config).eval()


@pytest.fixture(scope="module")
def windows() -> dict[str, torch.Tensor]:
    """Return windows that no builder would write: any leaf in any slot."""
    g = seeded()
    structure = torch.randint(128, 1024, SLOTS, generator=g)
    return {
        "input_ids": torch.randint(0, 1000, (NUM_WINDOWS, 1024), generator=g),
        "attention_mask": torch.ones(NUM_WINDOWS, 1024, dtype=torch.long),
        "token_type_ids": (torch.arange(1024) >= 128).long().expand(NUM_WINDOWS, -1),
        "graph_structure": structure.masked_fill(torch.rand(SLOTS, generator=g) < 0.3, -1),
        "relation_ids": torch.randint(0, NUM_RELATIONS, SLOTS, generator=g),
    }


def test_relations_are_masked_by_slot(windows):
    relations, structure = windows["relation_ids"], windows["graph_structure"]
    masked, labels = create_relation_masking_labels(relations, structure, generator=seeded())
    assert masked.shape == labels.shape == SLOTS
    num_present = int((structure >= 0).sum())
    assert int((labels != -100).sum()) == pytest.approx(0.15 * num_present, rel=0.3)
    assert (labels[structure < 0] == -100).all()


def test_untrained_loss_is_near_that_of_a_guess(model, windows):
    masked, labels = create_relation_masking_labels(
        windows["relation_ids"], windows["graph_structure"], generator=seeded()
    )
    with torch.no_grad():
        logits = model(**windows | {"relation_ids": masked}).relation_logits
    loss = compute_relation_prediction_loss(logits, labels)
    assert loss.item() == pytest.approx(math.log(NUM_RELATIONS), abs=0.5)


def test_the_relation_head_is_there(model):
    head = model.relation_head
    assert (head.in_features, head.out_features) == (768, NUM_RELATIONS)
    assert sum(parameter.numel() for parameter in head.parameters()) == 9228


@torch.no_grad()
def test_forward_shapes(model, windows):
    output = model(**windows)
    assert output.last_hidden_state.shape == (NUM_WINDOWS, 1024, 768)
    assert output.relation_logits.shape == (*SLOTS, NUM_RELATIONS)
    # The seed's reading of the head, from the roots alone, has the same shape.
    roots = output.last_hidden_state[:, :NUM_ROOTS, None].expand(-1, -1, LEAVES_PER_ROOT, -1)
    assert model.relation_head(roots).shape == output.relation_logits.shape


def test_perfect_predictions_cost_less_than_random_ones(windows):
    relations = windows["relation_ids"]
    _, labels = create_relation_masking_labels(
        relations, windows["graph_structure"], generator=seeded()
    )
    perfect = torch.nn.functional.one_hot(relations, NUM_RELATIONS) * 10.0
    random = torch.randn(perfect.shape, generator=seeded())
    assert compute_relation_prediction_loss(perfect, labels) < 0.01
    assert compute_relation_prediction_loss(random, labels) > 2
