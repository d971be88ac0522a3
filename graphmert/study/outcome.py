"""What came of one run: every figure as sums by source, one JSON line."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from graphmert.evaluation.measures import Measures, TaskReport
from graphmert.evaluation.metrics import RelationReport

Sums = dict[str, dict[str, tuple[int, float]]]  # by figure, by source: questions and total


@dataclass(frozen=True)
class SplitOutcome:
    """What a model scores on one split, and its baselines on equal questions."""

    figures: Sums
    scores: dict[str, float] = field(default_factory=dict)  # what is no mean of questions
    baselines: dict[str, Sums] = field(default_factory=dict)  # by baseline
    counts: dict[str, float] = field(default_factory=dict)
    confusions: dict[str, list[list[int]]] = field(default_factory=dict)  # by kind of leaf, (K, K)
    is_whole: bool = True  # False: fine-tunes of the run's settings are still to come

    @classmethod
    def of(
        cls, measures: Measures, relations: RelationReport | None, reports: Mapping[str, TaskReport]
    ) -> Self:
        """Put the reports of all tasks together; a task's figures are called TASK/FIGURE."""
        figures = sums_of(measures)
        baselines: dict[str, Sums] = {}
        counts: dict[str, float] = {}
        for task, report in reports.items():
            figures |= sums_of(report.measures, f"{task}/")
            counts |= {f"{task}/{name}": value for name, value in report.counts.items()}
            for name, each in report.baselines.items():
                baselines.setdefault(name, {}).update(sums_of(each, f"{task}/"))
        scored = {} if relations is None else relations.by_prefix
        asked = {kind: each for kind, each in scored.items() if each.num_triples}
        scores = {f"{kind}relation_macro_f1": each.macro_f1 for kind, each in asked.items()}
        confusions = {
            kind.rstrip("_"): [list(row) for row in each.confusion_matrix]
            for kind, each in asked.items()
            if kind
        }
        return cls(figures, scores, baselines, counts, confusions)


@dataclass(frozen=True)
class Outcome:
    variant: str
    seed: int
    data_set: str  # identity
    settings: dict[str, Any]  # of the study
    losses: dict[str, float]  # of training, mean over the last updates
    seconds: dict[str, float]
    splits: dict[str, SplitOutcome]
    made_with: dict[str, Any] = field(default_factory=dict)  # the variant's model and training

    @property
    def num_updates(self) -> int:
        """Updates of training; 0 for what needs none."""
        return int(self.settings.get("num_updates", 0))

    @property
    def whole_splits(self) -> dict[str, SplitOutcome]:
        """The splits of which everything is said."""
        return {split: each for split, each in self.splits.items() if each.is_whole}

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells a run from all others."""
        return run_key(self.variant, self.seed, self.data_set, self.settings, self.made_with)

    def to_json(self) -> str:
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Read what `to_json` wrote; raises ValueError that says what is wrong with it."""
        try:
            values = json.loads(line)
            splits = {name: SplitOutcome(**each) for name, each in values["splits"].items()}
            return cls(**values | {"splits": splits})
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise ValueError(f"not the outcome of a study's run: {error}") from error


def run_key(
    variant: str, seed: int, data_set: str, settings: dict[str, Any], made_with: dict[str, Any]
) -> tuple[Any, ...]:
    """Return what tells a run from all others."""
    return variant, seed, data_set, json.dumps([settings, made_with], sort_keys=True)


def sums_of(measures: Measures, prefix: str = "") -> Sums:
    """Return measures as plain numbers."""
    return {
        f"{prefix}{name}": {
            source: (each.num_questions, each.total) for source, each in measure.by_source.items()
        }
        for name, measure in measures.items()
    }
