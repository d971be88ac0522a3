"""The MLflow run of a flow: opened with what it is about, closed with how it ended.

A flow run has one MLflow run, also when it is tried again. A flow that is killed with `kill -9`
cannot close its run: the next flow does, wherever it finds that the process has gone.
"""

import getpass
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from prefect import runtime
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound, TerminationSignal

from flows.mlflow_server import check_mlflow
from flows.process_identity import identify, parse_identity
from graphmert.tracking.run import end_run, find_runs, reopen_run, running_runs, start_run, tag_run

# Tags; the last one is MLflow's, of runs that stand below another one.
FLOW_RUN, PROCESS, PARENT = "prefect.flow_run_id", "process", "mlflow.parentRunId"


@contextmanager
def tracked_run(name: str, parameters: Mapping[str, object]) -> Iterator[str]:
    """Open an MLflow run and yield its id; it ends as FINISHED, FAILED or KILLED."""
    check_mlflow()
    end_abandoned_runs()
    tags = {**origin(), **made_by()}
    with opened_run(own_run(tags[FLOW_RUN]), name, tags, parameters) as run_id:
        yield run_id


@contextmanager
def opened_run(
    earlier: str | None, name: str, tags: Mapping[str, str], parameters: Mapping[str, object]
) -> Iterator[str]:
    """Open the run that an earlier try has opened again, or a new one; end it as it went."""
    if earlier is None:
        run_id = start_run(name, tags, parameters)
    else:
        run_id = earlier
        reopen_run(run_id, tags)
    status = "FAILED"
    try:
        yield run_id
        status = "FINISHED"
    except (KeyboardInterrupt, SystemExit, TerminationSignal):
        status = "KILLED"
        raise
    finally:
        end_run(run_id, status)


def own_run(flow_run: str) -> str | None:
    """Return the run that an earlier try of a flow run has opened, if there was one."""
    found = find_runs(FLOW_RUN, flow_run)
    return next((run_id for run_id, tags in found.items() if PARENT not in tags), None)


def end_abandoned_runs() -> None:
    """End every run that is still RUNNING though the flow that it belongs to has gone."""
    for run_id, tags in running_runs().items():
        if is_abandoned(tags):
            tag_run(run_id, {"ended_by": "a later flow: the process had gone"})
            end_run(run_id, "KILLED")


def is_abandoned(tags: Mapping[str, str]) -> bool:
    """Return whether a flow has gone: its process here, or by Prefect's word one elsewhere."""
    if PROCESS not in tags or FLOW_RUN not in tags:
        return False  # not opened here
    process = parse_identity(tags[PROCESS])
    if process.is_here:
        return not process.is_alive
    try:
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(UUID(tags[FLOW_RUN])).state
    except ObjectNotFound:
        return False  # of another Prefect server
    return state is not None and state.is_final()


def mark_of(flow_run: object) -> str:
    """Return what tells a flow run's folder from those of others: the end of its id.

    (Ids of runs that a schedule makes at once begin alike: with the time.)
    """
    return str(flow_run)[-8:]


def origin() -> dict[str, str]:
    """Return the tags that lead from an MLflow run back to the flow run and the code."""
    tags = {
        FLOW_RUN: runtime.flow_run.id,
        "prefect.flow_run_name": runtime.flow_run.name,
        "prefect.flow_name": runtime.flow_run.flow_name,
        "prefect.deployment": runtime.deployment.name,
        "mlflow.source.git.commit": git_commit(),
    }
    return {name: str(value) for name, value in tags.items() if value}


def made_by() -> dict[str, str]:
    """Return the tags that say who made a run, with what, and in which process."""
    return {
        PROCESS: str(identify()),
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
