"""Worker processes: run one function over many tasks, on as many processes as asked for."""

import gc
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.abc import MetaPathFinder
from typing import Protocol, TypeVar

import pyarrow as pa

from graph_builder.names import word_spans

Task = TypeVar("Task")
Result = TypeVar("Result")


class RunTasks(Protocol):
    """Yield each task with its result as soon as it is done; an exception ends the run."""

    def __call__(
        self, function: Callable[[Task], Result], tasks: Sequence[Task]
    ) -> Iterator[tuple[Task, Result]]: ...


class WorkerDied(RuntimeError):
    """A worker process ended in the midst of its work, most often for want of memory."""


@contextmanager
def task_runner(num_processes: int) -> Iterator[RunTasks]:
    """Yield what runs tasks, in the order given, on processes that stay until the end.

    They start where they are first needed: each loads the libraries and the compiled code once.
    Of what is yielded, raises WorkerDied where a process was killed.
    """
    if num_processes <= 1:
        yield _run_here
        return
    # Started anew rather than forked: the tokenizer's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_processes, context, initializer=_start_worker) as executor:
        try:
            yield partial(_run_there, executor)
        finally:
            executor.shutdown(cancel_futures=True)


def _run_here(
    function: Callable[[Task], Result], tasks: Sequence[Task]
) -> Iterator[tuple[Task, Result]]:
    yield from ((task, function(task)) for task in tasks)


def _run_there(
    executor: ProcessPoolExecutor, function: Callable[[Task], Result], tasks: Sequence[Task]
) -> Iterator[tuple[Task, Result]]:
    if len(tasks) <= 1:
        yield from _run_here(function, tasks)
        return
    futures = {executor.submit(function, task): task for task in tasks}
    try:
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool as error:
        raise WorkerDied("a worker process was killed: is there enough memory?") from error
    finally:
        for future in futures:
            future.cancel()


def save_memory() -> None:
    """Take memory for Arrow's arrays from the system: its own pool keeps 100 MiB more of it.

    And keep Arrow and numba from loading libraries for arguments that nobody gives them here, which
    takes each process more than half a second and 90 MiB: both look for theirs once.
    """
    pa.set_memory_pool(pa.system_memory_pool())
    with _without("pandas", "scipy.linalg"):
        pa.array([0])
        word_spans("")


@contextmanager
def _without(*libraries: str) -> Iterator[None]:
    """Let nobody find these libraries, where they are not loaded yet."""
    finder = _NotThere(frozenset(libraries))
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


@dataclass(frozen=True)
class _NotThere(MetaPathFinder):
    """Finds that some libraries are not installed."""

    libraries: frozenset[str]

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname in self.libraries:
            raise ModuleNotFoundError(f"no module named {fullname!r}", name=fullname)


def _start_worker() -> None:
    gc.disable()
    save_memory()
    _end_with_parent()


def _end_with_parent() -> None:
    """End this process when its parent is gone: a killed build leaves nobody at work."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
