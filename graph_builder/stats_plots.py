"""Plots of a data set's statistics, each as an SVG element to put into a page.

Drawn from the tables of `stats.py`; no pyplot, so nothing global is touched. The same data set
gives the same text: no date, fixed ids.
"""

from collections.abc import Sequence
from io import StringIO
from typing import Any, Final

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from graph_builder.stats import SHORTENED_PERCENT, Numbers, Statistics

# Okabe and Ito's colours, which the colour-blind can tell apart.
COLORS: Final = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#999999")
WIDTH: Final = 9.5  # inches
STYLE: Final[dict[Any, object]] = {
    "svg.fonttype": "none",  # text stays text: it can be read out, searched and copied
    "svg.hashsalt": "graph-builder",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
}
NUM_BINS: Final = 48


def plots(statistics: Statistics) -> dict[str, str]:
    """Return every plot as an SVG element, by its title."""
    with mpl.rc_context(STYLE):
        drawn = {
            "Placed share of each relation": _placed(statistics.placed()),
            "Leaf slots in use on a root": _slots(statistics.slots()),
            "Window lengths": _lengths(statistics),
            "Class balance": _balance(statistics.balance()),
            "Instantiations by what is known of the class": _guesses(statistics.guesses()),
            "Windows dropped as duplicates": _duplicates(statistics.sources()),
        }
        files = statistics.files()
        if len(files):  # most often there are none
            drawn["Files left out, and files with syntax errors"] = _files(files)
        return {title: _svg(figure) for title, figure in drawn.items()}


def _placed(table: pd.DataFrame) -> Figure:
    others = ("triples", "placed %", SHORTENED_PERCENT)
    reasons = [name for name in table.columns if name not in others]
    known = table[table["triples"] > 0]
    shares = 100 * known[reasons].div(known["triples"], axis=0)
    shares.insert(0, "placed, head shortened", known[SHORTENED_PERCENT])
    shares.insert(0, "placed", known["placed %"] - known[SHORTENED_PERCENT])
    figure, axes = _figure(len(shares))
    _stacked(axes, shares, [COLORS[2], COLORS[5], COLORS[1], COLORS[6], COLORS[3]])
    axes.set_xlabel("% of the triples in the windows' own code")
    axes.set_xlim(min(80.0, np.floor(shares["placed"].min() / 10) * 10), 100)
    for row, share in enumerate(known["placed %"]):
        axes.text(100.3, row, f"{share:.1f}%", va="center", clip_on=False)
    return figure


def _slots(table: pd.DataFrame) -> Figure:
    figure, axes = _figure(len(table.columns))
    _grouped(axes, table.T.rename(index=lambda name: name.removesuffix(" %")))
    axes.set_xlabel("% of the roots (symmetric log scale: most roots have none)")
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(0, 100)
    axes.set_xticks([0, 0.5, 1, 10, 100], ["0", "0.5", "1", "10", "100"])
    return figure


def _lengths(statistics: Statistics) -> Figure:
    figure = Figure(figsize=(WIDTH, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    lengths = {split: counts.lengths() for split, counts in statistics.splits.items()}
    for axes, name, label in (
        (left, "roots", "roots of a window"),
        (right, "leaves", "leaf slots in use in a window"),
    ):
        _histogram(axes, {split: each[name] for split, each in lengths.items()})
        axes.set_xlabel(label)
        axes.set_ylabel("% of the windows")
    _legend(left)
    return figure


def _histogram(axes: Axes, by_split: dict[str, Numbers]) -> None:
    largest = max(int(lengths.max()) for lengths in by_split.values())
    width = max(1, -(-largest // NUM_BINS))
    edges = np.arange(0, largest + 2 * width, width)
    for color, (split, lengths) in zip(COLORS, by_split.items(), strict=False):
        heights = 100 * np.histogram(lengths, edges)[0] / len(lengths)
        axes.stairs(heights, edges, color=color, label=split, linewidth=1.3)


def _balance(table: pd.DataFrame) -> Figure:
    shares = table[[name for name in table.columns if name.endswith(" %")]]
    knowledge = table[[name for name in table.columns if name.endswith(" knowledge")]]
    figure = Figure(figsize=(WIDTH, 0.8 + 0.34 * len(table)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _grouped(left, shares.rename(columns=lambda name: name.removesuffix(" %")))
    left.set_xlabel("% of the windows' own triples")
    whole = (100 * knowledge / knowledge.sum().clip(lower=1)).rename(
        columns=lambda name: name.removesuffix(" knowledge")
    )
    _grouped(right, whole, has_legend=False)
    right.set_xlabel("% of the knowledge facts")
    return figure


def _guesses(table: pd.DataFrame) -> Figure:
    known = table[table[["known", "guessed"]].sum(axis=1) > 0]
    whole = known[["known", "guessed"]].sum(axis=1)
    figure, axes = _figure(len(known))
    shares = 100 * known[["known", "guessed"]].div(whole, axis=0)
    _stacked(axes, shares, [COLORS[2], COLORS[1]])
    axes.set_xlim(0, 100)
    axes.set_xlabel("% of the instantiations")
    return figure


def _duplicates(table: pd.DataFrame) -> Figure:
    figure, axes = _figure(len(table))
    dropped = table[["exact duplicates", "near duplicates"]]
    shares = 100 * dropped.div(table["windows"].clip(lower=1), axis=0)
    _stacked(axes, shares, [COLORS[1], COLORS[3]])
    axes.set_xlabel("% of the windows of the source")
    return figure


def _files(table: pd.DataFrame) -> Figure:
    figure, axes = _figure(len(table))
    _stacked(axes, table, COLORS)
    axes.set_xlabel("files")
    return figure


def _figure(num_rows: int) -> tuple[Figure, Axes]:
    """Return a figure for that many horizontal bars."""
    figure = Figure(figsize=(WIDTH, 0.9 + 0.24 * num_rows), layout="constrained")
    axes = figure.subplots()
    axes.grid(axis="x", linewidth=0.4, color="#cccccc")
    return figure, axes


def _stacked(axes: Axes, table: pd.DataFrame, colors: Sequence[str]) -> None:
    """Draw a bar for each row, the first on top, with a part for each column."""
    left = np.zeros(len(table))
    for color, (name, values) in zip(colors, table.items(), strict=False):
        axes.barh(np.arange(len(table)), values, left=left, color=color, label=str(name))
        left += values.to_numpy()
    _name_rows(axes, table)
    _legend(axes)


def _grouped(axes: Axes, table: pd.DataFrame, has_legend: bool = True) -> None:
    """Draw a bar for each cell, those of a row together, the first on top."""
    height = 0.8 / len(table.columns)
    for column, (name, values) in enumerate(table.items()):
        at = np.arange(len(table)) + (column - (len(table.columns) - 1) / 2) * height
        axes.barh(at, values, height, color=COLORS[column], label=str(name))
    _name_rows(axes, table)
    if has_legend:
        _legend(axes)


def _legend(axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure = axes.figure
    assert isinstance(figure, Figure)
    figure.legend(handles, labels, loc="outside upper left", ncols=len(labels), frameon=False)


def _name_rows(axes: Axes, table: pd.DataFrame) -> None:
    axes.set_yticks(np.arange(len(table)), [str(name) for name in table.index])
    axes.set_ylim(len(table) - 0.4, -0.6)


def _svg(figure: Figure) -> str:
    """Return the figure as an SVG element without the head of a file."""
    text = StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return "<svg" + text.getvalue().partition("<svg")[2]
