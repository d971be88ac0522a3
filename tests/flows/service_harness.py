"""The services for the tests of deployments: real servers and a real worker.

They are started by the command behind `make services`, on free ports of the loopback interface and
in folders of their own, and ended by their process ids.
"""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from mlflow import MlflowClient
from workplace import Workplace

from flows.service_process import read_service

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PATIENCE_S = 240.0
REQUEST_S = 60.0  # of a server that is starved beside other tests


@dataclass(frozen=True)
class Services:
    """Where the services are, and what a user's shell needs to know of them: next to nothing."""

    folder: Path
    shell: Mapping[str, str]  # environment variables of a shell that has the environment's bin
    prefect_port: int = 4200
    mlflow_port: int = 5000

    @property
    def prefect_url(self) -> str:
        return self._url("prefect")

    @property
    def mlflow_url(self) -> str:
        return self._url("mlflow")

    def _url(self, name: str) -> str:
        service = read_service(self.folder, name)
        assert service is not None
        return service.url

    @property
    def mlflow(self) -> MlflowClient:
        return MlflowClient(self.mlflow_url)

    def command(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of the environment in the checkout."""
        program, *arguments = words
        return subprocess.run(
            [str(BIN / program), *arguments],
            cwd=ROOT,
            env=self.shell,
            capture_output=True,
            text=True,
            check=False,
        )

    def services(self, command: str) -> "subprocess.CompletedProcess[str]":
        """Run the command behind `make services` and `make services-stop`."""
        ports = (f"--prefect_port={self.prefect_port}", f"--mlflow_port={self.mlflow_port}")
        return self.command("python", "-m", "flows.services", command, *ports)

    def run_deployment(self, name: str, **parameters: object) -> "subprocess.CompletedProcess[str]":
        """Run a deployment by its short name, as a user would, to its end."""
        options = [f"--param={key}={json.dumps(value)}" for key, value in parameters.items()]
        return self.command("prefect", "deployment", "run", name, "--watch", *options)

    def artifacts(self, flow_run: str, kind: str) -> list[str]:
        """Return the contents of a run's artifacts of a kind."""
        found = self.post("artifacts/filter", flow_runs={"id": {"any_": [flow_run]}})
        return [str(artifact["data"]) for artifact in found if artifact["type"] == kind]

    def task_run_counts(self, flow_run: str) -> list[int]:
        """Return how often each task of a flow run was tried, as far as Prefect knows by now."""
        found = self.post("task_runs/filter", flow_runs={"id": {"any_": [flow_run]}})
        return [each["run_count"] for each in found]

    def get(self, path: str) -> Any:
        answer = httpx.get(f"{self.prefect_url}/{path}", timeout=REQUEST_S)
        return answer.raise_for_status().json()

    def post(self, path: str, **content: object) -> Any:
        answer = httpx.post(f"{self.prefect_url}/{path}", json=content, timeout=REQUEST_S)
        return answer.raise_for_status().json()


def wait_until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.2)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_services(folder: Path, place: Workplace) -> Services:
    """Start all services; records go to `folder`, MLflow's store is the workplace's."""
    shell = {
        **place.variables,
        "GRAPHMERT_SERVICES": str(folder),
        "MLFLOW_TRACKING_URI": place.store,
        "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL": "1",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
        "NO_COLOR": "1",
    }
    started = Services(folder, shell, free_port(), free_port())
    done = started.services("start")
    assert done.returncode == 0, done.stderr
    return started
