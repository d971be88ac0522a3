"""The dense tensors say what the record says, position by position."""

import numpy as np
import pytest
from chain_graph_examples import random_chain_graphs

from graph_builder.dense import to_dense
from graph_builder.layout import ChainLayout
from graph_builder.record import ChainGraph

LAYOUTS = [ChainLayout(), ChainLayout(num_roots=11, leaves_per_root=3), ChainLayout(5, 1)]
PAD = 1


def slow_dense(record: ChainGraph, layout: ChainLayout) -> dict[str, np.ndarray]:
    """Write one position after the other, as DESIGN's list of tensors reads."""
    shape = (layout.num_roots, layout.leaves_per_root)
    per_slot = ["graph_structure", "relation_ids", "triple_ids", "head_starts", "head_lengths"]
    dense = {name: np.full(shape, -1) for name in [*per_slot, "leaf_names"]}
    dense |= {name: np.zeros(shape, dtype=bool) for name in ("is_reversed", "is_knowledge")}
    dense["input_ids"] = np.full(layout.num_nodes, PAD)
    dense["attention_mask"] = np.zeros(layout.num_nodes, dtype=int)
    dense["token_type_ids"] = np.array([int(i >= shape[0]) for i in range(layout.num_nodes)])
    dense["root_names"], dense["root_bytes"] = np.full(shape[0], -1), np.zeros(shape[0], dtype=int)
    dense["window_id"] = np.array(record.window_id)
    for root, token in enumerate(record.root_ids):
        dense["input_ids"][root], dense["attention_mask"][root] = token, 1
        dense["root_names"][root] = record.root_names[root]
        dense["root_bytes"][root] = record.root_ends[root] - record.root_starts[root]
    used = [0] * shape[0]
    for leaf, root in enumerate(record.leaf_roots):
        at = (root, used[root])
        position, triple = layout.leaf_position(*at), record.leaf_triples[leaf]
        used[root] += 1
        dense["input_ids"][position], dense["attention_mask"][position] = record.leaf_ids[leaf], 1
        dense["graph_structure"][at], dense["triple_ids"][at] = position, triple
        dense["leaf_names"][at] = record.leaf_names[leaf]
        dense["relation_ids"][at] = record.triple_relations[triple]
        dense["head_starts"][at] = record.triple_head_starts[triple]
        dense["head_lengths"][at] = record.triple_head_lengths[triple]
        dense["is_reversed"][at] = record.triple_is_reversed[triple]
        dense["is_knowledge"][at] = record.triple_is_knowledge[triple]
    return dense


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_equals_writing_position_by_position(layout: ChainLayout) -> None:
    for record in random_chain_graphs(0, 30, layout):
        dense, expected = to_dense(record, layout, PAD), slow_dense(record, layout)
        assert dense.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_array_equal(dense[name], values, err_msg=name)


def test_types_are_those_that_pt_shards_store() -> None:
    record = next(r for r in random_chain_graphs(1, 9) if len(r.leaf_ids))
    dense = to_dense(record, ChainLayout(), PAD)
    types = {name: str(values.dtype) for name, values in dense.items()}
    assert types == {
        "input_ids": "int32",
        "attention_mask": "int8",
        "token_type_ids": "int8",
        "graph_structure": "int16",
        "relation_ids": "int8",
        "triple_ids": "int16",
        "head_starts": "int16",
        "head_lengths": "int16",
        "is_reversed": "bool",
        "is_knowledge": "bool",
        "leaf_names": "int16",
        "root_names": "int16",
        "root_bytes": "int16",
        "window_id": "int64",
    }
    assert dense["input_ids"].shape == (1024,)
    assert dense["graph_structure"].shape == (128, 7)
