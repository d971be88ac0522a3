"""Runs that are cancelled, killed or crash: nothing outlives them, and another try goes on.

The data set is made of random windows, so that an epoch takes a fraction of a second.
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from mlflow.entities import Run
from service_harness import PATIENCE_S, Services, wait_until
from toy_dataset import write_toy_dataset

from flows.gpus import GPU_SLOTS, LEASE_S
from flows.process_identity import parse_identity
from flows.tracked_run import mark_of

SUPERVISOR = "flows.supervisor"
FOR_EVER, SOON = 1_000_000, 60  # epochs
SLOTS = 4  # so that a run needs not wait for the lease of one that was killed


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_dataset(tmp_path_factory.mktemp("toy") / "set")


@pytest.fixture(scope="module", autouse=True)
def slots(services: Services) -> Iterator[None]:
    """Make room for several runs, and leave the slots as they were."""
    before = services.get(f"v2/concurrency_limits/{GPU_SLOTS}")["limit"]

    def limit_to(number: int) -> None:
        done = services.command("prefect", "gcl", "update", GPU_SLOTS, "--limit", str(number))
        assert done.returncode == 0, done.stderr

    limit_to(SLOTS)
    yield
    limit_to(before)


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
        (folder,) = self.runs_dir.glob(f"*-{mark_of(self.id)}")
        return folder

    def has_checkpoint(self) -> bool:
        return any(self.runs_dir.glob(f"*-{mark_of(self.id)}/checkpoints/latest"))

    def processes(self) -> list[psutil.Process]:
        """Return the trainer and its supervisor."""
        return [
            each
            for each in psutil.process_iter(["cmdline"])
            if any(str(self.runs_dir) in word for word in each.info["cmdline"] or ())
        ]

    def trainer(self) -> psutil.Process | None:
        return next((each for each in self.processes() if is_trainer(each)), None)

    def steps(self) -> list[int]:
        lines = (self.output_dir / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line)["step"] for line in lines]

    def flow_pid(self) -> int:
        return parse_identity(self.run.data.tags["process"]).pid


def is_trainer(process: psutil.Process) -> bool:
    try:
        return SUPERVISOR not in process.cmdline()
    except psutil.NoSuchProcess:
        return False


def test_killed_crashed_and_cancelled_runs_end_in_order_and_go_on_where_they_were(
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

    crashed = Training(services, toy, tmp_path / "crashed", FOR_EVER)
    wait_until(crashed.has_checkpoint)
    assert killed.run.info.status == "KILLED"  # the next flow has seen to it
    done = services.command("prefect", "flow-run", "retry", killed.id)  # it goes on beside this
    assert done.returncode == 0, done.stderr
    trainer = crashed.trainer()
    trainer.kill()
    wait_until(lambda: crashed.trainer() not in (None, trainer))
    num_lines = len(crashed.steps())
    wait_until(lambda: len(crashed.steps()) > num_lines)
    steps = crashed.steps()
    assert steps == all_steps(len(steps))
    assert crashed.run.info.status == "RUNNING"

    done = services.command("prefect", "flow-run", "cancel", crashed.id)
    assert done.returncode == 0, done.stderr
    wait_until(lambda: crashed.state == "CANCELLED")
    wait_until(lambda: not crashed.processes())
    wait_until(lambda: crashed.run.info.status == "KILLED")
    # The trainer was asked to end: its last checkpoint is of its last update.
    latest = (crashed.output_dir / "checkpoints" / "latest").resolve()
    assert int(latest.name.removeprefix("step-")) >= max(crashed.steps())
    wait_until(lambda: services.task_run_counts(crashed.id) == [2])

    wait_until(lambda: killed.state == "COMPLETED")
    assert (killed.run.info.run_id, killed.run.info.status) == (run_id, "FINISHED")
    assert killed.steps() == all_steps(2 * SOON + 1)


def all_steps(num_lines: int) -> list[int]:
    """Return the steps of a metrics file in which nothing was done twice, and nothing left out:
    two updates are an epoch, after which both the training and the validation are logged."""
    return [2 * ((line + 1) // 2) for line in range(num_lines)]


def test_the_slots_of_runs_that_have_gone_are_free_again(services: Services) -> None:
    limit = f"v2/concurrency_limits/{GPU_SLOTS}"
    end = time.monotonic() + LEASE_S + PATIENCE_S
    while services.get(limit)["active_slots"]:
        assert time.monotonic() < end
        time.sleep(0.5)
