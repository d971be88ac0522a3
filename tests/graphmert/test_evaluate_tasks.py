"""`graphmert-evaluate` with its tasks, by its own command: report, table, figures and MLflow."""

import math
from pathlib import Path

import pytest

from graphmert.evaluation.cli import main
from graphmert.evaluation.report import EvaluationReport
from graphmert.evaluation.report_text import as_text
from graphmert.evaluation.tasks import TASKS
from graphmert.tracking.store import experiment_id, open_client

SMALL = ["--num_questions", "12", "--num_examples", "8", "--tune_updates", "2"]
SMALL += ["--tune_batch_size", "4"]


def test_one_report_has_every_task_with_its_baselines_and_sums_by_source(
    tiny_checkpoint: Path,
    small_dataset: Path,
    tmp_path: Path,
    mlflow_store: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    output, figures = tmp_path / "report.json", tmp_path / "figures"
    arguments = [str(tiny_checkpoint), str(small_dataset), *SMALL, "--output", str(output)]
    assert main([*arguments, "--figures", str(figures), "--mlflow"]) == 0
    report = EvaluationReport.from_json(output.read_text())
    assert EvaluationReport.from_json(report.to_json()) == report
    assert set(report.tasks) == {*TASKS, "code_search_zero_shot"}
    assert report.left_out == {}
    expected = {"tail_prediction": "table", "code_search": "bm25", "variable_misuse": "majority"}
    for task, baseline in expected.items():
        model = report.tasks[task].measures
        beside = report.tasks[task].baselines[baseline]
        for name, measure in model.items():
            assert beside[name].num_questions == measure.num_questions
            assert set(measure.by_source) <= {"installed:blinker"}
    for name, measure in {"": "token_loss", "knowledge_only_": "rare_token_loss"}.items():
        for task, measures in {
            "": report.measures,
            "tokens_without_leaves/": report.tasks["tokens_without_leaves"].measures,
        }.items():
            perplexity = report.metrics()[f"{task}{name}perplexity"]
            assert math.log(perplexity) == pytest.approx(measures[measure].mean)
    bare = report.tasks["tokens_without_leaves"].measures
    for name in ("token_accuracy", "rare_token_accuracy"):
        assert bare[name].num_questions == report.measures[name].num_questions
    assert report.measures["token_accuracy"].mean == pytest.approx(report.mlm_accuracy)
    assert report.measures["relation_accuracy"].mean == pytest.approx(report.relation_accuracy)
    count_table = report.baseline_measures["count_table"]["knowledge_relation_accuracy"]
    assert count_table.mean == pytest.approx(report.baselines["count_table"].knowledge.accuracy)

    shown = capsys.readouterr().out
    assert as_text(report) in shown
    assert {path.name for path in figures.iterdir()} == {"confusion_matrix.png", "tasks.png"}

    client = open_client()
    (run,) = client.search_runs([experiment_id(client)], "params.split = 'validation'")
    logged = run.data.metrics["evaluation/code_search/baseline_bm25/mrr"]
    assert logged == pytest.approx(report.tasks["code_search"].baselines["bm25"]["mrr"].mean)
    files = {each.path for each in client.list_artifacts(run.info.run_id, "evaluation")}
    names = ("report.json", "tasks.png", "confusion_matrix.png")
    assert files == {f"evaluation/{name}" for name in names}


def test_a_task_without_a_question_is_left_out_with_the_reason(
    tiny_checkpoint: Path, small_dataset: Path, capsys: pytest.CaptureFixture
) -> None:
    arguments = [str(tiny_checkpoint), str(small_dataset), "--split", "test", *SMALL]
    assert main([*arguments, "--tasks", "code_search", "--num_questions", "1"]) == 0
    assert "code_search: left out: the split has fewer than two" in capsys.readouterr().out
