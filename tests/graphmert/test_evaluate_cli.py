"""`graphmert-evaluate` on a real, small data set: its tables, its report, its refusals."""

import shutil
from pathlib import Path

import pytest
import torch
from mlflow import MlflowClient

from graph_builder.dataset import open_dataset
from graph_builder.tokenizer import save_tokenizer, train_tokenizer
from graphmert.data.dataset import load_split, load_tokenizer
from graphmert.evaluation.cli import main
from graphmert.evaluation.evaluate import evaluate
from graphmert.evaluation.report import EvaluationReport
from graphmert.evaluation.token_texts import text_ids
from graphmert.models.configuration import GraphMERTConfig
from graphmert.models.graphmert import GraphMERTModel
from graphmert.models.loading import load_model
from graphmert.training.masking import MaskSettings


def test_the_report_is_that_of_evaluate_with_both_baselines(
    tiny_checkpoint: Path, small_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    output, figures = tmp_path / "out" / "report.json", tmp_path / "figures"
    arguments = [str(tiny_checkpoint), str(small_dataset), "--output", str(output)]
    assert main([*arguments, "--figures", str(figures), "--tasks"]) == 0
    report = EvaluationReport.from_json(output.read_text())
    dataset = open_dataset(small_dataset)
    direct = evaluate(
        load_model(tiny_checkpoint),
        load_split(dataset, "validation"),
        MaskSettings(),
        text_ids=text_ids(load_tokenizer(tiny_checkpoint)),
    )
    metrics = report.metrics()
    assert {name: metrics[name] for name in direct.metrics()} == pytest.approx(direct.metrics())
    assert report.num_windows == dataset.manifest.num_windows("validation")
    assert set(report.baselines) == {"majority", "count_table"}
    for baseline in report.baselines.values():
        assert baseline.every.num_triples == report.relations.every.num_triples > 0
    count_table, majority = report.baselines["count_table"], report.baselines["majority"]
    assert count_table.every.macro_f1 > majority.every.macro_f1
    assert [figure.name for figure in figures.iterdir()] == ["confusion_matrix.png"]
    shown = capsys.readouterr().out
    for text in (f"{report.bits_per_byte:.4f}", "count_table", "majority", "imported_from"):
        assert text in shown


def test_the_run_in_mlflow_says_of_what_it_is(
    tiny_checkpoint: Path, small_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    assert main([str(tiny_checkpoint), str(small_dataset), "--tasks", "--mlflow"]) == 0
    client = MlflowClient(store)
    experiment = client.get_experiment_by_name("graphmert")
    (run,) = client.search_runs([experiment.experiment_id])
    digest = open_dataset(small_dataset).digest
    name = f"evaluation of {tiny_checkpoint.resolve().name} on validation, data {digest[:8]}"
    assert (run.info.run_name, run.info.status) == (name, "FINISHED")
    (asked,) = run.inputs.dataset_inputs
    assert digest.startswith(asked.dataset.digest)
    assert [(tag.key, tag.value) for tag in asked.tags] == [("mlflow.data.context", "evaluation")]
    assert run.data.metrics["evaluation/bits_per_byte"] > 0


def test_a_report_that_mlflow_does_not_take_is_printed_all_the_same(
    tiny_checkpoint: Path,
    small_dataset: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")  # where nobody listens
    assert main([str(tiny_checkpoint), str(small_dataset), "--tasks", "--mlflow"]) == 2
    captured = capsys.readouterr()
    assert "masked tokens" in captured.out
    (line,) = [each for each in captured.err.splitlines() if each.startswith("graphmert-evaluate")]
    assert "the report is not in MLflow" in line


def test_bad_input_gets_one_line_and_leaves_no_output(
    tiny_checkpoint: Path, small_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    other = tmp_path / "other"
    torch.manual_seed(0)
    config = GraphMERTConfig(
        vocab_size=300, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=8,
    )  # fmt: skip
    GraphMERTModel(config).save_pretrained(other)
    save_tokenizer(train_tokenizer(["x = 1"] * 3, 300), other)
    broken = shutil.copytree(tiny_checkpoint, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"not weights")
    output = tmp_path / "report.json"
    capsys.readouterr()  # what saving the models printed
    for checkpoint, dataset, reason, more in (
        (tmp_path / "none", small_dataset, "none", []),
        (tiny_checkpoint, tmp_path, "no data set", []),
        (other, small_dataset, "tokenizer", []),
        (broken, small_dataset, "broken", []),
        (tiny_checkpoint, small_dataset, "nonsense", ["--device", "nonsense"]),
        (tiny_checkpoint, small_dataset, "--batch_size 0", ["--batch_size", "0"]),
    ):
        assert main([str(checkpoint), str(dataset), "--output", str(output), *more]) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.startswith("graphmert-evaluate: ")
        assert shown.err.count("\n") == 1
        assert reason in shown.err
        assert not output.exists()
