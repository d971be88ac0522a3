"""Measures: what a task's questions add up to, in all and for each source, and a task's report.

A comparison of models takes its interval from a bootstrap over held-out repositories, so every
mean is kept as its sums by source.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from graphmert.data.windows import WindowTable


@dataclass(frozen=True)
class SourceSum:
    """What the questions of one source add up to."""

    num_questions: int
    total: float


@dataclass(frozen=True)
class Measure:
    """One figure a question, such as a hit (0 or 1) or a reciprocal rank, added up by source."""

    by_source: dict[str, SourceSum]

    @property
    def num_questions(self) -> int:
        return sum(each.num_questions for each in self.by_source.values())

    @property
    def mean(self) -> float:
        """Mean over all questions; 0 without one."""
        return sum(each.total for each in self.by_source.values()) / max(self.num_questions, 1)


Measures = dict[str, Measure]


@dataclass(frozen=True)
class TaskReport:
    """What a model scores at one task, beside what knows nothing of graphs, on equal questions."""

    measures: Measures
    baselines: dict[str, Measures] = field(default_factory=dict)  # by baseline
    counts: dict[str, float] = field(default_factory=dict)  # what the figures are to be read with

    def metrics(self) -> dict[str, float]:
        """Return every scalar under a flat name."""
        flat = {name: measure.mean for name, measure in self.measures.items()}
        for baseline, measures in self.baselines.items():
            flat |= {f"baseline_{baseline}/{name}": each.mean for name, each in measures.items()}
        return flat | self.counts

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Read what `dataclasses.asdict` gives."""
        return cls(
            measures_from(values["measures"]),
            {name: measures_from(each) for name, each in values["baselines"].items()},
            values["counts"],
        )


def measure(values: npt.ArrayLike, sources: Sequence[str] | npt.NDArray[np.str_]) -> Measure:
    """Add up one figure for each question, (Q,), by the source (Q,) that it was asked of."""
    figures = np.asarray(values, dtype=np.float64)
    names, owners = np.unique(np.asarray(sources, dtype=np.str_), return_inverse=True)
    counts = np.bincount(owners, minlength=len(names))
    totals = np.bincount(owners, weights=figures, minlength=len(names))
    sums = zip(names.tolist(), counts.tolist(), totals.tolist(), strict=True)
    return Measure({name: SourceSum(count, total) for name, count, total in sums})


def hit_measures(
    is_hit: npt.NDArray[np.bool_],
    is_knowledge: npt.NDArray[np.bool_],
    sources: npt.NDArray[np.str_],
) -> Measures:
    """Return the accuracy of (n,) predicted relations, over all triples and over each kind."""
    kinds = {"": np.ones_like(is_hit), "local_": ~is_knowledge, "knowledge_": is_knowledge}
    return {
        f"{kind}relation_accuracy": measure(is_hit[chosen], sources[chosen])
        for kind, chosen in kinds.items()
    }


def window_sources(table: WindowTable) -> npt.NDArray[np.str_]:
    """Return the source (W,) of each window."""
    return np.array(table.strings["source"].to_pylist(), dtype=np.str_)


def measures_from(values: dict[str, Any]) -> Measures:
    """Read what `dataclasses.asdict` gives of measures."""
    return {
        name: Measure({source: SourceSum(**each) for source, each in sums["by_source"].items()})
        for name, sums in values.items()
    }
