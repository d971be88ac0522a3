"""The statistics of a data set as one HTML page: plots, tables, no script and nothing to fetch."""

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Final

from graph_builder.errors import UserError
from graph_builder.stats import Statistics
from graph_builder.stats_plots import plots
from graph_builder.summary import counts_text, sum_counts, unplaced_by_reason
from graph_builder.whole_file import write_whole

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem;
       color: #1a1a1a; background: #fff }
h1 { font-size: 1.5rem; margin-bottom: 0 } h2 { font-size: 1.1rem; margin-top: 2.2rem }
.digest { color: #555; font-family: monospace }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .8rem;
         margin: 1.2rem 0 }
.tiles div { border: 1px solid #ddd; border-radius: .4rem; padding: .6rem .8rem }
.tiles b { display: block; font-size: 1.35rem }
svg { max-width: 100%; height: auto } .wide { overflow-x: auto }
table { border-collapse: collapse; font-size: .85rem }
th, td { padding: .15rem .7rem; text-align: right; border-bottom: 1px solid #eee }
tbody th, thead th:first-child { text-align: left; font-weight: normal }
thead th { border-bottom: 1px solid #888 }
"""


def write_page(statistics: Statistics, path: Path) -> None:
    """Write the page, whole or not at all; raise UserError where `path` is a folder."""
    if path.is_dir():
        raise UserError(f"{path}: a folder: name a file for the page")
    write_whole(path, "\n".join(_lines(statistics)).encode())


def _lines(statistics: Statistics) -> Iterator[str]:
    manifest = statistics.manifest
    name = escape(statistics.dataset.path.resolve().name)
    yield "<!doctype html>"
    yield f'<html lang="en"><head><meta charset="utf-8"><title>{name}: statistics</title>'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<style>{_STYLE}</style></head><body>"
    yield f'<h1>Data set {name}</h1><div class="digest">{manifest.digest[:12]}</div>'
    yield '<div class="tiles">'
    for label, value in _tiles(statistics).items():
        yield f"<div><b>{escape(value)}</b>{escape(label)}</div>"
    yield "</div>"
    for title, drawing in plots(statistics).items():
        yield f"<section><h2>{escape(title)}</h2>{drawing}</section>"
    for title, table in statistics.tables().items():
        shown = table.to_html(border=0, na_rep="", justify="right") if len(table) else "<p>none</p>"
        yield f'<section><h2>{escape(title)}</h2><div class="wide">{shown}</div></section>'
    yield "</body></html>"


def _tiles(statistics: Statistics) -> dict[str, str]:
    """Return the figures to see first, by what they are."""
    manifest, placed = statistics.manifest, statistics.placed().loc["all"]
    guesses = statistics.guesses().loc["all"]
    duplicates = sum_counts(source.duplicates for source in manifest.sources)
    left_out = sum_counts({r: 1} for source in manifest.sources for _, r, _ in source.rejected)
    counts = {split: manifest.num_windows(split) for split in statistics.splits}
    return {
        **{f"{split} windows": f"{number:,}" for split, number in counts.items()},
        "triples of the windows' own code": f"{statistics.num_triples:,}",
        f"placed (not: {counts_text(unplaced_by_reason(manifest))})": f"{placed['placed %']}%",
        "of the instantiations are guesses": f"{guesses['guessed %']}%",
        f"duplicate windows dropped ({counts_text(duplicates)})": f"{duplicates.total():,}",
        f"files left out ({counts_text(left_out)})": f"{left_out.total():,}",
    }
