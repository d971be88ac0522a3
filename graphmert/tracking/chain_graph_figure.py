"""One window of a data set as the chain graph that it is, with what a model says of its relations.

    python -m graphmert.tracking.chain_graph_figure CHECKPOINT DATASET OUTPUT.png

draws a window of the validation split: its roots as a chain from top to bottom, its triples at the
roots that they hang on. The relation of each is asked for with all else to be seen.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from tokenizers import Tokenizer

from graph_builder.dataset import Dataset, open_dataset
from graph_builder.errors import UserError
from graph_builder.record import ChainGraph
from graph_builder.relations import RELATION_NAMES
from graph_builder.shards import records_table, table_records
from graphmert.data.dataset import load_tokenizer
from graphmert.data.windows import WindowTable
from graphmert.evaluation.questions import ask_relations
from graphmert.models.loading import load_model

MAX_ROOTS, MAX_TRIPLES = 44, 22  # of a window that can still be read as a picture
NUM_LOOKED_AT = 4_000  # windows among which the one with the most triples is drawn
RIGHT, WRONG, INK, CHAIN = "#2a7f4f", "#c0392b", "#222222", "#9bb8d3"
KEY = (
    "relation of the parser → the other end of the triple (what the model says, if it says another "
    "relation, and how sure it is)      * known from outside the window      ← this is its tail"
)
ROW_INCHES, TEXT_POINTS = 0.24, 8
CHAIN_X = 0.1  # where the roots are, of a width of 1
LEAF_X, LEAF_WIDTH = 0.13, 0.3  # where the first triple of a root is, and the room of each


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the figure and return the exit code."""
    parser = argparse.ArgumentParser(prog="chain-graph-figure", description="Draw a chain graph.")
    for name in ("checkpoint", "dataset", "output"):
        parser.add_argument(name, type=Path)
    options = parser.parse_args(arguments)
    try:
        draw(options.checkpoint, options.dataset).savefig(options.output, dpi=110)
    except (UserError, ValueError, OSError) as error:
        print(f"chain-graph-figure: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def draw(checkpoint: Path, dataset_dir: Path) -> Figure:
    """Return the figure; raise ValueError where there is no window that could be drawn."""
    dataset = open_dataset(dataset_dir)
    window = choose_window(dataset)
    table = WindowTable.from_arrow(records_table([window]), dataset.layout)
    questions = [(0, triple) for triple in range(len(window.triple_relations))]
    answers = ask_relations(load_model(checkpoint), table, questions)
    return draw_window(window, answers, load_tokenizer(dataset.tokenizer_path))


def choose_window(dataset: Dataset) -> ChainGraph:
    """Return the window of the validation split that has most to show on one page."""
    chosen, most = None, 0
    for window in islice(_windows(dataset), NUM_LOOKED_AT):
        num_triples = len(window.triple_relations)
        if most < num_triples <= MAX_TRIPLES and len(window.root_ids) <= MAX_ROOTS:
            chosen, most = window, num_triples
    if chosen is None:
        raise ValueError(f"{dataset.path}: no window of validation is small enough to be drawn")
    return chosen


def _windows(dataset: Dataset) -> Iterator[ChainGraph]:
    tables: Iterator[pa.Table] = iter(dataset.tables("validation"))
    for table in tables:
        yield from table_records(table)


def draw_window(
    window: ChainGraph, answers: Sequence[Sequence[float]], tokenizer: Tokenizer
) -> Figure:
    """Draw a window; `answers` has the probability of each relation for each triple."""
    num_rows = len(window.root_ids)
    figure = Figure(figsize=(11, 1.0 + ROW_INCHES * num_rows), layout="constrained")
    axes = figure.subplots()
    axes.set_xlim(0, 1)
    axes.set_ylim(num_rows, -0.7)
    axes.axis("off")
    axes.plot([CHAIN_X, CHAIN_X], [0, num_rows - 1], color=CHAIN, linewidth=2, zorder=0)
    for row, token in enumerate(window.root_ids):
        text = tokenizer.decode([int(token)], skip_special_tokens=False)
        text = text.replace("\n", "⏎").rstrip(" ")  # an indent would push the mark of its line away
        is_own = window.root_starts[row] >= 0
        axes.plot(CHAIN_X, row, "o", color=CHAIN, markersize=4)
        axes.text(CHAIN_X - 0.01, row, text, ha="right", va="center", size=TEXT_POINTS,
                  family="monospace", color=INK if is_own else "#888888")  # fmt: skip
    num_right = _draw_triples(axes, window, answers)
    axes.set_title(
        f"{window.qualified_name or window.path} ({window.source}): the model names "
        f"{num_right} of {len(answers)} relations as the parser does",
        size=10,
    )
    axes.text(0.5, num_rows - 0.4, KEY, ha="center", size=TEXT_POINTS - 1, color="#777777")
    return figure


def _draw_triples(axes: Axes, window: ChainGraph, answers: Sequence[Sequence[float]]) -> int:
    """Draw every triple beside its root; return how many relations the model names rightly."""
    num_at_root: dict[int, int] = {}
    num_right = 0
    for triple, probabilities in enumerate(answers):
        leaf = int(np.flatnonzero(window.leaf_triples == triple)[0])
        root = int(window.leaf_roots[leaf])
        place = num_at_root.setdefault(root, 0)
        num_at_root[root] += 1
        is_right = int(np.argmax(probabilities)) == window.triple_relations[triple]
        num_right += is_right
        x = LEAF_X + place * LEAF_WIDTH
        axes.plot([CHAIN_X if place == 0 else x - 0.02, x], [root, root], color=CHAIN, linewidth=1)
        axes.text(x, root, triple_label(window, triple, probabilities), va="center",
                  size=TEXT_POINTS - 1, color=RIGHT if is_right else WRONG)  # fmt: skip
    return num_right


def triple_label(window: ChainGraph, triple: int, probabilities: Sequence[float]) -> str:
    """Return "calls → append  87%", or with what the model says instead of the relation."""
    relation, best = int(window.triple_relations[triple]), int(np.argmax(probabilities))
    is_reversed = bool(window.triple_is_reversed[triple])
    other = window.triple_heads[triple] if is_reversed else window.triple_tails[triple]
    said = "" if best == relation else f"{RELATION_NAMES[best]}: "
    return (
        f"{RELATION_NAMES[relation]} {'←' if is_reversed else '→'} {other}"
        f"{'*' if window.triple_is_knowledge[triple] else ''}  ({said}{probabilities[best]:.0%})"
    )


if __name__ == "__main__":
    sys.exit(main())
