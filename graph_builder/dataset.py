"""A data set as its readers see it: the manifest, the tokenizer, and the shards of each split."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from graph_builder.errors import UserError
from graph_builder.layout import ChainLayout
from graph_builder.manifest import SPLITS, Manifest, ShardEntry, load_manifest
from graph_builder.shards import file_sha256, read_shard


@dataclass(frozen=True)
class Dataset:
    """A data-set folder whose manifest was read and whose shards are there."""

    path: Path
    manifest: Manifest

    @property
    def digest(self) -> str:
        return self.manifest.digest

    @property
    def layout(self) -> ChainLayout:
        return self.manifest.shard_format.layout

    @property
    def tokenizer_path(self) -> Path:
        """Folder of the tokenizer's files."""
        return self.path / self.manifest.tokenizer.path

    def shards(self, split: str) -> list[ShardEntry]:
        """Return the shards of a split, in the manifest's order; raise UserError for another."""
        if split not in SPLITS:
            raise UserError(f"{split!r} is no split: choose one of {', '.join(SPLITS)}")
        return self.manifest.shards_of(split)

    def read(self, shard: ShardEntry, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the rows of one shard; raise UserError where it is not what the manifest says."""
        return read_shard(self.path / shard.path, self.manifest.shard_format, columns)

    def tables(self, split: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the rows of each shard of a split, in the manifest's order."""
        return (self.read(shard, columns) for shard in self.shards(split))

    def verify(self) -> None:
        """Compare every shard with its hash; raise UserError for the first that differs."""
        for shard in self.manifest.shards:
            if file_sha256(self.path / shard.path) != shard.sha256:
                raise UserError(f"{self.path / shard.path}: damaged: build the data set again")


def open_dataset(path: Path | str) -> Dataset:
    """Open a data-set folder; raise UserError where it is none, incomplete or another format."""
    folder = Path(path)
    dataset = Dataset(folder, load_manifest(folder))
    for shard in dataset.manifest.shards:
        _check_present(folder / shard.path, shard)
    return dataset


def _check_present(path: Path, shard: ShardEntry) -> None:
    try:
        num_bytes = path.stat().st_size
    except OSError:
        raise UserError(f"{path}: the shard is missing: build the data set again") from None
    if num_bytes != shard.num_bytes:
        raise UserError(
            f"{path}: {num_bytes} bytes where the manifest says {shard.num_bytes}: "
            "build the data set again"
        )
