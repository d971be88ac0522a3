"""Batches of files: the unit of parallel work, and of parsing what was not parsed before."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from graph_builder.entities import FileFacts
from graph_builder.errors import UserError
from graph_builder.modules import module_name
from graph_builder.parsed_cache import Outcome, Rejection, parsed_cache
from graph_builder.parsed_files import parse_files
from graph_builder.progress import Amount
from graph_builder.source_files import SourceFiles, package_files, printable, read_files
from graph_builder.source_text import SourceText
from graph_builder.sources import ResolvedSource, content_of, file_content

# Bytes of source in a batch. More would take more memory, fewer more time: each batch spells its
# names and looks up its facts anew (benchmarks/build_speed.py).
BATCH_BYTES: Final = 2 * 2**20


class BatchFile(NamedTuple):
    """One file with what its parse depends on."""

    path: str  # relative to the source's root, forward slashes
    module: str
    sha256: str
    num_bytes: int


@dataclass(frozen=True)
class FileSet:
    """The files of a source, and where what they say is kept."""

    label: str  # of the source
    root: Path
    files: tuple[BatchFile, ...]
    packages: frozenset[str]  # the `__init__.py` files there
    cache: Path  # folder of parsed files, for these versions of the builder

    @staticmethod
    def key(file: BatchFile) -> bytes:
        """Return what the entry of a file in the cache is called."""
        what = "\0".join([file.path, file.module, file.sha256])
        return hashlib.sha256(os.fsencode(what)).digest()[:16]


@dataclass(frozen=True)
class FileBatch:
    """A run of files of a source: `first` .. `end` - 1 of all."""

    all: FileSet
    first: int
    end: int

    @property
    def files(self) -> tuple[BatchFile, ...]:
        return self.all.files[self.first : self.end]

    @property
    def amount(self) -> Amount:
        return Amount(len(self.files), sum(file.num_bytes for file in self.files))


def file_batches(source: ResolvedSource, cache: Path) -> list[FileBatch]:
    """Cut the files of a source, in the order of their paths, into batches of about equal size.

    The cut depends on the files alone, so that the shards are the same wherever they are made.
    """
    packages = frozenset(package_files(source.root, source.files))
    files = tuple(
        BatchFile(path, module_name(path, packages), *content)
        for path, content in zip(source.files, source.contents, strict=True)
    )
    everything = FileSet(source.label, source.root, files, packages, cache)
    num_batches = max(1, round(source.num_bytes / BATCH_BYTES))
    batches: list[FileBatch] = []
    first, num_bytes = 0, 0
    for at, file in enumerate(files, start=1):
        num_bytes += file.num_bytes
        if num_bytes * num_batches >= source.num_bytes * (len(batches) + 1) or at == len(files):
            batches.append(FileBatch(everything, first, at))
            first = at
    return batches


def parse_batch(batch: FileBatch) -> None:
    """Parse those files of a batch that the cache does not have."""
    cache = parsed_cache(batch.all.cache)
    cache.look_again()
    _parse(batch.all, [file for file in batch.files if batch.all.key(file) not in cache])


def outlines(files: FileSet) -> Iterator[FileFacts]:
    """Yield what other files need to know of each file of a source that could be parsed."""
    cache = parsed_cache(files.cache)
    cache.look_again()
    for file in files.files:
        outcome = cache.load_outline(files.key(file))
        if outcome is None:
            outcome = _parse(files, [file])[file.path]
        if isinstance(outcome, FileFacts):
            yield outcome


def parsed(batch: FileBatch) -> dict[str, Outcome]:
    """Return all that the files of a batch say, by path."""
    cache = parsed_cache(batch.all.cache)
    cache.look_again()
    outcomes = {file.path: cache.load_parsed(batch.all.key(file)) for file in batch.files}
    missing = [file for file in batch.files if outcomes[file.path] is None]
    parsed_now = _parse(batch.all, missing)
    return {path: outcome or parsed_now[path] for path, outcome in outcomes.items()}


def read_texts(batch: FileBatch) -> dict[str, SourceText]:
    """Return the texts of a batch by path; raise UserError where one changed meanwhile."""
    return _read(batch.all, batch.files).texts


def _parse(files: FileSet, chosen: Sequence[BatchFile]) -> dict[str, Outcome]:
    """Parse files and keep what they say."""
    found = _read(files, chosen)
    parsed = parse_files(found.texts, files.packages)
    facts = {each.path: each for each in parsed.facts}
    reasons = {path: Rejection(*why) for path, *why in (*found.rejected, *parsed.rejected)}
    outcomes = {file.path: facts.get(file.path) or reasons[printable(file.path)] for file in chosen}
    parsed_cache(files.cache).save({files.key(file): outcomes[file.path] for file in chosen})
    return outcomes


def _read(files: FileSet, chosen: Sequence[BatchFile]) -> SourceFiles:
    found = read_files(files.root, [file.path for file in chosen])
    for file in chosen:
        text = found.texts.get(file.path)
        content = file_content(files.root / file.path) if text is None else content_of(text.data)
        if content.sha256 != file.sha256:
            raise UserError(
                f"{files.label}: {printable(file.path)} changed while it was read: build it again"
            )
    return found
