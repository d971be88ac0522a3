"""The count table against a dictionary of token tuples, on random windows under real masks."""

from collections import Counter, defaultdict
from collections.abc import Hashable
from dataclasses import replace

import numpy as np
import pytest
from chain_graph_examples import random_chain_graphs
from hypothesis import given
from hypothesis import strategies as st

from graph_builder.relations import NUM_RELATIONS
from graph_builder.shards import records_table
from graphmert.data.windows import RaggedBatch, WindowTable
from graphmert.evaluation.baselines import (
    fit_count_table,
    run_keys,
    score_baselines,
    visible_triples,
)
from graphmert.training.losses import NO_LABEL
from graphmert.training.masking import MaskedBatch, MaskSettings, evaluation_masks

SETTINGS = MaskSettings()
VOCAB_SIZE = 20  # so small that heads and tails repeat


def random_table(seed: int, num_windows: int) -> WindowTable:
    return WindowTable.from_arrow(
        records_table(random_chain_graphs(seed, num_windows, vocab_size=VOCAB_SIZE))
    )


def tokens_of(batch: RaggedBatch, masked: MaskedBatch, triple: int) -> tuple[tuple, tuple]:
    start, length = int(batch.triple_head_starts[triple]), int(batch.triple_head_lengths[triple])
    head = masked.root_input_ids[start : start + length].tolist()
    tail = masked.leaf_input_ids[batch.leaf_triples == triple].tolist()
    return tuple(head), tuple(tail)


def reference_predictions(train: WindowTable, held_out: WindowTable) -> tuple[list, list]:
    """Return (labels, predictions) by three dictionaries, asked in turn."""
    counts: dict[Hashable, Counter] = defaultdict(Counter)
    batch, masked = masked_whole(train)
    for triple, relation in enumerate(batch.triple_relations.tolist()):
        leaves = batch.leaf_triples == triple
        is_shown = masked.leaf_input_ids[leaves] == batch.leaf_ids[leaves]
        if (is_shown & ~masked.leaf_is_hidden[leaves]).all() and leaves.any():
            head, tail = tokens_of(batch, masked, triple)
            for key in ((head, tail), ("tail", tail), ("head", head), "all"):
                counts[key][relation] += 1
    batch, masked = masked_whole(held_out)
    labels, predictions = [], []
    for triple, label in enumerate(masked.relation_labels.tolist()):
        if label != NO_LABEL:
            head, tail = tokens_of(batch, masked, triple)
            keys = ((head, tail), ("tail", tail), ("head", head), "all")
            best = next(counts[key] for key in keys if key in counts)
            labels.append(label)
            predictions.append(min(best, key=lambda relation: (-best[relation], relation)))
    return labels, predictions


def masked_whole(table: WindowTable) -> tuple[RaggedBatch, MaskedBatch]:
    batch = table.batch(range(table.num_windows))
    return batch, evaluation_masks(batch, SETTINGS, VOCAB_SIZE)


def test_count_table_equals_a_dictionary_of_token_tuples() -> None:
    train, held_out = random_table(1, 60), random_table(2, 40)
    seen = visible_triples(train, SETTINGS, VOCAB_SIZE)
    asked = visible_triples(held_out, SETTINGS, VOCAB_SIZE)
    asked = asked.where(asked.is_labelled)
    labels, predictions = reference_predictions(train, held_out)
    assert len(labels) > 50
    assert asked.relations.tolist() == labels
    table = fit_count_table(seen.where(seen.is_visible))
    assert table.predict(asked).tolist() == predictions


def test_baselines_are_scored_on_the_labels_of_the_held_out_windows() -> None:
    train, held_out = random_table(3, 60), random_table(4, 40)
    baselines = score_baselines(train, held_out, SETTINGS, VOCAB_SIZE)
    labels, predictions = reference_predictions(train, held_out)
    accuracy = float(np.mean(np.array(labels) == np.array(predictions)))
    assert baselines["count_table"].every.accuracy == pytest.approx(accuracy)
    assert baselines["count_table"].every.num_triples == len(labels)
    majority = baselines["majority"].every
    predicted = np.array(majority.confusion_matrix).sum(axis=0)
    assert (predicted > 0).sum() == 1
    assert majority.num_triples == len(labels)


def test_count_table_learns_a_rule_that_the_tail_gives_away() -> None:
    train = random_table(5, 80)
    seen = visible_triples(train, SETTINGS, VOCAB_SIZE)
    seen = seen.where(seen.is_visible)
    rule = (seen.tails % np.uint64(NUM_RELATIONS)).astype(np.int64)
    ruled = replace(seen, relations=rule)
    assert fit_count_table(ruled).predict(ruled).tolist() == rule.tolist()


runs = st.lists(st.lists(st.integers(0, 3), max_size=4), min_size=1, max_size=12)


@given(runs)
def test_equal_runs_of_tokens_share_a_key_and_others_do_not(tokens: list[list[int]]) -> None:
    lengths = np.array([len(run) for run in tokens])
    flat = np.array([token for run in tokens for token in run], dtype=np.int64)
    keys = run_keys(flat, np.cumsum(lengths) - lengths, lengths)
    assert len(set(keys.tolist())) == len({tuple(run) for run in tokens})
