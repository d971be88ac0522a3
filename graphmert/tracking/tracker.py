"""Metrics of a training run: always to `metrics.jsonl`, and to MLflow where a run is given.

Training goes on whatever happens here. A line of the file is one call:
{"step": 12, "time_s": 1700000000.0, "train/mlm_loss": 5.1}.
"""

import json
import math
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

MAX_METRICS_PER_CALL = 1000  # mlflow's limit
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
        now = round(time.time(), 3)  # the same in the file and in MLflow
        line = {"step": step, "time_s": now}
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


def complete_metrics(path: Path, run_id: str) -> None:
    """Send to an MLflow run what it lacks of a metrics file, as after a time without the server.

    Raises what mlflow raises where the run cannot be reached now either.
    """
    from mlflow.entities import Metric  # noqa: PLC0415

    from graphmert.tracking.store import open_client  # noqa: PLC0415

    client, lines = open_client(), list(read_metrics(path))
    latest = client.get_run(run_id).data.metrics
    last = {name: value for line in lines for name, value in scalars(line).items()}
    if all(latest.get(name) == value for name, value in last.items()):
        return  # metrics are sent in order: with the last ones, all have arrived
    there = {(name, each.step) for name in last for each in client.get_metric_history(run_id, name)}
    lacking = [
        Metric(name, value, int(line["time_s"] * 1000), int(line["step"]))
        for line in lines
        for name, value in scalars(line).items()
        if (name, int(line["step"])) not in there
    ]
    send_metrics(client, run_id, lacking)


def send_metrics(client: "MlflowClient", run_id: str, metrics: Sequence["Metric"]) -> None:
    """Send metrics, as many a call as MLflow takes."""
    for start in range(0, len(metrics), MAX_METRICS_PER_CALL):
        client.log_batch(run_id, metrics=metrics[start : start + MAX_METRICS_PER_CALL])


def scalars(line: dict[str, float]) -> dict[str, float]:
    """Return the metrics of a line, without those that were not finite."""
    rest = {name: value for name, value in line.items() if name not in ("step", "time_s")}
    return {name: value for name, value in rest.items() if value is not None}


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
        """Send what is buffered."""
        try:
            from graphmert.tracking.store import open_client  # noqa: PLC0415

            client = open_client()
            while self._buffer:
                client.log_batch(self._run_id, metrics=self._buffer[:MAX_METRICS_PER_CALL])
                del self._buffer[:MAX_METRICS_PER_CALL]
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
