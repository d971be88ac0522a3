"""`make services`: Prefect server, MLflow server, work pool, deployments and a worker, all here.

    python -m flows.services start      starts what does not run yet, and returns when all answer
    python -m flows.services stop       ends all of it

Records and logs are in `.services/`. Where PREFECT_API_URL or an http MLFLOW_TRACKING_URI is set,
that server is used and none is started.
"""

import argparse
import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path

import httpx

from flows.process_identity import parse_identity
from flows.service_process import (
    ServiceProcess,
    end_children,
    read_service,
    start_service,
    stop_service,
    wait_until_ready,
)
from flows.services_folder import PROJECT, WORK_POOL, services_folder
from flows.supervisor import GRACE_S
from graph_builder.errors import UserError

HOST = "127.0.0.1"
NAMES = ("prefect", "mlflow", "worker")  # in the order of their start
PATIENCE_S = 180.0  # the first start makes two databases, on a machine that may be busy
REQUEST_S = 5.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Start or stop the services and return the exit code."""
    options = _parser().parse_args(arguments)
    folder = services_folder()
    try:
        with _lock(folder):
            if options.command == "stop":
                stop(folder)
            else:
                start(folder, options.prefect_port, options.mlflow_port)
    except (UserError, OSError) as error:
        print(f"services: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


def start(folder: Path, prefect_port: int, mlflow_port: int) -> None:
    """Start what does not run yet; raise UserError with one line where something does not come."""
    own = []
    if not os.environ.get("PREFECT_API_URL"):
        own.append(start_prefect(folder, prefect_port))
        os.environ["PREFECT_API_URL"] = own[-1].url
    if not os.environ.get("MLFLOW_TRACKING_URI", "").startswith("http"):
        own.append(start_mlflow(folder, mlflow_port))
        os.environ["MLFLOW_TRACKING_URI"] = own[-1].url
    for service in own:
        wait_until_ready(folder, service, partial(_answers, f"{service.url}/health"), PATIENCE_S)
    provision()
    worker = start_worker(folder, os.environ["PREFECT_API_URL"])
    wait_until_ready(folder, worker, partial(_is_online, worker), PATIENCE_S)
    _say("prefect", os.environ["PREFECT_API_URL"].removesuffix("/api"))
    _say("mlflow", os.environ["MLFLOW_TRACKING_URI"])
    _say("worker", f"serves the work pool {WORK_POOL}; its log: {folder / 'worker.log'}")


def start_prefect(folder: Path, port: int) -> ServiceProcess:
    """Start the Prefect server, with its records in the services' folder."""
    if running := read_service(folder, "prefect"):
        return running
    _check_port(port, "PREFECT_PORT")
    url = f"http://{HOST}:{port}/api"
    command = ["-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)]
    # Its pages would look for the API at the port that a setting names, not at their own.
    settings = {**_prefect_settings(folder), "PREFECT_SERVER_UI_API_URL": url}
    return start_service(folder, "prefect", url, [sys.executable, *command], settings)


def start_mlflow(folder: Path, port: int) -> ServiceProcess:
    """Start the MLflow server over the store that runs without a server use, too."""
    if running := read_service(folder, "mlflow"):
        return running
    _check_port(port, "MLFLOW_PORT")
    store = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{PROJECT / 'mlflow.db'}"
    artifacts = Path(store.removeprefix("sqlite:///")).resolve().parent / "mlartifacts"
    # Clients of this machine read and write artifacts themselves, at the places where runs
    # without a server have them: what was logged one way can be read the other way.
    command = ["-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", store, "--no-serve-artifacts"]
    command += ["--default-artifact-root", artifacts.as_uri()]
    return start_service(
        folder,
        "mlflow",
        f"http://{HOST}:{port}",
        [sys.executable, *command],
        # Jobs are for judging traces of language models: seven processes that wait for nothing.
        {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
    )


def start_worker(folder: Path, url: str) -> ServiceProcess:
    """Start a worker that serves all queues of the work pool."""
    if running := read_service(folder, "worker"):
        return running
    name = f"{WORK_POOL}-{socket.gethostname()}"
    command = ["-m", "prefect", "worker", "start", "--pool", WORK_POOL, "--name", name]
    settings = {
        **_prefect_settings(folder),
        "PREFECT_WORKER_QUERY_SECONDS": "2",  # between looks for runs that are due
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    return start_service(folder, "worker", url, [sys.executable, *command], settings)


def provision() -> None:
    """Make work pool, GPU slots, automation and deployments on the server."""
    done = subprocess.run(
        [sys.executable, "-m", "flows.provision"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).split("\n")
        said = [line for line in lines if line.strip()][-1:] or ["it said nothing"]
        raise UserError(f"the deployments could not be made: {said[0]}")


def stop(folder: Path) -> None:
    """End the services; first the runs at work, which save a checkpoint and say how they ended."""
    end_children(folder, "worker", GRACE_S + 10)
    for name in reversed(NAMES):
        _say(name, "ended" if stop_service(folder, name) else "was not running")


def _prefect_settings(folder: Path) -> dict[str, str]:
    return {
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_PLUGINS_ENABLED": "false",  # it looks for the services
    }


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=REQUEST_S).is_success
    except httpx.TransportError:
        return False


def _is_online(worker: ServiceProcess) -> bool:
    """Return whether the server has heard of a worker since this one was started."""
    url = f"{worker.url}/work_pools/{WORK_POOL}/workers/filter"
    try:
        answer = httpx.post(url, timeout=REQUEST_S).raise_for_status()
    except httpx.HTTPError:  # busy, as at its start it may be
        return False
    started_s = parse_identity(worker.identity).started_s
    return any(
        each["status"] == "ONLINE"
        and datetime.fromisoformat(each["last_heartbeat_time"]).timestamp() > started_s
        for each in answer.json()
    )


def _check_port(port: int, variable: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise UserError(
                f"port {port} is taken by another program: choose one with {variable}=.."
            ) from None


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Let one start or stop at a time have the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _say(name: str, line: str) -> None:
    print(f"{name:<8} {line}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="services", description="Start or stop the services.")
    parser.add_argument("command", choices=("start", "stop"))
    parser.add_argument("--prefect_port", type=int, default=4200, help="(default %(default)s)")
    parser.add_argument("--mlflow_port", type=int, default=5000, help="(default %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
