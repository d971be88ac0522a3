"""A study in MLflow: a child run for each variant and seed, the tables and the picture with the
parent."""

import time
from collections.abc import Sequence

from graphmert.study.outcome import Outcome
from graphmert.study.report import study_json, study_markdown, study_tables
from graphmert.tracking.store import open_client

FOLDER = "study"  # of the parent's artifacts


def log_outcome(run_id: str, outcome: Outcome) -> None:
    """Log what one run came to: a metric for each figure, the sums by source as a file."""
    from mlflow.entities import Metric  # noqa: PLC0415

    client, now_ms = open_client(), int(time.time() * 1000)
    values: dict[str, float] = {f"training/{name}_loss": v for name, v in outcome.losses.items()}
    for split, scores in outcome.splits.items():
        for name, by_source in scores.figures.items():
            num_questions = sum(count for count, _ in by_source.values())
            if num_questions:
                total = sum(total for _, total in by_source.values())
                values[f"{split}/{name}"] = total / num_questions
        values |= {f"{split}/{name}": value for name, value in scores.scores.items()}
    client.log_batch(run_id, metrics=[Metric(name, v, now_ms, 0) for name, v in values.items()])
    client.log_text(run_id, outcome.to_json() + "\n", "outcome.json")


def log_study(run_id: str, outcomes: Sequence[Outcome], split: str) -> None:
    """Log the tables of all outcomes as markdown and JSON, and a picture of each."""
    from graphmert.study.figures import draw_differences  # noqa: PLC0415

    client, tables = open_client(), study_tables(outcomes, split)
    client.log_text(run_id, study_markdown(tables, split), f"{FOLDER}/study.md")
    client.log_text(run_id, study_json({split: tables}), f"{FOLDER}/study.json")
    for number, table in enumerate(tables.values()):
        name = f"{FOLDER}/differences-{number}.png"  # in the order of study.md
        client.log_figure(run_id, draw_differences(table), name)
