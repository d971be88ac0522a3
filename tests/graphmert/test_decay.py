"""Distances in closed form against shortest paths, and the decay's values."""

import math

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_model import chain_edges, floyd_warshall

from graph_builder.layout import ChainLayout
from graphmert.models.decay import DistanceDecay, chain_distances


def closed_form(layout: ChainLayout) -> torch.Tensor:
    """Return the distances of all nodes of one window, (N, N), in the layout's order."""
    pairs = [(root, -1) for root in range(layout.num_roots)]
    pairs += [(r, s) for r in range(layout.num_roots) for s in range(layout.leaves_per_root)]
    root_index, leaf_slot = torch.tensor(pairs).T
    return chain_distances(root_index[None], leaf_slot[None])[0]


@settings(max_examples=30)
@given(num_roots=st.integers(1, 9), leaves_per_root=st.integers(0, 5))
def test_distances_are_shortest_paths(num_roots, leaves_per_root):
    layout = ChainLayout(num_roots, leaves_per_root)
    graph = nx.Graph(chain_edges(layout))
    graph.add_nodes_from(range(layout.num_nodes))
    found = closed_form(layout)
    for one, lengths in nx.all_pairs_shortest_path_length(graph):
        assert found[one].tolist() == [lengths[other] for other in range(layout.num_nodes)]
    assert found.tolist() == floyd_warshall(layout).tolist()


def test_the_layouts_longest_distance_is_reached():
    layout = ChainLayout()
    assert closed_form(layout).max() == layout.max_distance == 129


def test_decay_follows_its_formula():
    decay = DistanceDecay(3, 130, base=0.6, initial_p=1.0, is_learnable=True).double()
    with torch.no_grad():
        decay.p[1], decay.p[2] = 0.3, 2.5
    table = decay()
    for head, p in enumerate(decay.p.tolist()):
        for distance in (0, 1, 2, 20, 129):
            x = math.sqrt(distance + 1) - p
            gelu = x * (1 + math.erf(x / math.sqrt(2))) / 2
            assert table[head, distance].item() == pytest.approx(0.6**gelu, rel=1e-12)


def test_logarithm_and_both_slopes_are_those_of_the_decay():
    decay = DistanceDecay(2, 40, base=0.6, initial_p=1.2, is_learnable=True).double()
    torch.testing.assert_close(decay.logarithm(), decay().log())
    for table, slope in ((decay(), decay.slope()), (decay.logarithm(), decay.log_slope())):
        for distance in (0, 1, 5, 39):
            (wanted,) = torch.autograd.grad(table[:, distance].sum(), decay.p, retain_graph=True)
            torch.testing.assert_close(slope[:, distance], wanted)


def test_decay_is_zero_past_the_farthest_that_is_joined():
    decay = DistanceDecay(1, 9, base=0.6, initial_p=1.0, is_learnable=True, farthest=2)
    everywhere = DistanceDecay(1, 9, base=0.6, initial_p=1.0, is_learnable=True)
    assert torch.equal(decay()[:, :3], everywhere()[:, :3])
    assert not decay()[:, 3:].any()
    assert not decay.slope()[:, 3:].any()


def test_decay_starts_at_one_and_falls():
    table = DistanceDecay(1, 130, base=0.6, initial_p=1.0, is_learnable=True)()[0].tolist()
    assert table[0] == 1
    assert table == sorted(table, reverse=True)
    assert table[20] == pytest.approx(0.16, abs=0.005)
    assert table[129] == pytest.approx(0.005, abs=0.0005)
