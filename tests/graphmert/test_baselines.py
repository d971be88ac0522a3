"""The count table against a naive Bayes of dictionaries, on random windows under real masks."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from chain_graph_examples import random_chain_graphs

from graph_builder.relations import NUM_RELATIONS
from graph_builder.shards import records_table
from graphmert.data.windows import RaggedBatch, WindowTable
from graphmert.evaluation.baselines import (
    PSEUDO_COUNT,
    fit_count_table,
    labelled_triples,
    score_baselines,
    training_triples,
)
from graphmert.evaluation.questions import unmasked
from graphmert.training.losses import NO_LABEL
from graphmert.training.masking import MaskedBatch, MaskSettings, evaluation_masks

SETTINGS = MaskSettings()
VOCAB_SIZE = 20


def random_table(seed: int, num_windows: int) -> WindowTable:
    return WindowTable.from_arrow(
        records_table(random_chain_graphs(seed, num_windows, vocab_size=VOCAB_SIZE))
    )


def clues(batch: RaggedBatch, masked: MaskedBatch, triple: int) -> dict[str, object]:
    """Return what is to be seen of one triple."""
    start, length = int(batch.triple_head_starts[triple]), int(batch.triple_head_lengths[triple])
    roots = masked.root_input_ids.tolist()
    leaves = masked.leaf_input_ids[batch.leaf_triples == triple].tolist()
    window = int(batch.triple_windows[triple])
    own = {
        root: roots[root] for root in (batch.root_windows == window).nonzero().flatten().tolist()
    }
    at_first = [root for root, token in own.items() if token == leaves[0]]
    at_last = [root for root, token in own.items() if token == leaves[-1]]
    return {
        "before tail": roots[at_first[0] - 1] if at_first else 1,
        "after tail": roots[at_last[0] + 1] if at_last else 1,
        "first of head": roots[start],
        "last of head": roots[start : start + length][-1],
        "before": roots[start - 1],
        "after": roots[start + length],
        "first leaf": leaves[0],
        "last leaf": leaves[-1],
        "lengths": (length, len(leaves)),
    }


def reference(train: WindowTable, held_out: WindowTable) -> tuple[list[int], list[int]]:
    """Return (labels, predictions): counts in dictionaries, one triple at a time."""
    counts: dict[tuple, Counter] = defaultdict(Counter)
    # By kind; one more of each relation: none is impossible.
    totals = {kind: Counter(range(NUM_RELATIONS)) for kind in (False, True)}
    batch = train.batch(range(train.num_windows))
    for triple, relation in enumerate(batch.triple_relations.tolist()):
        kind = bool(batch.triple_is_knowledge[triple])
        totals[kind][relation] += 1
        for clue in clues(batch, unmasked(batch), triple).items():
            counts[kind, clue][relation] += 1
    batch = held_out.batch(range(held_out.num_windows))
    masked = evaluation_masks(batch, SETTINGS, VOCAB_SIZE)
    labels, predictions = [], []
    for triple, label in enumerate(masked.relation_labels.tolist()):
        if label == NO_LABEL:
            continue
        kind = bool(batch.triple_is_knowledge[triple])
        prior = {relation: count / totals[kind].total() for relation, count in totals[kind].items()}
        scores = {relation: math.log(share) for relation, share in prior.items()}
        for clue in clues(batch, masked, triple).items():
            if (kind, clue) in counts:
                for relation, share in prior.items():
                    smoothed = counts[kind, clue][relation] + PSEUDO_COUNT * share
                    smoothed /= counts[kind, clue].total() + PSEUDO_COUNT
                    scores[relation] += math.log(smoothed / share)
        labels.append(label)
        predictions.append(max(scores, key=lambda relation: scores[relation]))
    return labels, predictions


def test_count_table_equals_a_naive_bayes_of_dictionaries() -> None:
    train, held_out = random_table(1, 60), random_table(2, 40)
    labels, predictions = reference(train, held_out)
    asked = labelled_triples(held_out, SETTINGS, VOCAB_SIZE)
    assert len(labels) > 50
    assert asked.relations.tolist() == labels
    table = fit_count_table(training_triples(train))
    assert table.predict(asked).tolist() == predictions


def test_baselines_are_scored_on_the_labels_of_the_held_out_windows() -> None:
    train, held_out = random_table(3, 60), random_table(4, 40)
    baselines = score_baselines(train, held_out, SETTINGS, VOCAB_SIZE)
    labels, predictions = reference(train, held_out)
    accuracy = float(np.mean(np.array(labels) == np.array(predictions)))
    assert baselines["count_table"].relations.every.accuracy == pytest.approx(accuracy)
    majority = baselines["majority"].relations
    assert baselines["count_table"].measures["relation_accuracy"].mean == pytest.approx(accuracy)
    assert majority.every.num_triples == len(labels)
    is_knowledge = train.triple_is_knowledge
    for scores, kind in ((majority.local, ~is_knowledge), (majority.knowledge, is_knowledge)):
        predicted = np.array(scores.confusion_matrix).sum(axis=0)
        most_frequent = np.bincount(train.triple_relations[kind].numpy()).argmax()
        assert predicted[most_frequent] == scores.num_triples > 0


@pytest.mark.parametrize("clue", ["first_of_head", "after_head", "last_leaf"])
def test_count_table_learns_what_one_token_gives_away(clue: str) -> None:
    triples = training_triples(random_table(5, 80))
    triples.relations[:] = triples.clues[clue] % NUM_RELATIONS
    predictions = fit_count_table(triples).predict(triples)
    assert (predictions == triples.relations).mean() > 0.99
