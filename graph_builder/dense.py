"""A record as the dense tensors of the chain graph, 1024 positions wide in the default layout.

Training packs ragged records; this form is for `.pt` shards and for whoever wants plain tensors.
Legend: R roots (128), L leaves per root (7), N = R * (1 + L) nodes (1024).
"""

import numpy as np

from graph_builder.layout import ChainLayout
from graph_builder.record import ChainGraph

ABSENT = -1


def to_dense(record: ChainGraph, layout: ChainLayout, pad_id: int) -> dict[str, np.ndarray]:
    """Return the tensors of one window by name; -1 is absent, `root_bytes` is 0 without a span.

    input_ids (N,) int32; attention_mask, token_type_ids (N,) int8 (0 root, 1 leaf);
    graph_structure (R, L) int16, the leaf's position; relation_ids (R, L) int8; triple_ids,
    head_starts, head_lengths, leaf_names (R, L) int16; is_reversed, is_knowledge (R, L) bool;
    root_names, root_bytes (R,) int16; window_id () int64.
    """
    num_roots, shape = len(record.root_ids), (layout.num_roots, layout.leaves_per_root)
    assert num_roots <= layout.num_roots
    assert layout.num_nodes <= np.iinfo(np.int16).max
    roots, triples = record.leaf_roots, record.leaf_triples
    slots = leaf_slots(roots)
    positions = layout.leaf_position(roots.astype(np.int64), slots)

    input_ids = np.full(layout.num_nodes, pad_id, dtype=np.int32)
    input_ids[:num_roots], input_ids[positions] = record.root_ids, record.leaf_ids
    attention_mask = np.zeros(layout.num_nodes, dtype=np.int8)
    attention_mask[:num_roots], attention_mask[positions] = 1, 1

    def per_slot(values: np.ndarray, absent: int | bool = ABSENT) -> np.ndarray:
        dense = np.full(shape, absent, dtype=values.dtype)
        dense[roots, slots] = values
        return dense  # (R, L)

    return {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "token_type_ids": np.repeat(
            np.array([0, 1], np.int8), [layout.num_roots, layout.num_leaves]
        ),
        "graph_structure": per_slot(positions.astype(np.int16)),
        "relation_ids": per_slot(record.triple_relations[triples]),
        "triple_ids": per_slot(triples),
        "head_starts": per_slot(record.triple_head_starts[triples]),
        "head_lengths": per_slot(record.triple_head_lengths[triples]),
        "is_reversed": per_slot(record.triple_is_reversed[triples], False),
        "is_knowledge": per_slot(record.triple_is_knowledge[triples], False),
        "leaf_names": per_slot(record.leaf_names),
        "root_names": _roots(layout, record.root_names, ABSENT),
        "root_bytes": _roots(layout, (record.root_ends - record.root_starts).astype(np.int16), 0),
        "window_id": np.array(record.window_id, dtype=np.int64),
    }


def leaf_slots(leaf_roots: np.ndarray) -> np.ndarray:
    """Return the slot of each leaf, given its root (F,), sorted: its rank among its root's."""
    return np.arange(len(leaf_roots)) - np.searchsorted(leaf_roots, leaf_roots)  # (F,)


def _roots(layout: ChainLayout, values: np.ndarray, fill: int) -> np.ndarray:
    dense = np.full(layout.num_roots, fill, dtype=values.dtype)
    dense[: len(values)] = values
    return dense  # (R,)
