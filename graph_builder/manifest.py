"""The manifest of a data set: what it was built from, how, and every shard with its hash.

Written last, so a folder without one is not a data set. It holds no time, host or absolute path:
the same sources give the same manifest, and its digest is the identity of the data set.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from graph_builder.errors import UserError
from graph_builder.shards import ShardFormat
from graph_builder.whole_file import write_whole

MANIFEST_NAME: Final = "manifest.json"
SPLITS: Final = ("train", "validation", "test")

Counts = dict[str, int]


@dataclass(frozen=True)
class ShardEntry:
    """One Parquet file."""

    path: str  # relative to the data set's folder, with forward slashes
    source: str
    split: str
    key: str  # hash of what went in: source content, builder, settings, tokenizer
    num_windows: int
    num_bytes: int
    sha256: str


@dataclass(frozen=True)
class SourceEntry:
    """One source: where it came from, what was left out of it and why."""

    source: str  # spec as given, without the path of a local folder or the password of a URL
    revision: str  # git commit, or version and content hash
    content_sha256: str  # over the paths and bytes of its Python files
    split: str
    generation: int  # 0: there from the start, n: came with the n-th extension
    num_files: int
    num_source_bytes: int
    num_windows: int  # before duplicates were dropped
    num_triples: int  # triples of its files
    rejected: tuple[tuple[str, str, str], ...]  # (path, reason, detail) of files left out
    syntax_errors: tuple[tuple[str, int], ...]  # (path, errors) of files that still contribute
    instantiates: Counts  # "known" and "guessed": classes that are known, or by CapWords alone
    placed: Counts  # triples placed, by relation
    shortened: Counts  # of those, the ones that spell the last parts of their head alone
    unplaced: dict[str, Counts]  # triples without a place, by reason and relation
    duplicates: Counts  # windows dropped: "exact" and "near"


@dataclass(frozen=True)
class TokenizerEntry:
    path: str  # relative to the data set's folder
    fingerprint: str
    vocab_size: int  # number of token ids
    trained_on: tuple[str, ...]  # sources; empty: loaded from a path


@dataclass(frozen=True)
class Manifest:
    shard_format: ShardFormat
    builder: dict[str, str]  # hash of the builder's code, versions of its parser, tokenizers ..
    settings: dict[str, Any]  # the build's settings that change the outcome
    inputs: str  # hash of all that went in: the same inputs need no new build
    tokenizer: TokenizerEntry
    sources: tuple[SourceEntry, ...]
    shards: tuple[ShardEntry, ...]

    @cached_property
    def digest(self) -> str:
        """Identity of the data set: sha256 over all that the manifest says."""
        return canonical_sha256(asdict(self))

    def shards_of(self, split: str) -> list[ShardEntry]:
        return [shard for shard in self.shards if shard.split == split]

    def num_windows(self, split: str) -> int:
        return sum(shard.num_windows for shard in self.shards_of(split))


def canonical_sha256(value: object) -> str:
    """Return the sha256 of `value` as JSON with sorted keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def save_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `folder`/manifest.json: from now on the folder is this data set."""
    values = {**asdict(manifest), "digest": manifest.digest}
    write_whole(folder / MANIFEST_NAME, (json.dumps(values, indent=1) + "\n").encode())


def load_manifest(folder: Path) -> Manifest:
    """Read `folder`/manifest.json; raise UserError where there is none or it is another format."""
    path = folder / MANIFEST_NAME
    try:
        values = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{folder}: no data set ({MANIFEST_NAME} is missing): build one") from None
    except ValueError:
        raise UserError(f"{path}: not a manifest: build the data set again") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: not a manifest: build the data set again")
    _check_format(path, values)
    try:
        manifest = _from_json(values)
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{path}: incomplete manifest ({error}): build the data set again"
        ) from error
    if values.get("digest") != manifest.digest:
        raise UserError(f"{path}: does not match its own digest: build the data set again")
    return manifest


def _check_format(path: Path, values: dict[str, Any]) -> None:
    """Refuse the manifest of another format before anything else of it is believed."""
    shard_format = values.get("shard_format")
    found = ShardFormat.from_json(shard_format if isinstance(shard_format, dict) else {})
    expected = ShardFormat(found.tokenizer, found.num_roots, found.leaves_per_root)
    if differences := expected.differences(found):
        raise UserError(
            f"{path}: a data set of another format ({differences}): build it again with this one"
        )


def _from_json(values: dict[str, Any]) -> Manifest:
    return Manifest(
        shard_format=ShardFormat.from_json(values["shard_format"]),
        builder=values["builder"],
        settings=values["settings"],
        inputs=values["inputs"],
        tokenizer=TokenizerEntry(
            **{**values["tokenizer"], "trained_on": tuple(values["tokenizer"]["trained_on"])}
        ),
        sources=tuple(_source_from_json(source) for source in values["sources"]),
        shards=tuple(ShardEntry(**shard) for shard in values["shards"]),
    )


def _source_from_json(values: dict[str, Any]) -> SourceEntry:
    rejected = tuple(tuple(file) for file in values["rejected"])
    syntax_errors = tuple(tuple(file) for file in values["syntax_errors"])
    return SourceEntry(**{**values, "rejected": rejected, "syntax_errors": syntax_errors})
