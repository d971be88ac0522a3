"""One source from its files to its shard: the unit of parallel work.

The outcome depends on the task alone (source content, settings, tokenizer), so it does not matter
which process does it, or when.
"""

from dataclasses import dataclass
from pathlib import Path

from graph_builder.chains import ChainSettings, LinkCounts, chain_graphs
from graph_builder.errors import UserError
from graph_builder.parsed_files import ParsedFiles, parse_files
from graph_builder.repository import Repository
from graph_builder.shards import ShardFormat, write_shard
from graph_builder.source_files import package_files, read_files
from graph_builder.source_report import SourceReport, load_report, save_report
from graph_builder.sources import ResolvedSource, content_sha256
from graph_builder.tokenizer import load_tokenizer


@dataclass(frozen=True)
class SourceTask:
    source: ResolvedSource
    tokenizer_path: Path
    settings: ChainSettings
    shard_format: ShardFormat
    shard_path: Path  # all windows of the source, before duplicates are dropped
    report_path: Path  # written last: the task is done

    @property
    def is_done(self) -> bool:
        return self.report_path.exists() and self.shard_path.exists()


def build_source(task: SourceTask) -> SourceReport:
    """Build the shard of one source and its report, or read the report of a build before.

    Raises UserError where no file of the source can be used, or its files change meanwhile.
    """
    if task.is_done:
        return load_report(task.report_path)
    source = task.source
    files = read_files(source.root, source.files)
    parsed = parse_files(files.texts, package_files(source.root, files.texts))
    rejected = tuple(sorted((*files.rejected, *parsed.rejected)))
    if not parsed.facts:
        reasons = ", ".join(sorted({reason for _, reason, _ in rejected}))
        raise UserError(f"{source.label}: none of its Python files can be used ({reasons})")
    report = _write_source(task, parsed, rejected)
    if content_sha256(source.root, source.files)[0] != source.content_sha256:
        raise UserError(f"{source.label}: its files changed while they were read: build it again")
    save_report(task.report_path, report)
    return report


def _write_source(
    task: SourceTask, parsed: ParsedFiles, rejected: tuple[tuple[str, str, str], ...]
) -> SourceReport:
    source = task.source
    counts = LinkCounts()
    records = chain_graphs(
        source.label,
        source.revision,
        parsed.texts,
        Repository(parsed.facts),
        load_tokenizer(task.tokenizer_path),
        task.settings,
        counts,
    )
    num_windows = write_shard(task.shard_path, records, task.shard_format)
    placed, unplaced = counts.placed(), counts.unplaced()
    return SourceReport(
        num_files=len(source.files),
        num_source_bytes=source.num_bytes,
        num_windows=num_windows,
        num_triples=sum(placed.values()) + sum(sum(cause.values()) for cause in unplaced.values()),
        rejected=rejected,
        syntax_errors=parsed.syntax_errors,
        instantiates={
            "known": counts.instantiations[False],
            "guessed": counts.instantiations[True],
        },
        placed=placed,
        unplaced=unplaced,
    )
