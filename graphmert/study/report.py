"""The report of a study: tables as markdown, and all their numbers as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from graphmert.study.comparison import FIGURES, Cell, Figure, Table, compare
from graphmert.study.outcome import Outcome
from graphmert.study.variants import NO_LEAVES, SHUFFLED, VARIANTS

REFERENCES: Final = (NO_LEAVES.name, SHUFFLED.name)
FIGURES_PER_TABLE: Final = 7  # so that a page can show them


def study_tables(outcomes: Sequence[Outcome], split: str) -> dict[int, Table]:
    """Return a table for each number of updates, the longest runs first.

    What needs no training (its number is 0) stands in all of them.
    """
    here = [outcome for outcome in outcomes if split in outcome.splits]
    untrained = [outcome for outcome in here if not outcome.num_updates]
    lengths = sorted({outcome.num_updates for outcome in here} - {0}, reverse=True)
    order = [variant.name for variant in VARIANTS]
    tables = {}
    for num_updates in lengths:
        trained = [outcome for outcome in here if outcome.num_updates == num_updates]
        trained.sort(key=lambda outcome: (order.index(outcome.variant), outcome.seed))
        tables[num_updates] = compare([*trained, *untrained], split, REFERENCES)
    return tables


def study_markdown(outcomes: Sequence[Outcome], split: str) -> str:
    """Return the tables of one split."""
    parts = []
    for num_updates, table in study_tables(outcomes, split).items():
        num_seeds = max(len(cell.by_seed) for row in table.values() for cell in row.values())
        parts.append(
            f"## {split}: {num_updates:,} updates, {num_seeds} seed{'s' * (num_seeds > 1)}\n"
        )
        shown = [figure for figure in FIGURES if any(figure.title in row for row in table.values())]
        for start in range(0, len(shown), FIGURES_PER_TABLE):
            parts.append(_means(table, shown[start : start + FIGURES_PER_TABLE]))
        for reference in REFERENCES:
            if reference in table:
                parts.append(f"### {split}, {num_updates:,} updates: against {reference!r}\n")
                parts += [
                    _differences(table, shown[start : start + FIGURES_PER_TABLE], reference)
                    for start in range(0, len(shown), FIGURES_PER_TABLE)
                ]
    return "\n".join(parts)


def study_json(outcomes: Sequence[Outcome], splits: Sequence[str]) -> str:
    """Return all numbers of the tables."""
    values: dict[str, Any] = {
        split: {
            str(num_updates): {
                variant: {title: asdict(cell) for title, cell in row.items()}
                for variant, row in table.items()
            }
            for num_updates, table in study_tables(outcomes, split).items()
        }
        for split in splits
    }
    return json.dumps(values, indent=1) + "\n"


def _means(table: Table, figures: Sequence[Figure]) -> str:
    def shown(cell: Cell | None, figure: Figure) -> str:
        if cell is None:
            return ""
        text = _number(cell.mean, figure)
        spread = f" ± {_number(cell.spread, figure)}" if len(cell.by_seed) > 1 else ""
        return f"{text}{spread}"

    rows = {
        variant: [shown(row.get(figure.title), figure) for figure in figures]
        for variant, row in table.items()
    }
    return _markdown(figures, rows)


def _differences(table: Table, figures: Sequence[Figure], reference: str) -> str:
    def shown(cell: Cell | None, figure: Figure) -> str:
        difference = cell.against.get(reference) if cell else None
        if difference is None:
            return ""
        low, high = (_number(each, figure, "+") for each in (difference.low, difference.high))
        text = f"{_number(difference.mean, figure, '+')} [{low}, {high}]"
        is_clear = difference.low > 0 or difference.high < 0
        return f"**{text}**" if is_clear else text

    rows = {
        variant: [shown(row.get(figure.title), figure) for figure in figures]
        for variant, row in table.items()
    }
    return _markdown(figures, rows)


def _markdown(figures: Sequence[Figure], rows: dict[str, list[str]]) -> str:
    """Return a table; rows without a number are left out."""
    lines = [
        "| variant | " + " | ".join(figure.title for figure in figures) + " |",
        "|---" * (len(figures) + 1) + "|",
    ]
    lines += [
        f"| {variant} | " + " | ".join(cells) + " |"
        for variant, cells in rows.items()
        if any(cells)
    ]
    return "\n".join(lines) + "\n"


def _number(value: float, figure: Figure, sign: str = "") -> str:
    return f"{value * figure.unit:{sign}.{figure.digits}f}"
