"""The MLflow run of a flow: opened with what it is about, closed with how it ended."""

import getpass
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from prefect import runtime
from prefect.exceptions import TerminationSignal

from graphmert.tracking.run import end_run, start_run


@contextmanager
def tracked_run(name: str, parameters: Mapping[str, object]) -> Iterator[str]:
    """Open an MLflow run and yield its id; it ends as FINISHED, FAILED or KILLED."""
    run_id = start_run(name, {**origin(), **made_by()}, parameters)
    status = "FAILED"
    try:
        yield run_id
        status = "FINISHED"
    except (KeyboardInterrupt, SystemExit, TerminationSignal):
        status = "KILLED"
        raise
    finally:
        end_run(run_id, status)


def origin() -> dict[str, str]:
    """Return the tags that lead from an MLflow run back to the flow run and the code."""
    tags = {
        "prefect.flow_run_id": runtime.flow_run.id,
        "prefect.flow_run_name": runtime.flow_run.name,
        "prefect.flow_name": runtime.flow_run.flow_name,
        "prefect.deployment": runtime.deployment.name,
        "mlflow.source.git.commit": git_commit(),
    }
    return {name: str(value) for name, value in tags.items() if value}


def made_by() -> dict[str, str]:
    """Return the tags from which MLflow's pages say who made a run, and with what."""
    return {
        "mlflow.user": user_name(),
        "mlflow.source.name": str(runtime.flow_run.flow_name),
        "mlflow.source.type": "LOCAL",
    }


def user_name() -> str:
    """Return who runs this: a name or, for a user that the system has no name for, the number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # OSError from Python 3.13 on
        return str(os.getuid())


def git_commit() -> str | None:
    """Return the commit of this checkout, with a mark where files differ; None outside git."""
    if shutil.which("git") is None:
        return None
    described = subprocess.run(
        ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or None
