"""One batch of a source's files, parsed already, from its facts to its shard.

The outcome depends on the task alone (source content, settings, tokenizer), so it does not matter
which process does it, or when.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from graph_builder.chains import ChainSettings, chain_table
from graph_builder.entities import FileFacts
from graph_builder.file_batch import (
    FileBatch,
    FileSet,
    outlines,
    parsed,
    read_texts,
    without_collection,
)
from graph_builder.linking import LinkCounts
from graph_builder.parsed_cache import Rejection
from graph_builder.repository import Repository
from graph_builder.shards import ShardFormat, write_rows
from graph_builder.source_files import printable
from graph_builder.source_report import SourceReport, load_report, save_report
from graph_builder.tokenizer import load_tokenizer


@dataclass(frozen=True)
class SourceTask:
    batch: FileBatch
    revision: str
    tokenizer_path: Path
    settings: ChainSettings
    shard_format: ShardFormat
    shard_path: Path  # all windows of the batch, before duplicates are dropped
    report_path: Path  # written last: the task is done

    @property
    def is_done(self) -> bool:
        return self.report_path.exists() and self.shard_path.exists()


def build_batch(task: SourceTask) -> SourceReport:
    """Build the shard of one batch and its report, or read the report of a build before.

    Raises UserError where a file changes meanwhile.
    """
    if task.is_done:
        return load_report(task.report_path)
    with without_collection():
        report = _write_batch(task)
    save_report(task.report_path, report)
    return report


def _write_batch(task: SourceTask) -> SourceReport:
    batch, counts = task.batch, LinkCounts()
    outcomes = parsed(batch)
    facts = [outcome for outcome in outcomes.values() if isinstance(outcome, FileFacts)]
    texts = read_texts(batch)
    table = chain_table(
        batch.all.label,
        task.revision,
        {each.path: texts[each.path] for each in facts},
        _repository(batch.all).with_files(facts),
        load_tokenizer(task.tokenizer_path),
        task.settings,
        counts,
    )
    placed, unplaced = counts.placed(), counts.unplaced()
    return SourceReport(
        num_files=len(batch.files),
        num_source_bytes=batch.amount.num_bytes,
        num_windows=write_rows(task.shard_path, table, task.shard_format),
        num_triples=sum(placed.values()) + sum(sum(cause.values()) for cause in unplaced.values()),
        rejected=tuple(
            (printable(path), *outcome)
            for path, outcome in outcomes.items()
            if isinstance(outcome, Rejection)
        ),
        syntax_errors=tuple((f.path, f.num_syntax_errors) for f in facts if f.num_syntax_errors),
        instantiates={
            "known": counts.instantiations[False],
            "guessed": counts.instantiations[True],
        },
        placed=placed,
        shortened=counts.shortened(),
        unplaced=unplaced,
    )


@lru_cache(maxsize=1)
def _repository(files: FileSet) -> Repository:
    """Return the outlines of a source as its repository, for one batch after the other."""
    return Repository(list(outlines(files)))
