"""Cut windows against a slow reading of the same windows, element by element."""

import numpy as np
import pytest
import torch
from random_tables import random_table

from graph_builder.layout import ChainLayout
from graphmert.data.cutting import cut_roots, plain_windows
from graphmert.data.packing import pack
from graphmert.data.windows import RaggedBatch
from graphmert.evaluation.questions import unmasked


def readable(batch: RaggedBatch) -> list[dict]:
    """Return each window as plain lists: roots, and triples with what they hang on and spell."""
    windows = []
    for window in range(batch.num_windows):
        roots = [at for at in range(len(batch.root_ids)) if batch.root_windows[at] == window]
        triples = []
        for at in range(len(batch.triple_relations)):
            if batch.triple_windows[at] != window:
                continue
            start, length = int(batch.triple_head_starts[at]), int(batch.triple_head_lengths[at])
            leaves = [
                (int(batch.leaf_ids[f]), int(batch.leaf_slots[f]), int(batch.leaf_roots[f]))
                for f in range(len(batch.leaf_ids))
                if batch.leaf_triples[f] == at
            ]
            triples.append(
                (int(batch.triple_relations[at]), list(range(start, start + length)), leaves)
            )
        windows.append({"roots": roots, "triples": triples})
    return windows


@pytest.mark.parametrize("seed", range(3))
def test_what_is_left_is_what_the_cut_did_not_touch(seed: int) -> None:
    table = random_table(seed, num_windows=6)
    batch = table.batch(range(6))
    is_cut = torch.from_numpy(np.random.default_rng(seed).random(len(batch.root_ids)) < 0.2)
    is_cut &= (batch.root_index > 0) & (batch.root_bytes > 0)
    found = cut_roots(batch, is_cut)
    for before, after in zip(readable(batch), readable(found), strict=True):
        kept = [root for root in before["roots"] if not is_cut[root]]
        assert found.root_ids[after["roots"]].equal(batch.root_ids[kept])
        assert found.root_index[after["roots"]].tolist() == list(range(len(kept)))
        moved = dict(zip(kept, after["roots"], strict=True))
        expected = [
            (
                relation,
                [moved[root] for root in mention],
                [(token, slot, moved[owner]) for token, slot, owner in leaves],
            )
            for relation, mention, leaves in before["triples"]
            if all(root in moved for root in mention)
            and all(owner in moved for _, _, owner in leaves)
        ]
        assert after["triples"] == expected
    assert 0 < len(found.triple_relations) < len(batch.triple_relations)
    pack(found, unmasked(found))  # and it packs


def test_plain_windows_are_runs_of_tokens_without_leaves() -> None:
    layout = ChainLayout(num_roots=6, leaves_per_root=2)
    batch = plain_windows([[7, 8], [], [9] * 9], 0, 2, layout)
    assert batch.root_ids.tolist() == [0, 7, 8, 2, 0, 2, 0, 9, 9, 9, 9, 2]
    assert batch.root_index.tolist() == [0, 1, 2, 3, 0, 1, 0, 1, 2, 3, 4, 5]
    assert batch.root_windows.tolist() == [0] * 4 + [1] * 2 + [2] * 6
    assert batch.root_bytes.tolist() == [0, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 0]
    rows = pack(batch, unmasked(batch))
    assert rows.inputs.input_ids.shape == (3, 6)
    assert (rows.inputs.window_index >= 0).sum() == 12
