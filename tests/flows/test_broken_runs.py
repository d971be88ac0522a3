"""Runs that are cancelled, killed or crash: nothing outlives them, and another try goes on.

The data set is made of random windows, so that an epoch takes a fraction of a second.
"""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow.entities import Run
from service_harness import Services
from toy_dataset import write_toy_dataset

from flows.gpus import GPU_SLOTS, LEASE_S
from flows.process_identity import parse_identity

PATIENCE_S = 240.0
SUPERVISOR = "flows.supervisor"
FOR_EVER, SOON = 1_000_000, 30  # epochs
# Of the metrics: two updates are an epoch, after which both losses are logged.
ALL_STEPS = [0, *(2 * epoch for epoch in range(1, SOON + 1) for _ in ("train", "validation"))]
SLOTS = 4  # so that a run needs not wait for the lease of one that was killed


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_dataset(tmp_path_factory.mktemp("toy") / "set")


@pytest.fixture(scope="module", autouse=True)
def slots(services: Services) -> None:
    services.command("prefect", "gcl", "update", GPU_SLOTS, "--limit", str(SLOTS))


class Training:
    """A run of the deployment `train`, and what it left so far."""

    def __init__(self, services: Services, toy: Path, folder: Path, num_epochs: int) -> None:
        self.services, self.runs_dir = services, folder / "runs"
        deployment = services.get("deployments/name/train/train")["id"]
        parameters = {
            "data_path": str(toy),
            "num_epochs": num_epochs,
            "batch_size": 20,
            "runs_dir": str(self.runs_dir),
        }
        made = services.post(
            f"deployments/{deployment}/create_flow_run",
            parameters=parameters,
            state={"type": "SCHEDULED"},
        )
        self.id = str(made["id"])

    @property
    def state(self) -> str:
        return str(self.services.get(f"flow_runs/{self.id}")["state"]["type"])

    @property
    def run(self) -> Run:
        client = self.services.mlflow
        experiment = client.get_experiment_by_name("graphmert")
        (found,) = client.search_runs(
            [experiment.experiment_id], f"tags.`prefect.flow_run_id` = '{self.id}'"
        )
        return found

    @property
    def output_dir(self) -> Path:
        (folder,) = self.runs_dir.glob(f"*-{self.id[:8]}")
        return folder

    def has_checkpoint(self) -> bool:
        return any(self.runs_dir.glob(f"*-{self.id[:8]}/checkpoints/latest"))

    def processes(self) -> list[psutil.Process]:
        """Return the trainer and its supervisor."""
        return [
            each
            for each in psutil.process_iter(["cmdline"])
            if any(str(self.runs_dir) in word for word in each.info["cmdline"] or ())
        ]

    def steps(self) -> list[int]:
        lines = (self.output_dir / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line)["step"] for line in lines]

    def flow_pid(self) -> int:
        return parse_identity(self.run.data.tags["process"]).pid


def wait_until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.2)


def test_a_cancelled_run_ends_in_order(services: Services, toy: Path, tmp_path: Path) -> None:
    training = Training(services, toy, tmp_path, FOR_EVER)
    wait_until(training.has_checkpoint)
    assert training.run.info.status == "RUNNING"
    done = services.command("prefect", "flow-run", "cancel", training.id)
    assert done.returncode == 0, done.stderr
    wait_until(lambda: training.state == "CANCELLED")
    wait_until(lambda: not training.processes())
    wait_until(lambda: training.run.info.status == "KILLED")
    # The trainer was asked to end: its last checkpoint is of its last update.
    latest = (training.output_dir / "checkpoints" / "latest").resolve()
    assert int(latest.name.removeprefix("step-")) >= max(training.steps())


def test_a_killed_flow_and_a_crashed_trainer_go_on_where_they_were(
    services: Services, toy: Path, tmp_path: Path
) -> None:
    killed = Training(services, toy, tmp_path / "killed", SOON)
    wait_until(killed.has_checkpoint)
    assert killed.processes()
    os.kill(killed.flow_pid(), signal.SIGKILL)
    wait_until(lambda: killed.state == "CRASHED")
    wait_until(lambda: not killed.processes())
    run_id = killed.run.info.run_id
    assert killed.run.info.status == "RUNNING"  # nobody could say otherwise, yet

    crashed = Training(services, toy, tmp_path / "crashed", SOON)
    wait_until(crashed.has_checkpoint)
    assert killed.run.info.status == "KILLED"  # the next flow has seen to it
    (trainer,) = (each for each in crashed.processes() if SUPERVISOR not in each.cmdline())
    trainer.kill()
    wait_until(lambda: crashed.state == "COMPLETED")
    assert crashed.run.info.status == "FINISHED"
    (task_run,) = services.post("task_runs/filter", flow_runs={"id": {"any_": [crashed.id]}})
    assert task_run["run_count"] == 2
    assert crashed.steps() == ALL_STEPS

    done = services.command("prefect", "flow-run", "retry", killed.id)
    assert done.returncode == 0, done.stderr
    wait_until(lambda: killed.state == "COMPLETED")
    assert (killed.run.info.run_id, killed.run.info.status) == (run_id, "FINISHED")
    assert killed.steps() == ALL_STEPS


def test_the_slots_of_runs_that_have_gone_are_free_again(services: Services) -> None:
    limit = f"v2/concurrency_limits/{GPU_SLOTS}"
    end = time.monotonic() + LEASE_S + PATIENCE_S
    while services.get(limit)["active_slots"]:
        assert time.monotonic() < end
        time.sleep(0.5)
