"""H-GAT, batched over edges, against a loop over triples; and which edges it counts."""

import dataclasses

import pytest
import torch
from naive_model import naive_hgat
from random_windows import LAYOUT, NUM_RELATIONS, Windows, random_model, random_windows

from graph_builder.layout import ChainLayout
from graphmert.models.dense import dense_graph_inputs
from graphmert.models.graphmert import GraphMERTModel
from graphmert.models.inputs import GraphInputs

FIRST_LEAF = LAYOUT.leaf_position(0, 0)
HEAD_LENGTH = 2


def inputs_of(model: GraphMERTModel, windows: Windows) -> GraphInputs:
    arguments = windows.arguments()
    return dense_graph_inputs(
        **arguments, layout=model.config.layout, num_relations=model.config.num_relations
    )


def terms(model: GraphMERTModel, windows: Windows, hidden: torch.Tensor) -> torch.Tensor:
    """Return what H-GAT adds to each token, (B, N, C)."""
    return model.hgat(hidden, inputs_of(model, windows)) - hidden


def one_edge(relation: int, *, slots: tuple[tuple[int, int], ...] = ((1, 0),)) -> Windows:
    """Return one window, all real, where each of `slots` feeds the first leaf from two tokens."""
    shape = (1, LAYOUT.num_roots, LAYOUT.leaves_per_root)
    structure, relations = torch.full(shape, -1), torch.full(shape, -1)
    starts, lengths = torch.full(shape, -1), torch.full(shape, -1)
    for root, slot in slots:
        structure[0, root, slot] = FIRST_LEAF
        relations[0, root, slot] = relation
        starts[0, root, slot], lengths[0, root, slot] = root, HEAD_LENGTH
    nodes = torch.arange(LAYOUT.num_nodes)[None]
    is_leaf = (nodes >= LAYOUT.num_roots).long()
    is_knowledge = torch.zeros(shape, dtype=torch.bool)
    mask = torch.ones_like(nodes)
    return Windows(nodes, mask, is_leaf, structure, relations, starts, lengths, is_knowledge)


@pytest.fixture
def model() -> GraphMERTModel:
    return random_model()


@pytest.fixture
def hidden() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(1, LAYOUT.num_nodes, 12, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("layout", [LAYOUT, ChainLayout(9, 2), ChainLayout(1, 4)], ids=str)
@pytest.mark.parametrize("seed", range(4))
@torch.no_grad()
def test_batched_equals_a_loop_over_triples(layout, seed):
    model = random_model(layout, seed=seed)
    windows = random_windows(3, layout, seed=seed)
    states = torch.randn(3, layout.num_nodes, 12, dtype=torch.float64)
    found = model.hgat(states, inputs_of(model, windows))
    for index in range(3):
        window = {name: tensor[index] for name, tensor in windows.arguments().items()}
        torch.testing.assert_close(found[index], naive_hgat(model, states[index], window))


@torch.no_grad()
def test_only_the_named_leaf_changes(model, hidden):
    changed = terms(model, one_edge(0), hidden).abs().sum(-1)[0].nonzero().flatten().tolist()
    assert changed == [FIRST_LEAF]


@torch.no_grad()
def test_a_leaf_named_twice_gets_both_terms(model, hidden):
    both = terms(model, one_edge(2, slots=((1, 0), (3, 2))), hidden)
    one, other = (terms(model, one_edge(2, slots=(slot,)), hidden) for slot in ((1, 0), (3, 2)))
    torch.testing.assert_close(both, one + other)
    twice = terms(model, one_edge(2, slots=((1, 0), (1, 1))), hidden)
    torch.testing.assert_close(twice, 2 * one)


@torch.no_grad()
def test_masked_absent_and_each_relation_differ(model, hidden):
    absent = terms(model, one_edge(0, slots=()), hidden)
    assert not absent.any()
    masked = terms(model, one_edge(-1), hidden)
    known = [terms(model, one_edge(relation), hidden) for relation in range(NUM_RELATIONS)]
    seen = [absent, masked, *known]
    for index, one in enumerate(seen):
        assert not any(torch.allclose(one, other) for other in seen[:index])


@torch.no_grad()
def test_a_hidden_leaf_gets_nothing_and_a_hidden_head_gives_nothing(model, hidden):
    edge = one_edge(1)
    for gone in (FIRST_LEAF, [1, 2]):
        mask = edge.attention_mask.clone()
        mask[0, gone] = 0
        assert not terms(model, dataclasses.replace(edge, attention_mask=mask), hidden).any()


@torch.no_grad()
def test_a_hidden_token_of_a_head_counts_as_if_it_were_not_there(model, hidden):
    edge = one_edge(1)
    mask = edge.attention_mask.clone()
    mask[0, 2] = 0
    shorter = dataclasses.replace(edge, head_lengths=edge.head_lengths.clamp(max=1))
    found = terms(model, dataclasses.replace(edge, attention_mask=mask), hidden)
    torch.testing.assert_close(found, terms(model, shorter, hidden))


def test_dropout_falls_on_the_terms_in_training_only(model, hidden):
    edge = one_edge(1)
    whole = terms(model, edge, hidden)[0, FIRST_LEAF]
    model.hgat.train()
    torch.manual_seed(0)
    drawn = torch.stack([terms(model, edge, hidden)[0, FIRST_LEAF] for _ in range(200)])
    is_dropped = drawn.abs() < 1e-12
    torch.testing.assert_close(drawn[~is_dropped], (whole / 0.7).expand_as(drawn)[~is_dropped])
    assert is_dropped.double().mean().item() == pytest.approx(0.3, abs=0.05)


def test_every_parameter_learns_from_an_edge_of_its_relation(model):
    generator = torch.Generator().manual_seed(1)
    for relation in (*range(NUM_RELATIONS), -1):
        inputs = inputs_of(model, one_edge(relation))
        model.hgat.zero_grad()
        # Several states: a leaf's half of a_r counts only where the scores of its head's tokens
        # differ in sign.
        for _ in range(8):
            hidden = torch.randn(1, LAYOUT.num_nodes, 12, generator=generator, dtype=torch.float64)
            model.hgat(hidden, inputs)[0, FIRST_LEAF].square().sum().backward()
        for parameter in model.hgat.parameters():
            touched = parameter.grad.flatten(1).abs().sum(1).nonzero().flatten().tolist()
            assert touched == ([relation] if relation >= 0 else [NUM_RELATIONS])
