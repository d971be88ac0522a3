"""Scores of relation predictions: accuracy, macro-F1, one figure a relation, confusion matrix.

Legend: n labelled triples, K relations.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from graph_builder.relations import RELATION_NAMES

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ClassScore:
    """How well one relation is predicted; a figure with nothing to divide by is 0."""

    precision: float
    recall: float
    f1: float
    support: int  # labelled triples of this relation


@dataclass(frozen=True)
class RelationScores:
    """Scores over labelled triples; all of them follow from the confusion matrix."""

    accuracy: float  # share of labels that are predicted; 0 without labels
    macro_f1: float  # mean F1 over the relations that occur among the labels; 0 without labels
    per_relation: dict[str, ClassScore]  # by relation name, in the order of their ids
    confusion_matrix: tuple[tuple[int, ...], ...]  # (K, K) counts; row: label, column: predicted

    @property
    def num_triples(self) -> int:
        return sum(score.support for score in self.per_relation.values())


@dataclass(frozen=True)
class RelationReport:
    """Scores over all labelled triples, and over the two kinds of them."""

    every: RelationScores
    local: RelationScores  # the evidence is in the window, so the leaves restate its text
    knowledge: RelationScores  # the evidence lies outside the window


def report_relations(
    labels: IntArray, predictions: IntArray, is_knowledge: BoolArray
) -> RelationReport:
    """Score (n,) predictions of the relations in `graph_builder.relations`."""
    num_relations = len(RELATION_NAMES)
    knowledge = confusion_counts(labels[is_knowledge], predictions[is_knowledge], num_relations)
    local = confusion_counts(labels[~is_knowledge], predictions[~is_knowledge], num_relations)
    return RelationReport(
        every=score_relations(local + knowledge),
        local=score_relations(local),
        knowledge=score_relations(knowledge),
    )


def confusion_counts(labels: IntArray, predictions: IntArray, num_relations: int) -> IntArray:
    """Count each (label, prediction) pair of the (n,) arrays; returns (K, K)."""
    cells = np.bincount(labels * num_relations + predictions, minlength=num_relations**2)
    return cells.reshape(num_relations, num_relations)


def score_relations(
    confusion: IntArray, relation_names: tuple[str, ...] = RELATION_NAMES
) -> RelationScores:
    """Score a (K, K) confusion matrix; macro-F1 is over the classes present in the labels."""
    hits = np.diagonal(confusion).astype(np.float64)
    support = confusion.sum(axis=1)
    predicted = confusion.sum(axis=0)
    precision = hits / np.maximum(predicted, 1)
    recall = hits / np.maximum(support, 1)
    f1 = 2 * hits / np.maximum(support + predicted, 1)
    per_relation = {
        name: ClassScore(float(precision[i]), float(recall[i]), float(f1[i]), int(support[i]))
        for i, name in enumerate(relation_names)
    }
    return RelationScores(
        accuracy=float(hits.sum() / max(int(support.sum()), 1)),
        macro_f1=float(f1[support > 0].mean()) if support.any() else 0.0,
        per_relation=per_relation,
        confusion_matrix=tuple(tuple(int(count) for count in row) for row in confusion),
    )
