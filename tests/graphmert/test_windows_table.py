"""A window table gives back exactly what was stored, whichever windows a batch takes."""

import numpy as np
import pyarrow as pa
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graph_builder.record import SCHEMA
from graphmert.data.windows import WindowTable


def random_records(seed: int, num_windows: int) -> list[dict[str, object]]:
    """Make records of any sizes, windows without leaves and without triples among them."""
    rng = np.random.default_rng(seed)
    return [random_record(rng, index) for index in range(num_windows)]


def random_record(rng: np.random.Generator, index: int) -> dict[str, object]:
    num_roots = int(rng.integers(2, 20))
    num_triples = int(rng.integers(0, 6))
    heads = np.sort(rng.integers(1, num_roots, num_triples)) if num_roots > 1 else []
    lengths = rng.integers(1, 3, num_triples)
    leaf_triples = np.repeat(np.arange(num_triples), lengths)
    starts = np.arange(num_roots) * 4
    starts[[0, -1]] = -1
    return {
        "window_id": int(rng.integers(-(2**63), 2**63 - 1)),
        "source": "installed:click",
        "revision": "abc",
        "path": f"file{index % 3}.py",
        "qualified_name": f"pkg.f{index}",
        "kind": "function",
        "window_index": index,
        "start_line": 1 + index,
        "end_line": 5 + index,
        "root_ids": rng.integers(5, 500, num_roots).tolist(),
        "root_starts": starts.tolist(),
        "root_ends": np.where(starts < 0, -1, starts + rng.integers(1, 5, num_roots)).tolist(),
        "root_names": rng.integers(-1, 5, num_roots).tolist(),
        "leaf_ids": rng.integers(5, 500, len(leaf_triples)).tolist(),
        "leaf_roots": np.asarray(heads)[leaf_triples].astype(int).tolist(),
        "leaf_names": rng.integers(-1, 5, len(leaf_triples)).tolist(),
        "leaf_triples": leaf_triples.tolist(),
        "triple_relations": rng.integers(0, 12, num_triples).tolist(),
        "triple_head_starts": np.asarray(heads).astype(int).tolist(),
        "triple_head_lengths": np.ones(num_triples, int).tolist(),
        "triple_is_reversed": (rng.random(num_triples) < 0.3).tolist(),
        "triple_is_knowledge": (rng.random(num_triples) < 0.5).tolist(),
        "triple_heads": ["head"] * num_triples,
        "triple_tails": ["tail"] * num_triples,
    }


def arrow(records: list[dict[str, object]], num_chunks: int = 1) -> pa.Table:
    parts = np.array_split(np.arange(len(records)), num_chunks)
    tables = [pa.Table.from_pylist([records[i] for i in part], schema=SCHEMA) for part in parts]
    return pa.concat_tables(tables)


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
