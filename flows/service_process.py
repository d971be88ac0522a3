"""A process that stays when the command that started it ends: found again by its record file.

The record, NAME.json in the services' folder, holds the process's identity and where it answers;
NAME.log beside it holds its output.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from flows.process_identity import identify, parse_identity
from graph_builder.errors import UserError
from graph_builder.whole_file import write_whole

POLL_S = 0.2
STOP_S = 10.0  # of the soft signals together, before SIGKILL
SOFT_SIGNALS = (signal.SIGTERM, signal.SIGINT)  # the second is for a worker that waits for its poll
NUM_LOG_LINES = 5  # of a service that did not come up, for the error


@dataclass(frozen=True)
class ServiceProcess:
    """The record of a service: which process it is, and where it answers."""

    name: str
    identity: str  # see process_identity.py
    url: str

    @property
    def is_alive(self) -> bool:
        process = parse_identity(self.identity)
        return process.is_here and process.is_alive


def read_service(folder: Path, name: str) -> ServiceProcess | None:
    """Return the service if it runs; None where it was never started, or has ended."""
    try:
        service = ServiceProcess(name, **json.loads((folder / f"{name}.json").read_text()))
    except FileNotFoundError:
        return None
    return service if service.is_alive else None


def start_service(
    folder: Path, name: str, url: str, command: Sequence[str], environment: Mapping[str, str]
) -> ServiceProcess:
    """Start a command in a session of its own and record it; its output goes to the log."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    service = ServiceProcess(name, str(identify(process.pid)), url)
    record = {"identity": service.identity, "url": url}
    write_whole(folder / f"{name}.json", (json.dumps(record) + "\n").encode())
    return service


def wait_until_ready(
    folder: Path, service: ServiceProcess, is_ready: Callable[[], bool], patience_s: float
) -> None:
    """Return once the service answers; raise UserError where it ends or takes too long."""
    end = time.monotonic() + patience_s
    while not is_ready():
        if not service.is_alive or time.monotonic() > end:
            what = "does not answer" if service.is_alive else "ended at once"
            said = (folder / f"{service.name}.log").read_text(errors="replace").split("\n")
            last = " | ".join([line.strip() for line in said if line.strip()][-NUM_LOG_LINES:])
            raise UserError(f"{service.name} {what}: {last or 'it said nothing'}")
        time.sleep(POLL_S)


def stop_service(folder: Path, name: str) -> bool:
    """End a service, and for sure all that it started; return whether it was running."""
    service = read_service(folder, name)
    if service is not None:
        pid = parse_identity(service.identity).pid  # leads the session that it was started in
        for number in SOFT_SIGNALS:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
            _wait_while(lambda: service.is_alive, STOP_S / len(SOFT_SIGNALS))
        with suppress(ProcessLookupError):  # the usual case: nothing of it is left
            os.killpg(pid, signal.SIGKILL)
        _wait_while(lambda: _is_group_alive(pid), STOP_S)
    (folder / f"{name}.json").unlink(missing_ok=True)
    return service is not None


def _is_group_alive(group: int) -> bool:
    """Return whether a process of the group runs; one that only waits to be reaped does not."""
    return any(_is_running_in(group, pid) for pid in psutil.pids())


def _is_running_in(group: int, pid: int) -> bool:
    try:
        return os.getpgid(pid) == group and identify(pid).is_alive
    except (OSError, psutil.Error):
        return False


def end_children(folder: Path, name: str, patience_s: float) -> None:
    """End what a service has started, softly, while the service is there to see it."""
    service = read_service(folder, name)
    if service is None:
        return
    children = psutil.Process(parse_identity(service.identity).pid).children()
    for child in children:
        with suppress(psutil.NoSuchProcess):
            child.terminate()
    _wait_while(lambda: any(child.is_running() for child in children), patience_s)


def _wait_while(condition: Callable[[], bool], patience_s: float) -> None:
    end = time.monotonic() + patience_s
    while condition() and time.monotonic() < end:
        time.sleep(POLL_S)
