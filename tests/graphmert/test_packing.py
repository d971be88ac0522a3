"""Packed rows hold what the batch holds, wherever a window was put."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_tables import VOCAB_SIZE, random_table

from graphmert.data.batches import epoch_batches
from graphmert.data.packing import PackedRows, pack, pack_one_row
from graphmert.data.windows import RaggedBatch
from graphmert.training.losses import NO_LABEL
from graphmert.training.masking import MaskedBatch, MaskSettings, mask_batch

Token = tuple[int, ...]


def masked_batch(seed: int) -> tuple[RaggedBatch, MaskedBatch]:
    batch = random_table(seed).batch(range(12))
    return batch, mask_batch(batch, MaskSettings(), seed, 0, VOCAB_SIZE)


def expected_tokens(batch: RaggedBatch, masked: MaskedBatch, window: int) -> list[Token]:
    """Return (id, position, type, root index, slot) of a window's tokens, one after another."""
    tokens = []
    for root in (batch.root_windows == window).nonzero().flatten().tolist():
        index = int(batch.root_index[root])
        tokens.append((int(masked.root_input_ids[root]), index, 0, index, -1))
    for leaf in visible_leaves(batch, masked, window):
        index, slot = int(batch.root_index[batch.leaf_roots[leaf]]), int(batch.leaf_slots[leaf])
        position = batch.layout.leaf_position(index, slot)
        kind = 1 + int(batch.triple_is_knowledge[batch.leaf_triples[leaf]])
        tokens.append((int(masked.leaf_input_ids[leaf]), position, kind, index, slot))
    return tokens


def visible_leaves(batch: RaggedBatch, masked: MaskedBatch, window: int) -> list[int]:
    is_here = (batch.leaf_windows == window) & ~masked.leaf_is_hidden
    return is_here.nonzero().flatten().tolist()


def expected_edges(batch: RaggedBatch, masked: MaskedBatch, window: int) -> list[Token]:
    """Return (leaf, owner, head start: places in the window; head length, relation, label)."""
    leaves = visible_leaves(batch, masked, window)
    num_roots = int((batch.root_windows == window).sum())
    edges = []
    for rank, leaf in enumerate(leaves):
        triple = int(batch.leaf_triples[leaf])
        edges.append(
            (
                num_roots + rank,
                int(batch.root_index[batch.leaf_roots[leaf]]),
                int(batch.root_index[batch.triple_head_starts[triple]]),
                int(batch.triple_head_lengths[triple]),
                int(masked.relation_inputs[triple]),
                int(masked.relation_labels[triple]),
                triple,
            )
        )
    return edges


def packed_window(packed: PackedRows, window: int) -> tuple[list[Token], list[Token]]:
    """Read a window's tokens and edges back out of its row."""
    inputs = packed.inputs
    (row,) = (inputs.window_index == window).any(dim=1).nonzero().flatten().tolist()
    places = (inputs.window_index[row] == window).nonzero().flatten()
    first = int(places[0])
    columns = ("input_ids", "position_ids", "token_type_ids", "root_index", "leaf_slot")
    tokens = [tuple(int(getattr(inputs, name)[row, i]) for name in columns) for i in places]
    edges = []
    for edge in (inputs.edge_leaf[row] >= 0).nonzero().flatten().tolist():
        leaf = int(inputs.edge_leaf[row, edge])
        if int(inputs.window_index[row, leaf]) != window:
            continue
        edges.append(
            (
                leaf - first,
                int(inputs.edge_root[row, edge]) - first,
                int(inputs.edge_head_start[row, edge]) - first,
                int(inputs.edge_head_length[row, edge]),
                int(inputs.edge_relation[row, edge]),
                int(packed.relation_labels[row, edge]),
                int(packed.edge_triples[row, edge]),
            )
        )
    return tokens, edges


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), row_length=st.one_of(st.none(), st.integers(192, 600)))
def test_rows_hold_every_window_whole(seed: int, row_length: int | None) -> None:
    batch, masked = masked_batch(seed)
    packed = pack(batch, masked, row_length)
    for window in range(batch.num_windows):
        tokens, edges = packed_window(packed, window)
        assert tokens == expected_tokens(batch, masked, window)
        assert edges == expected_edges(batch, masked, window)
    num_tokens = len(batch.root_ids) + int((~masked.leaf_is_hidden).sum())
    assert int((packed.inputs.window_index >= 0).sum()) == num_tokens
    if row_length is None:
        assert len(packed.inputs.input_ids) == batch.num_windows


@settings(max_examples=25)
@given(seed=st.integers(0, 1000))
def test_one_row_holds_every_window_where_it_says(seed: int) -> None:
    batch, masked = masked_batch(seed)
    packed = pack_one_row(batch, masked)
    starts = packed.inputs.window_starts
    assert starts is not None
    assert len(packed.inputs.input_ids) == 1
    assert packed.inputs.input_ids.shape[1] == starts[-1]
    for window in range(batch.num_windows):
        assert packed_window(packed, window)[0] == expected_tokens(batch, masked, window)
        assert set(packed.inputs.window_index[0, starts[window] : starts[window + 1]].tolist()) == {
            window
        }


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), row_length=st.one_of(st.none(), st.just(200)))
def test_masked_language_labels_point_at_their_roots(seed: int, row_length: int | None) -> None:
    batch, masked = masked_batch(seed)
    packed = pack(batch, masked, row_length)
    is_labelled = masked.mlm_labels != NO_LABEL
    assert packed.mlm_roots.tolist() == is_labelled.nonzero().flatten().tolist()
    assert torch.equal(packed.mlm_labels, batch.root_ids[packed.mlm_roots])
    flat_index = packed.inputs.root_index.flatten()[packed.mlm_tokens]
    flat_window = packed.inputs.window_index.flatten()[packed.mlm_tokens]
    assert torch.equal(flat_index, batch.root_index[packed.mlm_roots])
    assert torch.equal(flat_window, batch.root_windows[packed.mlm_roots])


def test_a_window_longer_than_a_row_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit a row of 10"):
        pack(*masked_batch(0), row_length=10)


@settings(max_examples=25)
@given(
    num_windows=st.integers(0, 3000),
    batch_size=st.integers(1, 64),
    seed=st.integers(0, 2**40),
    epoch=st.integers(0, 50),
    is_by_key=st.booleans(),
)
def test_an_epoch_takes_every_window_once(
    num_windows: int, batch_size: int, seed: int, epoch: int, is_by_key: bool
) -> None:
    lengths = torch.randint(5, 500, (num_windows,), generator=torch.Generator().manual_seed(1))
    batches = epoch_batches(lengths, batch_size, seed, epoch, is_by_key)
    assert sorted(torch.cat(batches or [lengths]).tolist()) == list(range(num_windows))
    assert sum(len(batch) < batch_size for batch in batches) <= 1
    again = epoch_batches(lengths, batch_size, seed, epoch, is_by_key)
    assert all(torch.equal(a, b) for a, b in zip(batches, again, strict=True))


def test_batches_hold_windows_of_like_length_and_differ_by_epoch() -> None:
    lengths = torch.randint(5, 500, (4000,), generator=torch.Generator().manual_seed(1))
    batches = epoch_batches(lengths, 16, seed=0, epoch=0)
    padded = sum(len(batch) * int(lengths[batch].max()) for batch in batches)
    assert padded < 1.05 * int(lengths.sum())
    firsts = torch.stack([lengths[batch].float().mean() for batch in batches])
    assert float(firsts[:125].mean()) == pytest.approx(float(firsts[125:].mean()), rel=0.15)
    assert not torch.equal(torch.cat(batches), torch.cat(epoch_batches(lengths, 16, 0, 1)))
