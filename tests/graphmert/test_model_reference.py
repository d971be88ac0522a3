"""The model against a naive loop, and packed rows against whole windows."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_model import naive_forward
from random_windows import LAYOUT, pack_windows, random_model, random_windows

from graph_builder.layout import ChainLayout
from graphmert.models.configuration import tiny
from graphmert.models.graphmert import GraphMERTModel

LAYOUTS = [LAYOUT, ChainLayout(6, 1), ChainLayout(3, 4), ChainLayout(2, 2)]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"use_decay": False, "relation_input": "root"},
        {"decay_form": "product", "use_hgat": False, "use_knowledge_mark": False},
        {"decay_form": "product", "are_roots_joined": False},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)], ids=str
)
@torch.no_grad()
def test_forward_equals_a_naive_loop(layout, settings, dtype, tolerance):
    model = random_model(layout, dtype, **settings)
    windows = random_windows(2, layout, seed=3)
    output = model(**windows.arguments())
    exact = model.double()
    for index in range(2):
        window = {name: tensor[index] for name, tensor in windows.arguments().items()}
        states, logits = naive_forward(exact, window)
        for position, state in states.items():
            found = output.last_hidden_state[index, position].double()
            torch.testing.assert_close(found, state, rtol=0, atol=tolerance)
        for (root, slot), expected in logits.items():
            found = output.relation_logits[index, root, slot].double()
            torch.testing.assert_close(found, expected, rtol=0, atol=tolerance * 10)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    num_windows=st.integers(1, 7),
    room=st.integers(0, 60),
    layout=st.sampled_from(LAYOUTS),
)
@torch.no_grad()
def test_packed_rows_equal_whole_windows(seed, num_windows, room, layout):
    model = random_model(layout, torch.float32)
    windows = random_windows(num_windows, layout, seed=seed)
    dense = model(**windows.arguments())
    packed, places = pack_windows(
        windows, layout, layout.num_nodes + room, model.config.masked_relation
    )
    hidden = model.encode(packed)
    assert hidden.isfinite().all()
    for window, place in enumerate(places):
        for position, (row, column) in place.items():
            torch.testing.assert_close(
                hidden[row, column], dense.last_hidden_state[window, position], rtol=0, atol=1e-5
            )


@torch.no_grad()
def test_packed_rows_equal_whole_windows_at_full_size():
    layout = ChainLayout()
    torch.manual_seed(0)
    model = GraphMERTModel(tiny(vocab_size=50)).eval()
    windows = random_windows(3, layout, seed=2, leaf_share=0.1)
    dense = model(**windows.arguments()).last_hidden_state
    packed, places = pack_windows(windows, layout, 700, model.config.masked_relation)
    hidden = model.encode(packed)
    for window, place in enumerate(places):
        positions = list(place)
        rows, columns = torch.tensor(list(place.values())).T
        expected = dense[window, positions]
        torch.testing.assert_close(hidden[rows, columns], expected, rtol=0, atol=1e-5)


@torch.no_grad()
def test_packed_relation_logits_equal_those_of_whole_windows():
    model = random_model(dtype=torch.float32)
    windows = random_windows(20, seed=5)
    dense = model(**windows.arguments())
    packed, places = pack_windows(windows, LAYOUT, 40, model.config.masked_relation)
    logits = model.relation_logits(model.encode(packed), packed)  # (B, E, K)
    at = {
        where: (w, position) for w, place in enumerate(places) for position, where in place.items()
    }
    num_compared = 0
    for row, column in (packed.edge_root >= 0).nonzero().tolist():
        window, leaf = at[row, int(packed.edge_leaf[row, column])]
        _, root = at[row, int(packed.edge_root[row, column])]
        slots = (windows.graph_structure[window, root] == leaf).nonzero().flatten().tolist()
        for slot in slots:
            expected = dense.relation_logits[window, root, slot]
            torch.testing.assert_close(logits[row, column], expected, rtol=0, atol=1e-4)
            num_compared += 1
    assert num_compared > 20


@torch.no_grad()
def test_what_is_hidden_changes_nothing():
    model = random_model()
    windows = random_windows(4, seed=9)
    is_hidden = windows.attention_mask == 0
    before = model(**windows.arguments()).last_hidden_state
    windows.input_ids[is_hidden] = (windows.input_ids[is_hidden] + 1) % 40
    after = model(**windows.arguments()).last_hidden_state
    assert after.isfinite().all()
    assert torch.equal(before[~is_hidden], after[~is_hidden])
    assert not torch.equal(before[is_hidden], after[is_hidden])
