"""What one source's files came to: counts, and every file that was left out or is broken."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from graph_builder.manifest import Counts
from graph_builder.whole_file import write_whole


@dataclass(frozen=True)
class SourceReport:
    """Written beside a source's shard by the process that built it; see SourceEntry."""

    num_files: int
    num_source_bytes: int
    num_windows: int
    num_triples: int
    rejected: tuple[tuple[str, str, str], ...]
    syntax_errors: tuple[tuple[str, int], ...]
    instantiates: Counts
    placed: Counts
    unplaced: dict[str, Counts]


def save_report(path: Path, report: SourceReport) -> None:
    write_whole(path, json.dumps(asdict(report)).encode())


def load_report(path: Path) -> SourceReport:
    values = json.loads(path.read_bytes())
    values["rejected"] = tuple(tuple(file) for file in values["rejected"])
    values["syntax_errors"] = tuple(tuple(file) for file in values["syntax_errors"])
    return SourceReport(**values)
