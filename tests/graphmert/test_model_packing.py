"""Records that were masked and packed for training, against the same records as whole windows."""

import numpy as np
import pytest
import torch
from chain_graph_examples import random_chain_graphs

from graph_builder.dense import to_dense
from graph_builder.layout import ChainLayout
from graph_builder.shards import records_table
from graphmert.data.packing import PackedRows, pack
from graphmert.data.windows import RaggedBatch, WindowTable
from graphmert.models.configuration import GraphMERTConfig
from graphmert.models.graphmert import GraphMERTModel
from graphmert.training.masking import MaskedBatch, MaskSettings, mask_batch

LAYOUT = ChainLayout(num_roots=24)
VOCAB_SIZE = 100
FORWARD_NAMES = (
    "input_ids",
    "attention_mask",
    "token_type_ids",
    "graph_structure",
    "relation_ids",
    "triple_ids",
    "head_starts",
    "head_lengths",
    "is_reversed",
    "is_knowledge",
)


def leaf_places(batch: RaggedBatch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return each leaf's window, root and slot, (F,) each."""
    return batch.leaf_windows, batch.root_index[batch.leaf_roots], batch.leaf_slots


def mask_dense(
    dense: dict[str, torch.Tensor], batch: RaggedBatch, masked: MaskedBatch
) -> dict[str, torch.Tensor]:
    """Return the dense tensors with the batch's masks written into them."""
    windows, roots, slots = leaf_places(batch)
    positions = LAYOUT.num_roots + LAYOUT.leaves_per_root * roots + slots
    ids, mask = dense["input_ids"].clone(), dense["attention_mask"].clone()
    ids[batch.root_windows, batch.root_index] = masked.root_input_ids.to(ids.dtype)
    ids[windows, positions] = masked.leaf_input_ids.to(ids.dtype)
    mask[windows, positions] = (~masked.leaf_is_hidden).to(mask.dtype)
    relations, known = dense["relation_ids"].clone(), masked.relation_inputs[batch.leaf_triples]
    known = known.masked_fill(known == MaskSettings().num_relations, -1)
    relations[windows, roots, slots] = known.to(relations.dtype)
    return dense | {"input_ids": ids, "attention_mask": mask, "relation_ids": relations}


def assert_rows_hold_windows(
    packed: PackedRows, hidden: torch.Tensor, logits: torch.Tensor, dense_output
) -> None:
    """Compare every token and every edge of the rows with its place in the whole windows."""
    inputs = packed.inputs
    rows, columns = (inputs.window_index >= 0).nonzero(as_tuple=True)
    windows = inputs.window_index[rows, columns]
    expected = dense_output.last_hidden_state[windows, inputs.position_ids[rows, columns]]
    torch.testing.assert_close(hidden[rows, columns], expected, rtol=0, atol=1e-5)
    rows, columns = (inputs.edge_leaf >= 0).nonzero(as_tuple=True)
    leaves = inputs.edge_leaf[rows, columns]
    windows, roots = inputs.window_index[rows, leaves], inputs.root_index[rows, leaves]
    expected = dense_output.relation_logits[windows, roots, inputs.leaf_slot[rows, leaves]]
    assert len(rows) > 50
    torch.testing.assert_close(logits[rows, columns], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("row_length", [None, LAYOUT.num_nodes, 500])
@pytest.mark.parametrize("seed", range(3))
@torch.no_grad()
def test_packed_training_rows_equal_whole_windows(seed, row_length):
    torch.manual_seed(seed)
    config = GraphMERTConfig(
        vocab_size=VOCAB_SIZE,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        num_roots=LAYOUT.num_roots,
        initializer_range=0.2,  # wide, so that attention and H-GAT weigh
    )
    model = GraphMERTModel(config).eval()
    records = random_chain_graphs(seed, 8, LAYOUT, VOCAB_SIZE)
    stacked = [to_dense(record, LAYOUT, pad_id=1) for record in records]
    dense = {
        name: torch.from_numpy(np.stack([tensors[name] for tensors in stacked]))
        for name in FORWARD_NAMES
    }
    batch = WindowTable.from_arrow(records_table(records), LAYOUT).batch(range(len(records)))
    masked = mask_batch(batch, MaskSettings(), seed, 0, VOCAB_SIZE)
    packed = pack(batch, masked, row_length)

    hidden = model.encode(packed.inputs)
    logits = model.relation_logits(hidden, packed.inputs)
    whole = model(**mask_dense(dense, batch, masked))
    assert masked.leaf_is_hidden.any()
    assert_rows_hold_windows(packed, hidden, logits, whole)
