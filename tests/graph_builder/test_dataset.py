"""A data set is what its manifest says, or it is refused in one line."""

import json
from pathlib import Path

import pytest

from graph_builder.dataset import Dataset, open_dataset
from graph_builder.errors import UserError
from graph_builder.manifest import (
    Manifest,
    ShardEntry,
    SourceEntry,
    TokenizerEntry,
    load_manifest,
    save_manifest,
)
from graph_builder.record import ChainGraph
from graph_builder.shards import ShardFormat, file_sha256, write_shard

NAMES_WRONG = '{"shard_format": {"format_version": 1, "relation_names": 5}}'
FORMAT = ShardFormat(tokenizer="f" * 64)


@pytest.fixture
def dataset(tmp_path: Path, random_records: list[ChainGraph]) -> Dataset:
    path = tmp_path / "shards" / "train" / "a.parquet"
    num_windows = write_shard(path, random_records, FORMAT)
    shard = ShardEntry(
        "shards/train/a.parquet", "path:a", "train", "k", num_windows, path.stat().st_size,
        file_sha256(path),
    )  # fmt: skip
    source = SourceEntry(
        "path:a", "sha256:0", "0", "train", 0, 3, 999, 41, 50, (("a.py", "binary", "a NUL byte"),),
        (("b.py", 2),), {"known": 9}, {"calls": 40}, {"calls": 2}, {"no mention": {"calls": 10}},
        {"exact": 1},
    )  # fmt: skip
    tokenizer = TokenizerEntry("tokenizer", "f" * 64, 500, ("path:a",))
    manifest = Manifest(FORMAT, {"builder": "1"}, {}, "0", tokenizer, (source,), (shard,))
    save_manifest(tmp_path, manifest)
    return Dataset(tmp_path, manifest)


def change(dataset: Dataset, old: str, new: str) -> None:
    path = dataset.path / "manifest.json"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_a_data_set_comes_back(dataset: Dataset) -> None:
    found = open_dataset(dataset.path)
    assert found == dataset
    assert found.digest == json.loads((dataset.path / "manifest.json").read_text())["digest"]
    assert [table.num_rows for table in found.tables("train")] == [40]
    assert list(found.tables("test")) == []
    found.verify()


def test_no_data_set_here(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no data set"):
        open_dataset(tmp_path)


def test_another_format_version(dataset: Dataset) -> None:
    change(dataset, '"format_version": 1', '"format_version": 2')
    with pytest.raises(UserError, match="format_version: 1 against 2"):
        load_manifest(dataset.path)


def test_other_relations(dataset: Dataset) -> None:
    change(dataset, '"calls",\n', '"shouts",\n')
    with pytest.raises(UserError, match="relation_names"):
        load_manifest(dataset.path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"shard_format": 3}', NAMES_WRONG])
def test_what_is_no_manifest(dataset: Dataset, text: str) -> None:
    (dataset.path / "manifest.json").write_text(text)
    with pytest.raises(UserError, match="build"):
        load_manifest(dataset.path)


def test_a_manifest_changed_by_hand(dataset: Dataset) -> None:
    change(dataset, '"num_windows": 40', '"num_windows": 41')
    with pytest.raises(UserError, match="own digest"):
        load_manifest(dataset.path)


def test_missing_short_and_damaged_shards(dataset: Dataset) -> None:
    shard = dataset.path / dataset.manifest.shards[0].path
    data = shard.read_bytes()
    shard.write_bytes(data[:-1])
    with pytest.raises(UserError, match="bytes where the manifest says"):
        open_dataset(dataset.path)
    shard.write_bytes(data[:-1] + b"?")
    with pytest.raises(UserError, match="damaged"):
        open_dataset(dataset.path).verify()
    shard.unlink()
    with pytest.raises(UserError, match="missing"):
        open_dataset(dataset.path)


def test_an_unknown_split(dataset: Dataset) -> None:
    with pytest.raises(UserError, match="'dev' is no split"):
        dataset.shards("dev")
