"""A run that was stopped and resumed is the unbroken run, to the last bit."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from toy_dataset import write_toy_dataset

from graphmert.training.cli import EXIT_RESUME_ME, main, parser, prepare
from graphmert.training.trainer import train

NOT_REPEATED = ("time_s", "train/windows_per_s")
NUM_UPDATES = 10  # 40 windows, 8 an update, 2 epochs


def arguments(data_set: Path, output: Path, *more: str) -> list[str]:
    return [
        *("--data_path", str(data_set), "--output_dir", str(output), "--device", "cpu"),
        *("--num_epochs", "2", "--batch_size", "4", "--gradient_accumulation", "2"),
        *("--log_every", "3", "--seed", "5", *more),
    ]


def metrics(output: Path) -> list[dict[str, float]]:
    lines = (output / "metrics.jsonl").read_text().splitlines()
    return [
        {name: value for name, value in json.loads(line).items() if name not in NOT_REPEATED}
        for line in lines
    ]


def assert_same_run(first: Path, second: Path) -> None:
    assert metrics(first) == metrics(second)
    for name in ("model.safetensors", "optimizer.safetensors"):
        one, other = (load_file(run / "checkpoints" / "latest" / name) for run in (first, second))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.fixture(scope="module")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def unbroken(data_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("unbroken")
    assert main(arguments(data_set, output)) == 0
    assert metrics(output)[-1]["step"] == NUM_UPDATES
    return output


@pytest.mark.parametrize("stop_after", [0, 1, 4, 5, 8])
def test_resumed_run_is_the_unbroken_one(
    stop_after: int, data_set: Path, unbroken: Path, tmp_path: Path
) -> None:
    run = prepare(parser().parse_args(arguments(data_set, tmp_path)))
    assert not train(run, lambda: run.progress.step >= stop_after)
    assert run.progress.step == stop_after
    assert main(arguments(data_set, tmp_path, "--resume")) == 0
    assert_same_run(tmp_path, unbroken)


def test_work_after_the_checkpoint_is_done_again(
    data_set: Path, unbroken: Path, tmp_path: Path
) -> None:
    """As after a kill: lines of later updates are in the file, the checkpoint is older."""
    output = shutil.copytree(unbroken, tmp_path / "run", symlinks=True)
    first_epoch = output / "checkpoints" / f"step-{NUM_UPDATES // 2:07d}"
    assert main(arguments(data_set, output, "--resume", str(first_epoch))) == 0
    assert_same_run(output, unbroken)


# The command, which is stopped from outside just when it has said how the first epoch went.
STOPPED = """
import os, signal, sys
from graphmert.training import cli, trainer
say = trainer.say
def say_and_stop(line):
    say(line)
    if line.startswith("epoch 0: validation"):
        os.kill(os.getpid(), signal.SIGTERM)
trainer.say = say_and_stop
sys.exit(cli.main(sys.argv[1:]))
"""


def test_sigterm_to_the_command_leaves_a_checkpoint_to_go_on_from(
    data_set: Path, unbroken: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", STOPPED, *arguments(data_set, tmp_path)]
    # The unbroken run's number of threads: sums of floats depend on it.
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == EXIT_RESUME_ME, done.stderr
    assert "--resume goes on" in done.stderr
    assert (
        json.loads((tmp_path / "checkpoints" / "latest" / "training_state.json").read_text())[
            "progress"
        ]["step"]
        < NUM_UPDATES
    )
    assert main(arguments(data_set, tmp_path, "--resume")) == 0
    assert_same_run(tmp_path, unbroken)


def test_resuming_before_the_first_checkpoint_starts_from_the_beginning(
    data_set: Path, unbroken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(data_set, tmp_path, "--resume")) == 0
    assert "starts from the beginning" in capsys.readouterr().err
    assert_same_run(tmp_path, unbroken)


def test_every_update_is_in_one_log_line(unbroken: Path, data_set: Path, tmp_path: Path) -> None:
    """Lines come every 3 updates and at the end of an epoch; a gradient norm is a mean of them."""
    assert main([*arguments(data_set, tmp_path), "--log_every", "1"]) == 0

    def norms(output: Path) -> dict[int, float]:
        name = "train/gradient_norm"
        return {int(line["step"]): line[name] for line in metrics(output) if name in line}

    each, of_several, first = norms(tmp_path), norms(unbroken), 0
    assert list(of_several) == [3, 5, 6, 9, 10]  # an epoch has 5 updates
    for last, norm in of_several.items():
        expected = [each[step] for step in range(first + 1, last + 1)]
        assert norm == pytest.approx(sum(expected) / len(expected))
        first = last


def test_a_finished_run_has_nothing_left_to_do(
    data_set: Path, unbroken: Path, tmp_path: Path
) -> None:
    output = shutil.copytree(unbroken, tmp_path / "run", symlinks=True)
    assert main(arguments(data_set, output, "--resume")) == 0
    assert_same_run(output, unbroken)
