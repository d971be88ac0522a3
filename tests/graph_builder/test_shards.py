"""Shards: what is written is what is read, byte for byte, or nothing at all."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from graph_builder import shards
from graph_builder.errors import UserError
from graph_builder.record import SCHEMA, ChainGraph
from graph_builder.shards import ShardFormat, read_shard, table_records, write_rows, write_shard

FORMAT = ShardFormat(tokenizer="f" * 64)


def assert_same(one: ChainGraph, other: ChainGraph) -> None:
    for field in dataclasses.fields(ChainGraph):
        left, right = getattr(one, field.name), getattr(other, field.name)
        assert type(left) is type(right), field.name
        if isinstance(left, np.ndarray):
            assert left.dtype == right.dtype, field.name
            assert left.tolist() == right.tolist(), field.name
        else:
            assert left == right, field.name


def test_records_come_back(
    tmp_path: Path, random_records: list[ChainGraph], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "ROWS_PER_GROUP", 16)
    path = tmp_path / "shard.parquet"
    assert write_shard(path, iter(random_records), FORMAT) == len(random_records)
    assert pq.ParquetFile(path).num_row_groups == 3
    table = read_shard(path, FORMAT)
    assert table.schema.equals(SCHEMA)
    for written, read in zip(random_records, table_records(table), strict=True):
        assert_same(written, read)
    for written, read in zip(random_records[5:9], table_records(table.slice(5, 4)), strict=True):
        assert_same(written, read)


def test_rows_give_the_bytes_of_their_records(
    tmp_path: Path, random_records: list[ChainGraph], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "ROWS_PER_GROUP", 16)
    kept = [index for index in range(len(random_records)) if index % 5]
    write_shard(tmp_path / "all", random_records, FORMAT)
    write_shard(tmp_path / "kept", [random_records[index] for index in kept], FORMAT)
    write_rows(tmp_path / "rows", read_shard(tmp_path / "all").take(kept), FORMAT)
    assert (tmp_path / "rows").read_bytes() == (tmp_path / "kept").read_bytes()


def test_an_empty_shard_is_one(tmp_path: Path) -> None:
    assert write_shard(tmp_path / "shard", [], FORMAT) == 0
    assert read_shard(tmp_path / "shard", FORMAT).num_rows == 0


def test_a_failed_write_leaves_nothing(tmp_path: Path, random_records: list[ChainGraph]) -> None:
    def broken() -> Iterator[ChainGraph]:
        yield from random_records
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        write_shard(tmp_path / "shard", broken(), FORMAT)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"tokenizer": "0" * 64}, "tokenizer"),
        ({"format_version": 99}, "format_version: 1 against 99"),
        ({"num_roots": 64}, "num_roots: 128 against 64"),
        ({"relation_names": ("calls",)}, "relation_names"),
    ],
)
def test_another_format_is_refused(tmp_path: Path, change: dict, named: str) -> None:
    write_shard(tmp_path / "shard", [], dataclasses.replace(FORMAT, **change))
    with pytest.raises(UserError, match="another format") as refused:
        read_shard(tmp_path / "shard", FORMAT)
    assert named in str(refused.value)


def test_damaged_rows_are_refused(tmp_path: Path, random_records: list[ChainGraph]) -> None:
    path = tmp_path / "shard"
    write_shard(path, random_records, FORMAT)
    data = path.read_bytes()
    path.write_bytes(data[:4] + bytes(200) + data[204:])
    with pytest.raises(UserError, match="damaged") as refused:
        read_shard(path, FORMAT)
    assert "\n" not in str(refused.value)


def test_what_is_no_shard_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    pq.write_table(pa.table({"x": [1]}), tmp_path / "table")
    for name, message in [("text", "not a shard"), ("table", "not a shard"), ("gone", "missing")]:
        with pytest.raises(UserError, match=message):
            read_shard(tmp_path / name, FORMAT)
