"""Figures of an evaluation: the confusion matrix and the curves of a training run.

Input: the scores of a report, or the `metrics.jsonl` that training writes.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from graph_builder.relations import NUM_RELATIONS
from graphmert.evaluation.measures import TaskReport
from graphmert.evaluation.metrics import RelationScores
from graphmert.evaluation.report import EvaluationReport
from graphmert.tracking.tracker import read_metrics

INK = "#222222"
TRAIN_COLOUR = "#9bb8d3"
HELD_OUT_COLOUR = "#c0392b"
CHANCE_COLOUR = "#777777"
BASELINE_COLOURS = ("#777777", "#9bb8d3", "#1f6f54")
CHANCE_LOSS = math.log(NUM_RELATIONS)


def draw_confusion_matrix(scores: RelationScores) -> Figure:
    """Draw shares of each label's row (colour) with the counts in the cells."""
    counts = np.array(scores.confusion_matrix)
    names = list(scores.per_relation)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(9.6, 8.4), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(
        range(len(names)),
        [f"{name}  ({score.support:,})" for name, score in scores.per_relation.items()],
    )
    axes.set_xlabel("predicted relation")
    axes.set_ylabel("relation in the data (labelled triples)")
    axes.set_title(
        f"Relations: accuracy {scores.accuracy:.1%}, macro-F1 {scores.macro_f1:.3f}, "
        f"{scores.num_triples:,} triples"
    )
    axes.set_xticks(np.arange(len(names)) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(names)) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if shares[row, column] > 0.55 else INK
            axes.text(column, row, f"{count:,}", ha="center", va="center", color=colour, size=8)
    figure.colorbar(image, ax=axes, shrink=0.8, label="share of the row")
    return figure


def draw_report(report: EvaluationReport) -> dict[str, Figure]:
    """Draw all that a report has figures for, by file name."""
    figures = {"confusion_matrix.png": draw_confusion_matrix(report.relations.every)}
    if report.tasks:
        figures["tasks.png"] = draw_tasks(report.tasks)
    return figures


def draw_tasks(tasks: Mapping[str, TaskReport]) -> Figure:
    """Draw a panel for each task: the model's figures, those of 0 to 1, beside its baselines'."""
    num_columns = min(3, len(tasks))
    num_rows = -(-len(tasks) // num_columns)
    figure = Figure(figsize=(5.0 * num_columns, 3.4 * num_rows), layout="constrained")
    panels = figure.subplots(num_rows, num_columns, squeeze=False).flatten()
    for axes, (name, task) in zip(panels, tasks.items(), strict=False):
        _draw_task(axes, name, task)
    for axes in panels[len(tasks) :]:
        axes.axis("off")
    return figure


def _draw_task(axes: Axes, name: str, task: TaskReport) -> None:
    titles = [title for title in task.measures if not title.endswith("loss")]
    rows = {"model": task.measures, **task.baselines}
    height = 0.8 / len(rows)
    places = np.arange(len(titles))
    for at, (row, measures) in enumerate(rows.items()):
        means = [measures[title].mean if title in measures else 0.0 for title in titles]
        colour = HELD_OUT_COLOUR if row == "model" else BASELINE_COLOURS[at % 3]
        axes.barh(places + (at + 0.5) * height - 0.4, means, height, label=row, color=colour)
    axes.set_yticks(places, titles, size=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_title(name.replace("_", " "), size=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)


def draw_loss_curves(metrics_path: Path) -> Figure:
    """Draw MLM and MNM loss, and relation scores, over the updates of a run."""
    series = _read_series(metrics_path)
    figure = Figure(figsize=(13.5, 4.2), layout="constrained")
    mlm, mnm, relations = figure.subplots(1, 3)
    _draw_loss(mlm, series, "mlm_loss", "MLM loss (nats a masked token)")
    _draw_loss(mnm, series, "mnm_loss", "MNM loss (nats a masked leaf slot)")
    mnm.axhline(CHANCE_LOSS, color=CHANCE_COLOUR, linestyle=":", linewidth=1)
    mnm.annotate(
        f"ln {NUM_RELATIONS}: chance",
        (1, CHANCE_LOSS),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="bottom",
        color=CHANCE_COLOUR,
        size=8,
    )
    _draw_relations(relations, series)
    for axes in (mlm, mnm, relations):
        axes.set_xlabel("updates")
        axes.grid(color="#eeeeee")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    return figure


Series = dict[str, tuple[list[int], list[float]]]


def _read_series(metrics_path: Path) -> Series:
    """Return, by metric, the steps and values of a metrics file."""
    series: Series = {}
    for line in read_metrics(metrics_path):
        step = int(line.pop("step"))
        for name, value in line.items():
            if value is not None:
                steps, logged = series.setdefault(name, ([], []))
                steps.append(step)
                logged.append(value)
    return series


def _draw_loss(axes: Axes, series: Series, name: str, title: str) -> None:
    axes.set_title(title, size=10)
    if f"train/{name}" in series:
        steps, values = series[f"train/{name}"]
        axes.plot(steps, values, color=TRAIN_COLOUR, linewidth=1, label="training")
    if f"validation/{name}" in series:
        steps, values = series[f"validation/{name}"]
        axes.plot(
            steps, values, color=HELD_OUT_COLOUR, marker="o", markersize=4, label="validation"
        )


def _draw_relations(axes: Axes, series: Series) -> None:
    axes.set_title("Masked relations, validation", size=10)
    for name, label, colour in (
        ("relation_accuracy", "accuracy", HELD_OUT_COLOUR),
        ("relation_macro_f1", "macro-F1", "#1f6f54"),
    ):
        steps, values = series.get(f"validation/{name}", ([], []))
        axes.plot(steps, values, color=colour, marker="o", markersize=4, label=label)
    axes.set_ylim(0, 1)
