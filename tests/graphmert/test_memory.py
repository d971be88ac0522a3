"""What is said when memory is short. On a CPU nothing raises that error, so the passes do."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from toy_dataset import write_toy_dataset

from graphmert.data.packing import PackedRows
from graphmert.models.graphmert import GraphMERTModel
from graphmert.training import update
from graphmert.training.cli import EXIT_BAD_INPUT, main


@pytest.mark.parametrize(
    ("num_fitting", "expected"),
    [
        (11, "11 windows fit (tried with the longest ones): --batch_size 8 --gradient_accu"),
        (1, "1 windows fit (tried with the longest ones): --batch_size 1 --gradient_accu"),
        (0, "not even one window fits: choose a smaller --preset"),
    ],
)
def test_the_line_names_the_batch_size_that_fits(
    num_fitting: int,
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    summed_losses = update.summed_losses

    def limited(model: GraphMERTModel, rows: PackedRows, *more: object) -> tuple[Tensor, Tensor]:
        if len(rows.inputs.input_ids) > num_fitting:  # on a CPU each window has a row
            raise torch.OutOfMemoryError
        return summed_losses(model, rows, *more)

    monkeypatch.setattr(update, "summed_losses", limited)
    data_set = write_toy_dataset(tmp_path / "data")
    paths = ["--data_path", str(data_set), "--output_dir", str(tmp_path / "run")]
    assert main([*paths, "--device", "cpu", "--batch_size", "16"]) == EXIT_BAD_INPUT
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("graphmert-train: out of memory on cpu with --batch_size 16: ")
    assert expected in last
    if num_fitting > 1:
        assert last.endswith("--gradient_accumulation 2 makes the same updates")
    assert not list((tmp_path / "run").glob("checkpoints/*"))
