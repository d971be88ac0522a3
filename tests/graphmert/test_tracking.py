"""Metrics reach the file always and a real MLflow store when there is one, and never raise."""

import json
import shutil
import time
from pathlib import Path

import mlflow
import pytest

from graph_builder.build_settings import builder_versions
from graph_builder.dataset import open_dataset
from graphmert.evaluation.report import EvaluationReport
from graphmert.models.loading import load_model
from graphmert.tracking.checkpoints import log_checkpoints
from graphmert.tracking.run import (
    end_run,
    find_runs,
    flatten,
    log_dataset,
    log_evaluation,
    log_loss_curves,
    reopen_run,
    running_runs,
    start_run,
)
from graphmert.tracking.store import open_client
from graphmert.tracking.tracker import Tracker, complete_metrics, open_tracker, read_metrics


def history(run_id: str, name: str) -> list[tuple[int, float]]:
    return [(each.step, each.value) for each in open_client().get_metric_history(run_id, name)]


def test_metrics_go_to_the_file_alone_without_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    tracker = open_tracker(tmp_path / "out" / "metrics.jsonl")
    tracker.log_metrics({"train/mlm_loss": 5.5, "train/gradient_norm": float("inf")}, step=1)
    tracker.log_metrics({"train/mlm_loss": 5.25}, step=2)
    tracker.close()
    lines = list(read_metrics(tmp_path / "out" / "metrics.jsonl"))
    assert [(line["step"], line["train/mlm_loss"]) for line in lines] == [(1, 5.5), (2, 5.25)]
    assert lines[0]["train/gradient_norm"] is None


def test_metrics_and_parameters_reach_the_run(
    tmp_path: Path, mlflow_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = start_run("a run", {"kind": "test"}, {"model": {"hidden_size": 128}})
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    tracker = open_tracker(tmp_path / "metrics.jsonl")
    tracker.log_parameters({"model": {"hidden_size": 64}, "seed": 1})
    for step in range(5):
        tracker.log_metrics({"train/mlm_loss": 5.0 - step}, step)
    tracker.close()
    end_run(run_id)
    run = open_client().get_run(run_id)
    assert history(run_id, "train/mlm_loss") == [(step, 5.0 - step) for step in range(5)]
    assert run.data.params == {"model.hidden_size": "128", "seed": "1"}
    assert (run.info.status, run.info.run_name, run.data.tags["kind"]) == (
        "FINISHED",
        "a run",
        "test",
    )


def test_a_resumed_file_drops_what_will_be_done_again(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    tracker = open_tracker(path)
    for step in range(6):
        tracker.log_metrics({"loss": float(step)}, step)
    tracker.close()
    path.write_text(path.read_text() + '{"step": 6, "lo')  # cut short by a crash
    resumed = open_tracker(path, from_step=3)
    resumed.log_metrics({"loss": 40.0}, 4)
    resumed.close()
    assert [line["loss"] for line in read_metrics(path)] == [0, 1, 2, 3, 40]


def test_an_unreachable_server_neither_raises_nor_blocks_and_the_run_is_completed_later(
    tmp_path: Path,
    mlflow_store: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    run_id = start_run("completed")
    open_client().log_metric(run_id, "loss", 1.0, step=0)  # what arrived before the server went
    started_s = time.monotonic()
    with monkeypatch.context() as away:
        away.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # the discard port: nobody there
        away.setenv("MLFLOW_RUN_ID", run_id)
        away.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        tracker = open_tracker(tmp_path / "metrics.jsonl")
        for step in range(50):
            tracker.log_metrics({"loss": 1.0 / (step + 1)}, step)
        tracker.close()
    assert time.monotonic() - started_s < 15
    assert "next try in" in capsys.readouterr().err
    for _ in range(2):
        complete_metrics(tmp_path / "metrics.jsonl", run_id)
        assert history(run_id, "loss") == [(step, 1.0 / (step + 1)) for step in range(50)]


def test_a_run_is_found_by_a_tag_and_opened_again(mlflow_store: Path) -> None:
    assert find_runs("flow", "one") == {}
    run_id = start_run("found", {"flow": "one"})
    assert run_id in running_runs()
    end_run(run_id, "FAILED")
    assert run_id not in running_runs()
    assert list(find_runs("flow", "one")) == [run_id]
    reopen_run(run_id, {"try": "2"})
    assert running_runs()[run_id]["try"] == "2"
    end_run(run_id)


def test_nested_parameters_become_flat_strings() -> None:
    assert flatten({"a": {"b": {"c": 1}, "d": None}, "e": (1, 2)}) == {
        "a.b.c": "1",
        "a.d": "None",
        "e": "(1, 2)",
    }


def test_an_evaluation_and_the_curves_are_logged_with_their_figures(
    tmp_path: Path, mlflow_store: Path, a_report: EvaluationReport
) -> None:
    metrics = tmp_path / "metrics.jsonl"
    lines = [{"step": s, "train/mlm_loss": 9.0 - s, "validation/mnm_loss": 2.0} for s in range(3)]
    metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    run_id = start_run("evaluated")
    log_evaluation(run_id, a_report, "evaluation")
    log_loss_curves(run_id, metrics)
    client = open_client()
    logged = client.get_run(run_id).data.metrics
    for name, value in a_report.metrics().items():
        assert logged[f"evaluation/{name}"] == pytest.approx(value)
    artifacts = {each.path for each in client.list_artifacts(run_id, "evaluation")}
    assert artifacts == {"evaluation/report.json", "evaluation/confusion_matrix.png"}
    assert [each.path for each in client.list_artifacts(run_id) if not each.is_dir] == [
        "loss_curves.png"
    ]
    assert (mlflow_store / "mlartifacts").is_dir()


def test_a_data_set_is_an_input_of_the_run_with_its_digest_and_columns(
    mlflow_store: Path, small_dataset: Path
) -> None:
    run_id = start_run("with data")
    log_dataset(run_id, small_dataset)
    manifest = open_dataset(small_dataset).manifest
    run = open_client().get_run(run_id)
    (data_input,) = run.inputs.dataset_inputs
    assert manifest.digest.startswith(data_input.dataset.digest)
    assert len(data_input.dataset.digest) == 36
    assert run.data.tags["data_set_digest"] == manifest.digest
    version = run.data.tags["builder_version"]
    assert version.startswith(f"graph_builder {builder_versions()['graph_builder']}, ")
    assert [(tag.key, tag.value) for tag in data_input.tags] == [
        ("mlflow.data.context", "training")
    ]
    profile = json.loads(data_input.dataset.profile)
    assert profile["num_validation_windows"] == manifest.num_windows("validation") > 0
    columns = json.loads(data_input.dataset.schema)["mlflow_colspec"]
    assert {"root_ids", "triple_relations"} <= {column["name"] for column in columns}
    sources = json.loads(data_input.dataset.source)["sources"]
    assert {each["source"] for each in sources} == {each.source for each in manifest.sources}


def test_a_checkpoint_is_a_model_at_its_step_with_the_metrics_of_that_step(
    tmp_path: Path, mlflow_store: Path, small_dataset: Path, tiny_checkpoint: Path
) -> None:
    run_id = start_run("with checkpoints")
    log_dataset(run_id, small_dataset)
    tracker = Tracker(tmp_path / "metrics.jsonl", run_id)
    for step in (0, 4, 8):
        tracker.log_metrics({"validation/mlm_loss": 9.0 - step, "train/mlm_loss": 1.0}, step)
    tracker.close()
    for step in (4, 8):
        shutil.copytree(tiny_checkpoint, tmp_path / "checkpoints" / f"step-{step:07d}")
    log_checkpoints(run_id, tmp_path, leave_out=tmp_path / "checkpoints" / "step-0000008")

    client = open_client()
    (output,) = client.get_run(run_id).outputs.model_outputs
    model = client.get_logged_model(output.model_id)
    assert (output.step, str(model.status)) == (4, "READY")
    (metric,) = model.metrics
    assert (metric.key, metric.value, metric.step) == ("validation/mlm_loss", 5.0, 4)
    assert open_dataset(small_dataset).digest.startswith(metric.dataset_digest)
    assert history(run_id, "validation/mlm_loss") == [(0, 9.0), (4, 5.0), (8, 1.0)]
    folder = Path(mlflow.artifacts.download_artifacts(f"models:/{output.model_id}"))
    stored, original = load_model(folder).state_dict(), load_model(tiny_checkpoint).state_dict()
    assert all(stored[name].equal(original[name]) for name in original)
