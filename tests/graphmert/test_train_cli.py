"""What the command refuses: one line, an exit status, nothing left behind."""

import json
import shutil
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from toy_dataset import write_toy_dataset

from graphmert.training.cli import EXIT_BAD_INPUT, EXIT_NOT_FINITE, main


@pytest.fixture(scope="module")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def trained(data_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("trained")
    assert main(arguments(data_set, output)) == 0
    return output


def arguments(data_set: Path, output: Path, *more: str) -> list[str]:
    return [
        *("--data_path", str(data_set), "--output_dir", str(output), "--device", "cpu"),
        *("--num_epochs", "1", "--batch_size", "20", *more),
    ]


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run the command, which must refuse in one line; return the line."""
    capsys.readouterr()
    assert main(arguments) == EXIT_BAD_INPUT
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("graphmert-train: ")
    return lines[0]


@pytest.mark.parametrize("command", ["graphmert-train", "graphmert-evaluate", "graphmert-predict"])
def test_the_installed_commands_are_there(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    (entry_point,) = entry_points(group="console_scripts", name=command)
    with pytest.raises(SystemExit, match="0"):
        entry_point.load()(["--help"])
    assert capsys.readouterr().out.startswith(f"usage: {command} ")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (("--num_relations", "7"), "--num_relations 7"),
        (("--batch_size", "0"), "--batch_size 0"),
        (("--lambda_mlm", "1.5"), "--lambda_mlm 1.5"),
        (("--num_processes", "0"), "--num_processes 0"),
        (("--checkpoint_every", "0"), "--checkpoint_every 0"),
        (("--weight_decay", "nan"), "--weight_decay nan"),
        (("--seed", str(2**63)), f"--seed {2**63}"),
        (("--data_path", "/nowhere"), "/nowhere"),
        (("--device", "nonsense"), "--device nonsense"),
        (("--init_from", "/nowhere"), "/nowhere"),
        (("--resume", "/nowhere"), "/nowhere"),
    ],
)
def test_wrong_flags_are_refused_by_name(
    more: tuple[str, ...],
    expected: str,
    data_set: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "run"
    assert expected in refused(arguments(data_set, output, *more), capsys)
    assert not output.exists()


def test_a_data_set_of_another_format_is_refused(
    data_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = shutil.copytree(data_set, tmp_path / "other")
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["shard_format"]["format_version"] += 1
    (other / "manifest.json").write_text(json.dumps(manifest))
    line = refused(arguments(other, tmp_path / "run"), capsys)
    assert "format" in line
    assert not (tmp_path / "run").exists()


def test_checkpoints_are_not_written_over(
    data_set: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "--resume" in refused(arguments(data_set, trained), capsys)


def test_an_output_that_is_a_file_is_refused_and_stays(
    data_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("precious")
    assert "file" in refused(arguments(data_set, tmp_path / "file"), capsys)
    assert (tmp_path / "file").read_text() == "precious"


def test_a_link_that_leads_to_no_checkpoint_does_not_start_the_run_again(
    data_set: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = shutil.copytree(trained, tmp_path / "run", symlinks=True)
    shutil.rmtree((output / "checkpoints" / "latest").resolve())
    metrics = (output / "metrics.jsonl").read_text()
    line = refused(arguments(data_set, output, "--resume"), capsys)
    assert "leads to no checkpoint" in line
    assert (output / "metrics.jsonl").read_text() == metrics


def test_resuming_with_other_settings_says_which(
    data_set: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(arguments(data_set, trained, "--resume", "--learning_rate", "0.5"), capsys)
    assert "settings.learning_rate 0.0002 there, 0.5 here" in line
    assert "batch_size" not in line


def test_a_checkpoint_of_another_model_says_what_differs(
    data_set: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(arguments(data_set, trained, "--resume", "--preset", "small"), capsys)
    assert "model.hidden_size 128 there, 256 here" in line


def test_a_checkpoint_that_does_not_fit_its_own_configuration_is_refused(
    data_set: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = shutil.copytree(trained / "checkpoints" / "latest", tmp_path / "broken")
    config = json.loads((broken / "config.json").read_text())
    config["intermediate_size"] *= 2
    (broken / "config.json").write_text(json.dumps(config))
    output = tmp_path / "run"
    for flag in ("--resume", "--init_from"):
        line = refused(arguments(data_set, output, flag, str(broken)), capsys)
        assert "do not fit config.json" in line
    assert not output.exists()


def test_starting_from_a_model_needs_its_tokenizer(
    data_set: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = str(trained / "checkpoints" / "best")
    other = write_toy_dataset(tmp_path / "other", vocab_size=290)
    line = refused(arguments(other, tmp_path / "run", "--init_from", best), capsys)
    assert "its tokenizer is not that of" in line
    assert main(arguments(data_set, tmp_path / "run", "--init_from", best)) == 0


def test_a_loss_that_is_not_finite_ends_the_run_and_is_not_saved(
    data_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--learning_rate", "1e30", "--batch_size", "8", "--log_every", "1")
    assert main(arguments(data_set, tmp_path, *more)) == EXIT_NOT_FINITE
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("graphmert-train: the loss or its gradient is not finite by update")
    assert not (tmp_path / "checkpoints").exists()
