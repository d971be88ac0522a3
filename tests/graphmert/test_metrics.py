"""Relation scores against scikit-learn on random predictions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from graph_builder.relations import NUM_RELATIONS, RELATION_NAMES
from graphmert.evaluation.metrics import (
    RelationScores,
    confusion_counts,
    expected_calibration_error,
    report_relations,
    score_relations,
)
from graphmert.evaluation.report import EvaluationReport

relation = st.integers(0, NUM_RELATIONS - 1)


def scored(labels: list[int], predictions: list[int]) -> RelationScores:
    return score_relations(
        confusion_counts(
            np.array(labels, dtype=np.int64), np.array(predictions, dtype=np.int64), NUM_RELATIONS
        )
    )


@settings(max_examples=40)
@given(st.lists(st.tuples(relation, relation), min_size=1, max_size=60))
def test_scores_equal_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    labels, predictions = [list(side) for side in zip(*pairs, strict=True)]
    scores = scored(labels, predictions)
    every = list(range(NUM_RELATIONS))
    precision, recall, f1, support = sklearn_metrics.precision_recall_fscore_support(
        labels, predictions, labels=every, zero_division=0
    )
    assert scores.accuracy == pytest.approx(sklearn_metrics.accuracy_score(labels, predictions))
    assert scores.macro_f1 == pytest.approx(
        sklearn_metrics.f1_score(
            labels, predictions, labels=sorted(set(labels)), average="macro", zero_division=0
        )
    )
    np.testing.assert_array_equal(
        scores.confusion_matrix,
        sklearn_metrics.confusion_matrix(labels, predictions, labels=every),
    )
    for index, name in enumerate(RELATION_NAMES):
        score = scores.per_relation[name]
        assert (score.precision, score.recall, score.f1, score.support) == pytest.approx(
            (precision[index], recall[index], f1[index], support[index])
        )


def test_scores_without_labels_are_zero_and_not_a_number_nowhere() -> None:
    scores = scored([], [])
    assert (scores.accuracy, scores.macro_f1, scores.num_triples) == (0.0, 0.0, 0)


def test_local_and_knowledge_triples_are_scored_apart_and_together() -> None:
    labels, predictions = np.array([0, 1, 2, 2]), np.array([0, 2, 2, 1])
    relations = report_relations(labels, predictions, np.array([True, False, False, False]))
    assert (relations.every.accuracy, relations.knowledge.accuracy) == (0.5, 1.0)
    assert relations.local == scored([1, 2, 2], [2, 2, 1])


def test_report_survives_json_and_its_metrics_are_flat_finite_numbers(
    a_report: EvaluationReport,
) -> None:
    assert EvaluationReport.from_json(a_report.to_json()) == a_report
    flat = a_report.metrics()
    assert all(isinstance(value, float) and np.isfinite(value) for value in flat.values())
    assert flat["mlm_loss"] == 5.5
    assert flat["relation_accuracy"] == flat["baseline_majority_accuracy"] == 0.5
    assert flat["relation_f1/calls"] == 1.0


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"relations": 3}'])
def test_a_file_that_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an evaluation report"):
        EvaluationReport.from_json(text)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), max_size=60))
def test_calibration_error_equals_that_of_one_bin_at_a_time(
    pairs: list[tuple[bool, float]],
) -> None:
    bins: dict[int, list[tuple[bool, float]]] = {}
    for is_hit, confidence in pairs:
        bins.setdefault(min(int(confidence * 15), 14), []).append((is_hit, confidence))
    expected = 0.0
    for members in bins.values():
        accuracy = np.mean([is_hit for is_hit, _ in members])
        confidence = np.mean([each for _, each in members])
        expected += abs(accuracy - confidence) * len(members) / len(pairs)
    is_hit, confidences = (np.array([pair[at] for pair in pairs]) for at in (0, 1))
    found = expected_calibration_error(is_hit.astype(bool), confidences.astype(float))
    assert found == pytest.approx(expected, abs=1e-9)


def test_each_kind_of_triple_has_its_own_calibration_error() -> None:
    labels, predictions = np.array([0, 1, 2]), np.array([0, 1, 1])
    is_knowledge, confidences = np.array([True, False, False]), np.array([0.75, 1.0, 0.5])
    relations = report_relations(labels, predictions, is_knowledge, confidences)
    assert relations.knowledge.calibration_error == pytest.approx(0.25)
    assert relations.local.calibration_error == pytest.approx(0.25)
    assert report_relations(labels, predictions, is_knowledge).every.calibration_error is None
