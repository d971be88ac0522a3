"""Scores of relation predictions: accuracy, macro-F1, one figure a relation, confusion matrix, and
how far confidence is from being right.

Legend: n labelled triples, K relations.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from graph_builder.relations import RELATION_NAMES

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
NUM_BINS = 15  # of equal width, as in Guo et al. 2017


@dataclass(frozen=True)
class ClassScore:
    """How well one relation is predicted; a figure with nothing to divide by is 0."""

    precision: float
    recall: float
    f1: float
    support: int  # labelled triples of this relation


@dataclass(frozen=True)
class RelationScores:
    """Scores over labelled triples; but for the last, they follow from the confusion matrix."""

    accuracy: float  # share of labels that are predicted; 0 without labels
    macro_f1: float  # mean F1 over the relations that occur among the labels; 0 without labels
    per_relation: dict[str, ClassScore]  # by relation name, in the order of their ids
    confusion_matrix: tuple[tuple[int, ...], ...]  # (K, K) counts; row: label, column: predicted
    calibration_error: float | None = None  # expected, 0 to 1; None: no confidences are known

    @property
    def num_triples(self) -> int:
        return sum(score.support for score in self.per_relation.values())


@dataclass(frozen=True)
class RelationReport:
    """Scores over all labelled triples, and over the two kinds of them."""

    every: RelationScores
    local: RelationScores  # the evidence is in the window, so the leaves restate its text
    knowledge: RelationScores  # the evidence lies outside the window

    @property
    def by_prefix(self) -> dict[str, RelationScores]:
        """The scores by what the names of their figures begin with."""
        return {"": self.every, "local_": self.local, "knowledge_": self.knowledge}


def report_relations(
    labels: IntArray,
    predictions: IntArray,
    is_knowledge: BoolArray,
    confidences: FloatArray | None = None,
) -> RelationReport:
    """Score (n,) predictions of the relations in `graph_builder.relations`; `confidences` (n,) are
    the probabilities that they were made with."""

    def scores_of(chosen: BoolArray) -> RelationScores:
        counts = confusion_counts(labels[chosen], predictions[chosen], len(RELATION_NAMES))
        scores = score_relations(counts)
        if confidences is None:
            return scores
        is_hit = predictions[chosen] == labels[chosen]
        error = expected_calibration_error(is_hit, confidences[chosen])
        return replace(scores, calibration_error=error)

    return RelationReport(
        every=scores_of(np.ones_like(is_knowledge)),
        local=scores_of(~is_knowledge),
        knowledge=scores_of(is_knowledge),
    )


def expected_calibration_error(is_hit: BoolArray, confidences: FloatArray) -> float:
    """Return the mean distance (n,) between confidence and share of hits, in bins of confidence; 0
    of nothing."""
    bins = np.minimum((confidences * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    gaps = np.bincount(bins, weights=confidences - is_hit, minlength=NUM_BINS)
    return float(np.abs(gaps).sum() / max(len(is_hit), 1))


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
