"""Extending the last data set: a request of its own, the base untouched, nothing half-made."""

import json
import shutil
from pathlib import Path

import pytest

from flows.build_dataset import build_in_child
from flows.child_process import CommandFailed
from flows.dataset_request import DatasetRequest
from flows.extension import copy_base, extended_request, save_request
from graph_builder.errors import UserError


@pytest.fixture(scope="module")
def base(small_dataset: tuple[DatasetRequest, Path]) -> Path:
    return small_dataset[1]


def test_a_request_is_written_down_and_extended(base: Path) -> None:
    extended = extended_request(base.parent, ["installed:click", "installed:click"])
    assert extended.train[1:] == ("installed:click",)
    assert (extended.vocab_size, extended.extends) == (400, base.name)
    assert extended.name != base.name
    first = json.loads((base / "request.json").read_text())
    assert extended.validation == tuple(first["validation"])


def test_sources_that_are_there_change_nothing(base: Path) -> None:
    (mine,) = extended_request(base.parent, ["installed:click"]).train[:1]
    request = extended_request(base.parent, [mine])
    assert request.extends is None
    assert request.name == base.name


def test_without_a_data_set_there_is_nothing_to_extend(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no data set to extend: build one first"):
        extended_request(tmp_path, ["stdlib"])


def test_a_source_that_is_refused_leaves_no_data_set(base: Path) -> None:
    request = extended_request(base.parent, ["path:no-such-folder"])
    folder = base.with_name(request.name)
    before = (base / "manifest.json").read_bytes()
    with pytest.raises(CommandFailed, match="no such folder") as caught:
        build_in_child(request, folder, print)
    assert caught.value.code == 2
    assert not folder.exists()
    assert (base / "manifest.json").read_bytes() == before


def test_a_copy_shares_the_shards_and_is_made_once(base: Path, tmp_path: Path) -> None:
    folder = base.with_name("copy")
    (folder / "left").mkdir(parents=True)  # of a build that never came to its end
    copy_base(base, folder)
    shards = sorted(path.relative_to(base) for path in base.rglob("*.parquet"))
    assert shards
    assert all((base / shard).samefile(folder / shard) for shard in shards)
    assert not (folder / "left").exists()
    save_request(DatasetRequest(("stdlib",), ()), folder)
    assert "stdlib" not in (base / "request.json").read_text()
    copy_base(tmp_path, folder)  # a data set is there: nothing is copied
    shutil.rmtree(folder)
