"""Several processes that share the windows of each update train as one process does."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from toy_dataset import LAYOUT, write_toy_dataset

from graph_builder.tokenizer import save_tokenizer
from graphmert.data.dataset import load_tokenizer
from graphmert.models.configuration import GraphMERTConfig
from graphmert.models.graphmert import GraphMERTModel
from graphmert.training.cli import EXIT_BAD_INPUT, EXIT_RESUME_ME, main
from graphmert.training.processes import Processes

NUM_PROCESSES = 2


@given(
    lengths=st.lists(st.integers(1, 200), max_size=40),
    num_processes=st.integers(1, 9),
    data=st.data(),
)
def test_every_window_is_in_one_share_and_shares_are_alike(
    lengths: list[int], num_processes: int, data: st.DataObject
) -> None:
    num_tokens = torch.tensor(lengths, dtype=torch.int64)
    windows = torch.tensor(data.draw(st.permutations(range(len(lengths)))), dtype=torch.int64)
    shares = [
        Processes(rank, num_processes).share_windows(windows, num_tokens)
        for rank in range(num_processes)
    ]
    assert sorted(torch.cat(shares).tolist()) == list(range(len(lengths)))
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1
    # Dealt forth and back, no share gets ahead by more than the longest window.
    tokens = [int(num_tokens[share].sum()) for share in shares]
    assert max(tokens) - min(tokens) <= max(lengths, default=0)


@pytest.fixture(scope="module")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def start(data_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model without dropout, which would draw other numbers in each process."""
    folder = tmp_path_factory.mktemp("start")
    tokenizer = load_tokenizer(data_set / "tokenizer")
    torch.manual_seed(0)
    GraphMERTModel(
        GraphMERTConfig(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            hidden_dropout_prob=0.0,
            hgat_dropout=0.0,
            num_roots=LAYOUT.num_roots,
            leaves_per_root=LAYOUT.leaves_per_root,
        )
    ).save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    return folder


def arguments(data_set: Path, output: Path, *more: str) -> list[str]:
    """Updates of 3 windows of 40: the last of each epoch has one, too few for two processes."""
    return [
        *("--data_path", str(data_set), "--output_dir", str(output), "--device", "cpu"),
        *("--num_epochs", "3", "--batch_size", "3", "--log_every", "5"),
        *("--learning_rate", "1e-2", *more),
    ]


def started(*given: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "graphmert.training.cli", *given]
    command += ["--num_processes", str(NUM_PROCESSES)]
    return subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )


def wait_for_line(process: "subprocess.Popen[str]", start: str) -> None:
    assert process.stderr
    said = []
    for line in process.stderr:
        said.append(line)
        if line.startswith(start):
            return
    raise AssertionError("".join(said))


def metrics(output: Path) -> list[dict[str, float]]:
    lines = (output / "metrics.jsonl").read_text().splitlines()
    return [
        {
            name: value
            for name, value in json.loads(line).items()
            if name not in ("time_s", "train/windows_per_s")
        }
        for line in lines
    ]


def test_two_processes_stopped_and_resumed_have_the_loss_curve_of_one(
    data_set: Path, start: Path, tmp_path: Path
) -> None:
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    assert main(arguments(data_set, alone, "--init_from", str(start))) == 0

    together = arguments(data_set, shared, "--init_from", str(start))
    with started(*together) as process:
        wait_for_line(process, "epoch 0: validation")
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate()
    assert process.returncode == EXIT_RESUME_ME, said
    assert said.count("--resume goes on") == 1
    with started(*together, "--resume") as process:
        _, said = process.communicate()
    assert process.returncode == 0, said
    assert said.count("resumes from") == 1

    expected, found = metrics(alone), metrics(shared)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, rel=1e-3, abs=1e-5)
    weights, others = (
        load_file(run / "checkpoints" / "latest" / "model.safetensors") for run in (alone, shared)
    )
    first = load_file(start / "model.safetensors")
    for name, weight in weights.items():
        # Each update adds a rounding: two processes add up their gradients in another order.
        torch.testing.assert_close(weight, others[name], rtol=1e-3, atol=3e-4)
    assert any((weight - first[name]).abs().max() > 1e-2 for name, weight in weights.items())


def test_what_all_refuse_is_said_once(data_set: Path, tmp_path: Path) -> None:
    with started(*arguments(data_set, tmp_path / "run", "--num_relations", "7")) as process:
        _, said = process.communicate()
    assert process.returncode == EXIT_BAD_INPUT
    assert len(said.splitlines()) == 1
    assert said.startswith("graphmert-train: --num_relations 7")
    assert not (tmp_path / "run").exists()


def test_no_process_outlives_one_that_is_killed(
    data_set: Path, start: Path, tmp_path: Path
) -> None:
    """They hold the pipe's other end, so it closes with the last of them."""
    many = ("--init_from", str(start), "--num_epochs", "10000")
    with started(*arguments(data_set, tmp_path, *many)) as process:
        wait_for_line(process, "epoch 0: validation")
        process.kill()
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
