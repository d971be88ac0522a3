"""The evaluation report: what one checkpoint scores on one split, as JSON and as flat metrics."""

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any

from graphmert.evaluation.measures import Measures, TaskReport, measures_from
from graphmert.evaluation.metrics import ClassScore, RelationReport, RelationScores

MAX_LOSS = 700.0  # nats; beyond it, perplexity is no float
DERIVED = ("perplexity", "knowledge_only_perplexity")  # from the losses, for those who read them


@dataclass(frozen=True)
class EvaluationReport:
    """Scores under the fixed evaluation masks; losses are in nats."""

    num_windows: int
    num_masked_tokens: int  # roots with an MLM label
    num_masked_bytes: int  # bytes of source text that those roots spell
    mlm_loss: float  # mean over masked roots
    mlm_accuracy: float
    bits_per_byte: float  # bits to spell the masked roots, for each of their bytes
    mnm_loss: float  # mean over labelled leaf slots, as in training
    relations: RelationReport  # labelled triples, each by the mean log-probability of its slots
    num_knowledge_only_tokens: int  # masked roots whose text a visible knowledge leaf shows and
    # nothing else that is visible of the window does
    knowledge_only_accuracy: float
    baselines: dict[str, RelationReport] = field(default_factory=dict)  # same labels, by name
    measures: Measures = field(default_factory=dict)  # of tokens and relations, sums by source
    baseline_measures: dict[str, Measures] = field(default_factory=dict)  # of the baselines
    tasks: dict[str, TaskReport] = field(default_factory=dict)  # whatever else was asked, by name
    left_out: dict[str, str] = field(default_factory=dict)  # tasks without a question, and why

    @property
    def relation_accuracy(self) -> float:
        return self.relations.every.accuracy

    @property
    def relation_macro_f1(self) -> float:
        return self.relations.every.macro_f1

    @property
    def derived(self) -> dict[str, float]:
        """Perplexities by their names in DERIVED; none of tokens that there are not."""
        losses = (self.measures.get("token_loss"), self.measures.get("rare_token_loss"))
        return {
            name: math.exp(min(loss.mean, MAX_LOSS))
            for name, loss in zip(DERIVED, losses, strict=True)
            if loss and loss.num_questions
        }

    def metrics(self) -> dict[str, float]:
        """Return every scalar under a flat name, as MLflow takes them."""
        flat = {
            name: float(value)
            for name, value in vars(self).items()
            if isinstance(value, int | float)
        }
        flat |= self.derived
        flat |= _flat_relations("relation", self.relations)
        for name, score in self.relations.every.per_relation.items():
            flat[f"relation_f1/{name}"] = score.f1
        for name, baseline in self.baselines.items():
            flat |= _flat_relations(f"baseline_{name}", baseline)
        for name, task in self.tasks.items():
            flat |= {f"{name}/{figure}": value for figure, value in task.metrics().items()}
        return flat

    def to_json(self) -> str:
        return json.dumps(asdict(self) | self.derived, indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "EvaluationReport":
        """Read what `to_json` wrote; raises ValueError that says what is wrong with it."""
        try:
            values = json.loads(text)
            for name in DERIVED:
                values.pop(name, None)
            values["relations"] = _relations_from(values["relations"])
            baselines = values.get("baselines", {})
            values["baselines"] = {name: _relations_from(each) for name, each in baselines.items()}
            values["measures"] = measures_from(values.get("measures", {}))
            values["baseline_measures"] = {
                name: measures_from(each)
                for name, each in values.get("baseline_measures", {}).items()
            }
            values["tasks"] = {
                name: TaskReport.from_dict(each) for name, each in values.get("tasks", {}).items()
            }
            return cls(**values)
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise ValueError(f"not an evaluation report: {error}") from error


def _flat_relations(prefix: str, relations: RelationReport) -> dict[str, float]:
    flat = {}
    for kind, scores in relations.by_prefix.items():
        flat[f"{kind}{prefix}_accuracy"] = scores.accuracy
        flat[f"{kind}{prefix}_macro_f1"] = scores.macro_f1
        flat[f"{kind}{prefix}_num_triples"] = float(scores.num_triples)
        if scores.calibration_error is not None:
            flat[f"{kind}{prefix}_calibration_error"] = scores.calibration_error
    return flat


def _relations_from(values: dict[str, Any]) -> RelationReport:
    return RelationReport(**{kind: _scores_from(each) for kind, each in values.items()})


def _scores_from(values: dict[str, Any]) -> RelationScores:
    return RelationScores(
        accuracy=values["accuracy"],
        macro_f1=values["macro_f1"],
        per_relation={name: ClassScore(**each) for name, each in values["per_relation"].items()},
        confusion_matrix=tuple(tuple(row) for row in values["confusion_matrix"]),
        calibration_error=values.get("calibration_error"),
    )
