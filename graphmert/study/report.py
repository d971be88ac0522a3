"""The report of a study: tables as markdown, and all their numbers as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, NamedTuple

from graphmert.study.comparison import FIGURES, Cell, Figure, Table, compare
from graphmert.study.outcome import Outcome, SplitOutcome, Sums
from graphmert.study.settings import TUNE_UPDATES
from graphmert.study.variants import NO_HGAT, NO_LEAVES, SHUFFLED, VARIANTS

# What every variant is held to: the first three by its graph, the others by learning anything.
REFERENCES: Final = (
    *(each.name for each in (NO_LEAVES, SHUFFLED, NO_HGAT)),
    *("count table", "BM25", "table of tails"),
)
FIGURES_PER_TABLE: Final = 7  # so that a page can show them
OLD_TUNE_UPDATES: Final = ("tune_updates",)  # of all fine-tunes, in older outcomes


class Group(NamedTuple):
    """Runs that may be compared: of one data set, with the same settings."""

    data_set: str
    settings: str  # JSON

    @property
    def values(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.settings)
        return found

    @property
    def before_tuning(self) -> "Group":
        """The group of runs whose fine-tunes were left out or cut off."""
        tunes = {*TUNE_UPDATES, *OLD_TUNE_UPDATES} & self.values.keys()
        settings = json.dumps(self.values | dict.fromkeys(tunes, 0), sort_keys=True)
        return Group(self.data_set, settings)

    @property
    def title(self) -> str:
        values = self.values
        size = f"{values['num_updates']:,} updates"
        if "batch_size" not in values:
            return size
        if values.get("base_updates"):
            size += f" after {values['base_updates']:,} of code alone, each"
        return (
            f"{size} of {values['batch_size']} windows, {values['preset']}, "
            f"learning rate {values['learning_rate']:g}, data set {short_name(self.data_set)}"
        )


def short_name(data_set: str) -> str:
    """Return the first figures of a digest, and the share of the data set where that is a part."""
    digest, _, share = data_set.partition(" ")
    return f"{digest[:12]} {share}".rstrip()


Tables = dict[Group, Table]  # of one split, in the order of a report


def study_tables(outcomes: Sequence[Outcome], split: str) -> Tables:
    """Return a table for each group of runs, the longest runs first.

    What needs no training (no number of updates) stands in all those of its questions, and what a
    run said before its fine-tunes beside those that were tuned, unless it was too. Raises
    ValueError where a variant has two outcomes of one seed in a group.
    """
    groups: dict[Group, dict[tuple[str, int], Outcome]] = {}
    untrained = []
    for outcome in outcomes:
        if split not in outcome.splits:
            continue
        if not outcome.num_updates:
            untrained.append(outcome)
            continue
        group = Group(outcome.data_set, json.dumps(outcome.settings, sort_keys=True))
        runs = groups.setdefault(group, {})
        if (outcome.variant, outcome.seed) in runs:
            raise ValueError(f"two outcomes of {outcome.variant!r}, seed {outcome.seed}")
        runs[outcome.variant, outcome.seed] = outcome
    tuned = [group for group in groups if group.before_tuning != group]
    for group in tuned:
        groups[group] = groups.get(group.before_tuning, {}) | groups[group]
    for group in tuned:
        groups.pop(group.before_tuning, None)
    order = {variant.name: at for at, variant in enumerate(VARIANTS)}
    tables = {}
    for group in sorted(groups, key=lambda each: -each.values["num_updates"]):
        trained = sorted(
            groups[group].values(),
            key=lambda run: (order.get(run.variant, len(order)), run.variant, run.seed),
        )
        beside = [each for each in untrained if _are_questions_equal(each, group)]
        asked = _told_with(trained, split)
        tables[group] = compare([*trained, *beside, *asked], split, REFERENCES)
    return tables


def _are_questions_equal(outcome: Outcome, group: Group) -> bool:
    asked = outcome.data_set, outcome.settings["num_questions"]
    return asked == (group.data_set, group.values["num_questions"])


def _told_with(trained: Sequence[Outcome], split: str) -> list[Outcome]:
    """Return what the runs themselves say of baselines on the questions that all of them share."""
    told: dict[str, Sums] = {}
    for outcome in trained:
        for name, sums in outcome.splits[split].baselines.items():
            told[name] = sums | told.get(name, {})
    return [
        Outcome(
            variant=name.replace("_", " "),
            seed=0,
            data_set=trained[0].data_set,
            settings={},
            losses={},
            seconds={},
            splits={split: SplitOutcome(figures=sums)},
        )
        for name, sums in told.items()
    ]


def study_markdown(tables: Tables, split: str) -> str:
    """Return the tables of one split."""
    parts = []
    for group, table in tables.items():
        num_seeds = max(len(cell.by_seed) for row in table.values() for cell in row.values())
        parts.append(f"## {split}: {group.title}, {num_seeds} seed{'s' * (num_seeds > 1)}\n")
        shown = [figure for figure in FIGURES if any(figure.title in row for row in table.values())]
        pages = [
            shown[start : start + FIGURES_PER_TABLE]
            for start in range(0, len(shown), FIGURES_PER_TABLE)
        ]
        parts += [_means(table, page) for page in pages]
        for reference in REFERENCES:
            differences = [_differences(table, page, reference) for page in pages]
            if any(differences):
                parts.append(f"### {split}: against {reference!r}\n")
                parts += filter(None, differences)
    return "\n".join(parts)


def study_json(tables_by_split: Mapping[str, Tables]) -> str:
    """Return all numbers of the tables."""
    values: dict[str, Any] = {
        split: [
            {
                "data_set": group.data_set,
                "settings": group.values,
                "table": {
                    variant: {title: asdict(cell) for title, cell in row.items()}
                    for variant, row in table.items()
                },
            }
            for group, table in tables.items()
        ]
        for split, tables in tables_by_split.items()
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
    """Return a table, without the rows that have no number; nothing where none has."""
    if not any(any(cells) for cells in rows.values()):
        return ""
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
