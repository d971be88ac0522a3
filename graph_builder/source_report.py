"""What one source's files came to: counts, and every file that was left out or is broken."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from graph_builder.manifest import Counts
from graph_builder.whole_file import write_whole


@dataclass(frozen=True)
class SourceReport:
    """Written beside the shard of a batch by the process that built it; see SourceEntry."""

    num_files: int
    num_source_bytes: int
    num_windows: int
    num_triples: int
    rejected: tuple[tuple[str, str, str], ...]
    syntax_errors: tuple[tuple[str, int], ...]
    instantiates: Counts
    placed: Counts
    shortened: Counts
    unplaced: dict[str, Counts]


def joined(reports: Sequence[SourceReport]) -> SourceReport:
    """Return the report of a source from those of its batches, in the order of their files."""
    return SourceReport(
        num_files=sum(report.num_files for report in reports),
        num_source_bytes=sum(report.num_source_bytes for report in reports),
        num_windows=sum(report.num_windows for report in reports),
        num_triples=sum(report.num_triples for report in reports),
        rejected=tuple(file for report in reports for file in report.rejected),
        syntax_errors=tuple(file for report in reports for file in report.syntax_errors),
        instantiates=_sum([report.instantiates for report in reports]),
        placed=_sum([report.placed for report in reports]),
        shortened=_sum([report.shortened for report in reports]),
        unplaced={
            reason: _sum([report.unplaced[reason] for report in reports])
            for reason in reports[0].unplaced
        },
    )


def _sum(counts: Sequence[Counts]) -> Counts:
    return {name: sum(each[name] for each in counts) for name in counts[0]}


def save_report(path: Path, report: SourceReport) -> None:
    write_whole(path, json.dumps(asdict(report)).encode())


def load_report(path: Path) -> SourceReport:
    values = json.loads(path.read_bytes())
    values["rejected"] = tuple(tuple(file) for file in values["rejected"])
    values["syntax_errors"] = tuple(tuple(file) for file in values["syntax_errors"])
    return SourceReport(**values)
