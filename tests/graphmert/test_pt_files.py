"""An exported `.pt` file trains as the Parquet shards that it came from."""

import json
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from toy_dataset import write_toy_dataset

from graph_builder.dataset import open_dataset
from graph_builder.export_pt import export_pt
from graphmert.data.dataset import load_training_data
from graphmert.data.windows import RaggedBatch
from graphmert.training.cli import EXIT_BAD_INPUT, main


@pytest.fixture(scope="module")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def exported(data_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    export_pt(open_dataset(data_set), folder)
    return folder / "train-00000.pt"


def test_batches_are_those_of_the_shards(data_set: Path, exported: Path) -> None:
    shards, file = load_training_data(data_set), load_training_data(exported)
    assert file.digest == shards.digest
    for split in ("train", "validation"):
        one, other = getattr(shards, split), getattr(file, split)
        order = torch.randperm(one.num_windows, generator=torch.Generator().manual_seed(0))
        assert other.num_windows == one.num_windows
        batches = one.batch(order), other.batch(order)
        for field in fields(RaggedBatch):
            wanted, found = (getattr(batch, field.name) for batch in batches)
            if isinstance(wanted, torch.Tensor):
                assert torch.equal(wanted, found), field.name
        assert one.describe(3) == other.describe(3)


def test_the_command_trains_on_one_file(exported: Path, tmp_path: Path) -> None:
    paths = ["--data_path", str(exported), "--output_dir", str(tmp_path)]
    assert main([*paths, "--num_epochs", "1", "--batch_size", "20", "--device", "cpu"]) == 0
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["epoch"] == 1
    assert (tmp_path / "checkpoints" / "best" / "tokenizer.json").is_file()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "no such file"),
        (b"not a tensor", "not a data set exported as .pt"),
        ({"some": torch.zeros(3)}, "not a data set exported as .pt"),
        ({"format_version": 99, "relation_names": []}, "format version 99"),
        ({"format_version": 1, "relation_names": ["calls"]}, "relations ('calls',)"),
    ],
)
def test_other_files_are_refused_in_one_line(
    content: object, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "some.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    output = tmp_path / "run"
    assert main(["--data_path", str(path), "--output_dir", str(output)]) == EXIT_BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line
    assert not output.exists()
