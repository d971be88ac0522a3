"""The picture of a study: each variant's difference from "no leaves", with its interval."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from graphmert.study.comparison import FIGURES, Table
from graphmert.study.comparison import Figure as StudyFigure
from graphmert.study.variants import FULL, NO_LEAVES, VARIANTS

COLUMNS = 4
CLEAR_COLOUR, UNCLEAR_COLOUR = "#1f6f54", "#9a9a9a"


def draw_differences(table: Table, reference: str = NO_LEAVES.name) -> Figure:
    """Draw, for every figure that has one, all variants against `reference`; not what needs no
    training, which is so far off that differences between variants would not show."""
    drawn = {figure: _names(table, figure, reference) for figure in FIGURES}
    shown = [figure for figure, names in drawn.items() if names]
    most_names = max(map(len, drawn.values()))
    rows = max(1, -(-len(shown) // COLUMNS))
    size = (3.8 * COLUMNS, (0.7 + 0.24 * most_names) * rows + 0.4)
    picture = Figure(figsize=size, layout="constrained")
    panels = picture.subplots(rows, COLUMNS, squeeze=False).flatten()
    for axes, figure in zip(panels, shown, strict=False):
        _draw(axes, table, figure, reference, drawn[figure])
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    picture.suptitle(f"Difference from {reference!r} (95% interval over seeds and repositories)")
    return picture


def _names(table: Table, figure: StudyFigure, reference: str) -> list[str]:
    """Return the variants that have this figure's difference from `reference`."""
    cells = {each.name: table.get(each.name, {}).get(figure.title) for each in VARIANTS}
    return [name for name, cell in cells.items() if cell is not None and reference in cell.against]


def _draw(
    axes: Axes, table: Table, figure: StudyFigure, reference: str, names: Sequence[str]
) -> None:
    axes.set_title(figure.title, size=9)
    axes.axvline(0.0, color="#444444", linewidth=0.8)
    for place, name in enumerate(names):
        difference = table[name][figure.title].against[reference]
        low, mean, high = (
            each * figure.unit for each in (difference.low, difference.mean, difference.high)
        )
        colour = CLEAR_COLOUR if low > 0 or high < 0 else UNCLEAR_COLOUR
        axes.plot([low, high], [place, place], color=colour, linewidth=2)
        axes.plot([mean], [place], "o", color=colour, markersize=5 if name == FULL.name else 4)
    axes.set_yticks(range(len(names)), names, size=7)
    axes.invert_yaxis()
    axes.tick_params(axis="x", labelsize=7)
    axes.grid(axis="x", color="#eeeeee")
    axes.spines[["top", "right", "left"]].set_visible(False)
