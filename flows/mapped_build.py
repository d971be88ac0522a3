"""`graph-builder` with its batches of files mapped through a Prefect task runner.

    GRAPHMERT_TASK_RUNNER=dask GRAPHMERT_DASK_ADDRESS=tcp://scheduler:8786 \\
      python -m flows.mapped_build build --train path:src --output data/mine

Without GRAPHMERT_TASK_RUNNER the builder's own processes do the work. `processes` is Prefect's pool
of processes on this machine, `dask` a Dask cluster (the extra `dask`): the one at
GRAPHMERT_DASK_ADDRESS, or a temporary one on this machine. Workers read and write the same folders
as this process. Wherever the batches run, the data set is the same, byte for byte.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

from prefect import flow, task
from prefect.futures import as_completed
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner

from graph_builder import cli

RUNNER_VARIABLE: Final = "GRAPHMERT_TASK_RUNNER"
ADDRESS_VARIABLE: Final = "GRAPHMERT_DASK_ADDRESS"

Task = TypeVar("Task")
Result = TypeVar("Result")


def builder_module() -> str:
    """Return the module that runs `graph-builder` as the environment asks for it."""
    return __name__ if os.environ.get(RUNNER_VARIABLE) else cli.__name__


def task_runner() -> TaskRunner[Any]:
    """Return the task runner that the environment names."""
    match os.environ.get(RUNNER_VARIABLE):
        case "processes":
            return ProcessPoolTaskRunner(max_workers=os.cpu_count())
        case "dask":
            from prefect_dask import DaskTaskRunner  # noqa: PLC0415 (an extra)

            return DaskTaskRunner(address=os.environ.get(ADDRESS_VARIABLE))
        case other:
            raise ValueError(f"{RUNNER_VARIABLE}={other}: set it to processes or dask")


@task(task_run_name="{name}", persist_result=False)
def run_one(name: str, function: Callable[[Task], Result], item: Task) -> Result:
    """Do one piece of work on a worker."""
    return function(item)


def run_mapped(
    function: Callable[[Task], Result], tasks: Sequence[Task]
) -> Iterator[tuple[Task, Result]]:
    """Run a function over tasks, each as a Prefect task; see `graph_builder.workers.RunTasks`."""
    futures = {
        run_one.submit(f"{function.__name__}-{number}", function, item): item
        for number, item in enumerate(tasks)
    }
    for future in as_completed(list(futures)):
        yield futures[future], future.result()


@flow(name="mapped-build", flow_run_name="mapped-build", persist_result=False)
def mapped_build(arguments: Sequence[str]) -> int:
    """Run `graph-builder` with these arguments; return its exit status."""
    return cli.main(arguments, run_mapped)


def main() -> int:
    return mapped_build.with_options(task_runner=task_runner())(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
