"""A window table gives back exactly what was stored, whichever windows a batch takes."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_windows import arrow, random_records

from graph_builder.record import SCHEMA
from graphmert.data.windows import WindowTable


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), data=st.data())
def test_batch_holds_the_chosen_records_in_order(seed: int, data: st.DataObject) -> None:
    records = random_records(seed, 7)
    table = WindowTable.from_arrow(arrow(records, data.draw(st.integers(1, 4))))
    chosen = data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=9))
    batch = table.batch(chosen)
    assert batch.window_ids.tolist() == [records[i]["window_id"] for i in chosen]
    for window, index in enumerate(chosen):
        record = records[index]
        roots = (batch.root_windows == window).nonzero().flatten()
        leaves = (batch.leaf_windows == window).nonzero().flatten()
        triples = (batch.triple_windows == window).nonzero().flatten()
        assert batch.root_ids[roots].tolist() == record["root_ids"]
        assert batch.root_names[roots].tolist() == record["root_names"]
        assert batch.root_index[roots].tolist() == list(range(len(roots)))
        sizes = [
            end - start if start >= 0 else 0
            for start, end in zip(record["root_starts"], record["root_ends"], strict=True)
        ]
        assert batch.root_bytes[roots].tolist() == sizes
        assert batch.leaf_ids[leaves].tolist() == record["leaf_ids"]
        assert batch.leaf_names[leaves].tolist() == record["leaf_names"]
        own_roots = batch.root_index[batch.leaf_roots[leaves]].tolist()
        assert own_roots == record["leaf_roots"]
        assert (batch.root_windows[batch.leaf_roots[leaves]] == window).all()
        assert batch.leaf_slots[leaves].tolist() == [
            own_roots[:i].count(root) for i, root in enumerate(own_roots)
        ]
        own_triples = batch.leaf_triples[leaves]
        assert batch.triple_index[own_triples].tolist() == record["leaf_triples"]
        assert batch.triple_relations[triples].tolist() == record["triple_relations"]
        assert batch.triple_index[triples].tolist() == list(range(len(triples)))
        head_starts = batch.triple_head_starts[triples]
        assert batch.root_index[head_starts].tolist() == record["triple_head_starts"]
        assert batch.triple_is_reversed[triples].tolist() == record["triple_is_reversed"]
        assert batch.triple_is_knowledge[triples].tolist() == record["triple_is_knowledge"]


def test_token_counts_and_provenance() -> None:
    records = random_records(1, 5)
    table = WindowTable.from_arrow(arrow(records, 2))
    assert table.num_windows == 5
    counts = [len(r["root_ids"]) + len(r["leaf_ids"]) for r in records]  # type: ignore[arg-type]
    assert table.num_tokens.tolist() == counts
    assert table.describe(4)["qualified_name"] == "pkg.f4"
    assert table.describe(4)["start_line"] == 5


def test_empty_split_is_a_table_of_no_windows() -> None:
    table = WindowTable.from_arrow(SCHEMA.empty_table())
    assert table.num_windows == 0
    assert table.batch(torch.zeros(0, dtype=torch.int64)).num_windows == 0
