"""`make services` and the literal command after it: everything comes up, and a run goes through."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args
from uuid import uuid4

import pytest
from prefect import flow
from prefect.settings import PREFECT_API_URL, temporary_settings
from service_harness import ROOT, Services, free_port, wait_until
from workplace import SPLITS, Workplace

from flows.build_dataset import build
from flows.child_process import CommandFailed
from flows.dataset_request import DatasetRequest
from flows.gpus import count_gpus
from flows.parameters import EvaluationTask
from flows.prefect_plugin import with_full_name
from flows.process_identity import identify
from flows.service_process import read_service, start_service, stop_service, wait_until_ready
from flows.tracked_run import is_abandoned
from graph_builder.errors import UserError
from graphmert.evaluation.report import EvaluationReport
from graphmert.evaluation.tasks import TASKS


def test_starting_again_changes_nothing(services: Services) -> None:
    before = {name: read_service(services.folder, name) for name in ("prefect", "mlflow", "worker")}
    done = services.services("start")
    assert done.returncode == 0, done.stderr
    assert before == {name: read_service(services.folder, name) for name in before}
    assert len(services.post("automations/filter")) == 1


def test_the_run_is_in_mlflow_with_what_belongs_to_it(
    services: Services, deployed_run: str
) -> None:
    run = services.mlflow.get_run(deployed_run)
    assert run.info.status == "FINISHED"
    assert run.data.tags["prefect.deployment"] == "build-and-train"
    assert run.data.tags["gate"] == "candidate"
    assert "no better" in run.data.tags["gate_reason"]
    assert run.data.metrics["system/cpu_utilization_percentage"] >= 0
    assert (
        run.data.metrics["champion/bits_per_byte"] == run.data.metrics["evaluation/bits_per_byte"]
    )


def test_the_prefect_run_shows_progress_sources_summary_and_where_the_report_is(
    services: Services, deployed_run: str
) -> None:
    flow_run = services.mlflow.get_run(deployed_run).data.tags["prefect.flow_run_id"]
    assert services.artifacts(flow_run, "progress") == ["100", "100"]
    (table,) = services.artifacts(flow_run, "table")
    assert all(f"path:{split}" in table for split in SPLITS)
    link, _summary = sorted(services.artifacts(flow_run, "markdown"), key=len)
    assert f"{deployed_run}/artifacts/data_set/statistics.html" in link


@pytest.mark.skipif(count_gpus() > 0, reason="a GPU is here")
def test_the_log_of_the_run_says_that_there_is_no_gpu(
    services: Services, deployed_run: str
) -> None:
    flow_run = services.mlflow.get_run(deployed_run).data.tags["prefect.flow_run_id"]
    lines = services.post("logs/filter", logs={"flow_run_id": {"any_": [flow_run]}})
    assert "no GPU found: training runs on the CPU" in {line["message"] for line in lines}


def test_a_checkpoint_is_evaluated_at_a_task_by_its_name(
    services: Services, place: Workplace, deployed_run: str, tmp_path: Path
) -> None:
    checkpoint = (place.folder / "runs" / "latest" / "checkpoints" / "best").resolve()
    done = services.run_deployment(
        "evaluate",
        checkpoint=str(checkpoint),
        data_path=str((place.folder / "data" / "latest").resolve()),
        report_path=str(tmp_path / "report.json"),
        tasks=["identifier_completion"],
    )
    assert done.returncode == 0, done.stdout + done.stderr
    experiment = services.mlflow.get_run(deployed_run).info.experiment_id
    run = services.mlflow.search_runs([experiment])[0]  # the newest
    assert run.data.params["checkpoint"] == str(checkpoint)
    (asked,) = run.inputs.dataset_inputs
    assert run.data.tags["data_set_digest"].startswith(asked.dataset.digest)
    report = EvaluationReport.from_json((tmp_path / "report.json").read_text())
    assert report.tasks.keys() == {"identifier_completion"}
    assert {name for name in run.data.metrics if "identifier_completion" in name} == {
        f"evaluation/{name}" for name in report.metrics() if "identifier_completion" in name
    }


def test_the_tasks_that_a_form_offers_are_those_of_the_command() -> None:
    assert get_args(EvaluationTask) == tuple(TASKS)


def test_added_sources_extend_the_data_set_and_the_champion(
    services: Services, place: Workplace, deployed_run: str, tmp_path: Path
) -> None:
    """Only what is new is parsed, the base stays, and old and new stand side by side."""
    base = (place.folder / "data" / "latest").resolve()
    shards = {path.name: path.stat().st_mtime_ns for path in base.rglob("*.parquet")}
    manifest = (base / "manifest.json").read_bytes()
    more = tmp_path / "more"
    more.mkdir()
    (more / "walk.py").write_text((ROOT / "graph_builder" / "modules.py").read_text())
    done = services.run_deployment(
        "build-and-train", add_sources=[f"path:{more}"], batch_size=16, **place.folders
    )
    assert done.returncode == 0, done.stdout + done.stderr

    extended = (place.folder / "data" / "latest").resolve()
    assert extended != base
    assert (base / "manifest.json").read_bytes() == manifest
    kept = {path.name: path.stat().st_mtime_ns for path in extended.rglob("*.parquet")}
    assert kept.items() > shards.items()
    assert len(kept) == len(shards) + 1
    experiment = services.mlflow.get_run(deployed_run).info.experiment_id
    run = services.mlflow.search_runs([experiment])[0]  # the newest
    assert run.data.params["start_from"] == "champion, version 1"
    assert run.data.params["sources.extends"] == base.name
    assert run.data.tags["champion_version"] == "1"
    assert run.data.metrics["champion/bits_per_byte"] == pytest.approx(
        services.mlflow.get_run(deployed_run).data.metrics["evaluation/bits_per_byte"]
    )
    # It goes on from the champion: what it starts with is what the champion ended with.
    history = services.mlflow.get_metric_history(run.info.run_id, "validation/mlm_loss")
    before = services.mlflow.get_run(deployed_run).data.metrics["evaluation/mlm_loss"]
    assert min(history, key=lambda each: each.step).value == pytest.approx(before, rel=1e-5)


def test_a_run_of_another_machine_is_abandoned_where_prefect_says_so(
    services: Services, deployed_run: str
) -> None:
    flow_run = services.mlflow.get_run(deployed_run).data.tags["prefect.flow_run_id"]
    with temporary_settings({PREFECT_API_URL: services.prefect_url}):
        assert is_abandoned({"process": "elsewhere:1:1.0", "prefect.flow_run_id": flow_run})
        unknown = str(uuid4())
        assert not is_abandoned({"process": "elsewhere:1:1.0", "prefect.flow_run_id": unknown})
    assert not is_abandoned({"process": str(identify()), "prefect.flow_run_id": flow_run})
    assert not is_abandoned({"prefect.flow_run_id": flow_run})


def test_a_build_is_tried_again_where_something_cannot_be_fetched(
    services: Services, tmp_path: Path
) -> None:
    nobody = f"git+http://127.0.0.1:{free_port()}/nobody.git@v1"
    request = DatasetRequest((nobody,), ("installed:click",))

    @flow
    def building() -> None:
        build.with_options(retry_delay_seconds=0.1)(request, tmp_path / "set")

    with temporary_settings({PREFECT_API_URL: services.prefect_url}):
        state = building(return_state=True)
    error = state.result(raise_on_failure=False)
    assert isinstance(error, CommandFailed)
    assert error.code == 69
    flow_run = str(state.state_details.flow_run_id)
    wait_until(lambda: services.task_run_counts(flow_run) == [3])
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("deployment run train", "deployment run train/train"),
        ("deployment run --watch train", "deployment run --watch train/train"),
        ("deployment run -p a=1 train -p b=2", "deployment run -p a=1 train/train -p b=2"),
        ("--no-prompt deployment run --param=a=1 train", None),
        ("deployment run train/train --watch", None),
        ("deployment run --id 7 --watch", None),
        ("deployment inspect train", None),
        ("worker start --pool train", None),
        ("", None),
    ],
)
def test_a_deployments_short_name_is_made_whole(given: str, meant: str | None) -> None:
    expected = (meant or given).split()
    if "--param=a=1" in given:
        expected = [*given.split()[:-1], "train/train"]
    assert with_full_name(given.split()) == expected


def test_a_port_that_is_taken_is_one_line(services: Services, tmp_path: Path) -> None:
    shell = {**services.shell, "GRAPHMERT_SERVICES": str(tmp_path / "others")}
    done = replace(services, folder=tmp_path / "others", shell=shell).services("start")
    assert done.returncode == 1
    assert done.stderr.strip().endswith("choose one with PREFECT_PORT=..")
    assert len(done.stderr.splitlines()) == 1


def test_a_service_that_does_not_come_up_says_what_it_said(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no database')"]
    service = start_service(tmp_path, "small", f"http://127.0.0.1:{free_port()}", command, {})
    with pytest.raises(UserError, match="small ended at once: no database"):
        wait_until_ready(tmp_path, service, lambda: False, 20)
    assert read_service(tmp_path, "small") is None
    assert not stop_service(tmp_path, "small")
