"""One batch of a source's files, parsed already, from its facts to its windows.

The outcome depends on the task alone (source content, settings, tokenizer), so it does not matter
which process does it, or when.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tokenizers import Tokenizer

from graph_builder.built_windows import save_windows
from graph_builder.chains import ChainSettings, chain_table
from graph_builder.entities import FileFacts
from graph_builder.file_batch import (
    FileBatch,
    FileSet,
    outlines,
    parsed,
    read_texts,
)
from graph_builder.linking import LinkCounts
from graph_builder.parsed_cache import Rejection
from graph_builder.repository import Repository
from graph_builder.source_files import printable
from graph_builder.source_report import SourceReport, load_report, save_report
from graph_builder.tokenizer import load_tokenizer


@dataclass(frozen=True)
class SourceTask:
    batch: FileBatch
    revision: str
    tokenizer_path: Path
    settings: ChainSettings
    windows_path: Path  # all windows of the batch, before duplicates are dropped
    report_path: Path  # written last: the task is done

    @property
    def is_done(self) -> bool:
        return self.report_path.exists() and self.windows_path.exists()


def build_batch(task: SourceTask) -> SourceReport:
    """Build the windows of one batch and their report, or read the report of a build before.

    Raises UserError where a file changes meanwhile.
    """
    if task.is_done:
        return load_report(task.report_path)
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
        _tokenizer(task.tokenizer_path),
        task.settings,
        counts,
    )
    save_windows(task.windows_path, table)
    placed, unplaced = counts.placed(), counts.unplaced()
    return SourceReport(
        num_files=len(batch.files),
        num_source_bytes=batch.amount.num_bytes,
        num_windows=table.num_rows,
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
def _tokenizer(path: Path) -> Tokenizer:
    return load_tokenizer(path)


@lru_cache(maxsize=1)
def _repository(files: FileSet) -> Repository:
    """Return the outlines of a source as its repository, for one batch after the other."""
    return Repository(list(outlines(files)))
