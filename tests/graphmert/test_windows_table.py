"""A window table gives back exactly what was stored, whichever windows a batch takes."""

import pyarrow as pa
import torch
from chain_graph_examples import random_chain_graphs
from hypothesis import given, settings
from hypothesis import strategies as st

from graph_builder.record import SCHEMA
from graph_builder.shards import records_table
from graphmert.data.windows import WindowTable


@settings(max_examples=20)
@given(seed=st.integers(0, 2**31), data=st.data())
def test_batch_holds_the_chosen_records_in_order(seed: int, data: st.DataObject) -> None:
    records = random_chain_graphs(seed, 7)
    cut = data.draw(st.integers(0, 7))
    parts = [records_table(part) for part in (records[:cut], records[cut:])]
    table = WindowTable.from_arrow(pa.concat_tables(parts))
    chosen = data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=9))
    batch = table.batch(chosen)
    assert batch.window_ids.tolist() == [records[i].window_id for i in chosen]
    for window, index in enumerate(chosen):
        record = records[index]
        roots = (batch.root_windows == window).nonzero().flatten()
        leaves = (batch.leaf_windows == window).nonzero().flatten()
        triples = (batch.triple_windows == window).nonzero().flatten()
        assert batch.root_ids[roots].tolist() == record.root_ids.tolist()
        assert batch.root_names[roots].tolist() == record.root_names.tolist()
        assert batch.root_index[roots].tolist() == list(range(len(roots)))
        sizes = [
            end - start if start >= 0 else 0
            for start, end in zip(record.root_starts, record.root_ends, strict=True)
        ]
        assert batch.root_bytes[roots].tolist() == sizes
        assert batch.leaf_ids[leaves].tolist() == record.leaf_ids.tolist()
        assert batch.leaf_names[leaves].tolist() == record.leaf_names.tolist()
        own_roots = batch.root_index[batch.leaf_roots[leaves]].tolist()
        assert own_roots == record.leaf_roots.tolist()
        assert (batch.root_windows[batch.leaf_roots[leaves]] == window).all()
        assert batch.leaf_slots[leaves].tolist() == [
            own_roots[:i].count(root) for i, root in enumerate(own_roots)
        ]
        own_triples = batch.leaf_triples[leaves]
        assert batch.triple_index[own_triples].tolist() == record.leaf_triples.tolist()
        assert batch.triple_relations[triples].tolist() == record.triple_relations.tolist()
        assert batch.triple_index[triples].tolist() == list(range(len(triples)))
        head_starts = batch.triple_head_starts[triples]
        assert batch.root_index[head_starts].tolist() == record.triple_head_starts.tolist()
        assert batch.triple_is_reversed[triples].tolist() == record.triple_is_reversed.tolist()
        assert batch.triple_is_knowledge[triples].tolist() == record.triple_is_knowledge.tolist()


def test_token_counts_and_provenance() -> None:
    records = random_chain_graphs(1, 5)
    table = WindowTable.from_arrow(records_table(records))
    assert table.num_windows == 5
    counts = [len(record.root_ids) + len(record.leaf_ids) for record in records]
    assert table.num_tokens.tolist() == counts
    assert table.describe(4)["qualified_name"] == records[4].qualified_name
    assert table.describe(4)["start_line"] == 5


def test_empty_split_is_a_table_of_no_windows() -> None:
    table = WindowTable.from_arrow(SCHEMA.empty_table())
    assert table.num_windows == 0
    assert table.batch(torch.zeros(0, dtype=torch.int64)).num_windows == 0
