"""Exported `.pt` files: loaded without running code, they hold what `to_dense` gives."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from build_runs import settings

from graph_builder.build import build_dataset
from graph_builder.dense import to_dense
from graph_builder.errors import UserError
from graph_builder.export_pt import NUMBERS, STRINGS, export_pt
from graph_builder.layout import ChainLayout
from graph_builder.shards import table_records


@pytest.mark.parametrize("layout", [ChainLayout(), ChainLayout(num_roots=48, leaves_per_root=4)])
def test_export(sources: Path, layout: ChainLayout) -> None:
    wanted = settings(sources, layout=layout, train=(f"path:{sources}/json",))
    dataset = build_dataset(wanted).dataset
    paths = export_pt(dataset, sources / "pt", max_windows=150)
    windows = [window for table in dataset.tables("train") for window in table_records(table)]
    train = [path for path in paths if path.name.startswith("train-")]
    assert len(train) == -(-len(windows) // 150) > 1
    position = 0
    for path in train:
        loaded = torch.load(path, weights_only=True, mmap=True)
        assert loaded["format_version"] == 1
        assert loaded["tokenizer"] == dataset.manifest.tokenizer.fingerprint
        assert (loaded["dataset"], loaded["split"]) == (dataset.digest, "train")
        for row in range(len(loaded["window_id"])):
            window = windows[position]
            for name, values in to_dense(window, layout, pad_id=1).items():
                assert loaded[name].numpy().dtype == values.dtype
                assert np.array_equal(loaded[name][row].numpy(), values), name
            for name in (*STRINGS, *NUMBERS):
                assert loaded[name][row] == getattr(window, name)
            position += 1
    assert position == len(windows)


def test_the_same_bytes_again_or_nothing(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = build_dataset(settings(sources)).dataset
    one, other = (export_pt(dataset, sources / name) for name in ("pt1", "pt2"))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]
    with pytest.raises(UserError, match="not a folder"):
        export_pt(dataset, one[0])
    with pytest.raises(UserError, match="holds something already"):
        export_pt(dataset, dataset.path)

    (sources / "empty").mkdir()
    assert export_pt(dataset, sources / "empty")[0].exists()
    before = sorted(sources.iterdir())

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copytree", full)
        with pytest.raises(OSError, match="No space left"):
            export_pt(dataset, sources / "pt")
    shard = dataset.path / dataset.manifest.shards[0].path
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    with pytest.raises(UserError, match="damaged"):
        export_pt(dataset, sources / "pt")
    assert sorted(sources.iterdir()) == before
