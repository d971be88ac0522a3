"""Metrics of a training run: always to `metrics.jsonl`, and to MLflow where a run is given.

Training goes on whatever happens here. A line of the file is one call:
{"step": 12, "time_s": 1700000000.0, "train/mlm_loss": 5.1}.
"""

import json
import math
import os
import sys
import time
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.entities import Metric

MAX_BUFFERED = 20_000  # metrics kept while the store is away; the file has them all
FLUSH_EVERY_S = 5.0
FIRST_PAUSE_S = 30.0  # after a failure; doubles with each further one
# One flush must not hold training up for long; mlflow's own limits let a call block for minutes.
REQUEST_LIMITS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
}


class Tracker:
    """Append metrics to a JSON Lines file and pass them on to an MLflow run, if there is one."""

    def __init__(self, path: Path, run_id: str | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")
        self._run = MlflowMetrics(run_id) if run_id else None

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Log scalars of one step; one that is not finite is written as null."""
        now = time.time()
        line = {"step": step, "time_s": round(now, 3)}
        values = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
        self._file.write(json.dumps(line | values) + "\n")
        self._file.flush()
        if self._run:
            self._run.add(metrics, step, now)

    def log_parameters(self, parameters: Mapping[str, object]) -> None:
        """Log settings, flat; a resumed run keeps the values that it began with."""
        if self._run:
            self._run.log_parameters(parameters)

    def close(self) -> None:
        """Send what is left."""
        self._file.close()
        if self._run:
            self._run.flush()


def open_tracker(path: Path, from_step: int | None = None) -> Tracker:
    """Open the tracker of this process's run (`MLFLOW_RUN_ID`, if mlflow is installed).

    With `from_step`, lines of later steps are dropped first: they belong to work that a resumed
    run does again.
    """
    for name, value in REQUEST_LIMITS.items():
        os.environ.setdefault(name, value)
    if from_step is not None and path.exists():
        _drop_after(path, from_step)
    run_id = os.environ.get("MLFLOW_RUN_ID")
    if run_id and find_spec("mlflow") is None:
        print("MLFLOW_RUN_ID is set, but mlflow is not installed", file=sys.stderr)
        run_id = None
    return Tracker(path, run_id)


def read_metrics(path: Path) -> Iterator[dict[str, float]]:
    """Yield the lines of a metrics file; a last line cut short by a crash is left out."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):
                yield json.loads(line)


def replay(path: Path, run_id: str) -> None:
    """Send a whole metrics file to an MLflow run that could not be reached in time."""
    run = MlflowMetrics(run_id)
    for line in read_metrics(path):
        step, time_s = int(line.pop("step")), line.pop("time_s")
        run.add({name: value for name, value in line.items() if value is not None}, step, time_s)
    run.flush()


class MlflowMetrics:
    """Send metrics to one run in batches; on failure say so once, pause, and try again later."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._buffer: list[Metric] = []
        self._next_flush_s = 0.0  # time.monotonic() before which nothing is sent
        self._pause_s = FIRST_PAUSE_S

    def add(self, metrics: Mapping[str, float], step: int, time_s: float) -> None:
        try:
            from mlflow.entities import Metric  # noqa: PLC0415

            for name, value in metrics.items():
                self._buffer.append(Metric(name, value, int(time_s * 1000), step))
        except Exception as error:  # whatever is wrong with mlflow must not end training
            self._warn(error)
            return
        del self._buffer[:-MAX_BUFFERED]
        if time.monotonic() >= self._next_flush_s:
            self.flush()

    def flush(self) -> None:
        """Send what is buffered, 1,000 metrics a call (the most that MLflow takes)."""
        try:
            from graphmert.tracking.store import open_client  # noqa: PLC0415

            client = open_client()
            while self._buffer:
                client.log_batch(self._run_id, metrics=self._buffer[:1000])
                del self._buffer[:1000]
            self._next_flush_s = time.monotonic() + FLUSH_EVERY_S
            self._pause_s = FIRST_PAUSE_S
        except Exception as error:  # the store's own, the network's, the database's: any
            self._warn(error)

    def log_parameters(self, parameters: Mapping[str, object]) -> None:
        try:
            from graphmert.tracking.run import log_parameters  # noqa: PLC0415

            log_parameters(self._run_id, parameters)
        except Exception as error:
            self._warn(error)

    def _warn(self, error: Exception) -> None:
        self._next_flush_s = time.monotonic() + self._pause_s
        reason = " ".join(str(error).split())[:200]
        print(f"MLflow: {reason}; next try in {self._pause_s:.0f} s", file=sys.stderr)
        self._pause_s *= 2


def _drop_after(path: Path, from_step: int) -> None:
    kept = [line for line in read_metrics(path) if line["step"] <= from_step]
    new = path.with_name(path.name + ".new")
    new.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
    new.replace(path)
