"""Where MLflow keeps runs and models: `MLFLOW_TRACKING_URI`, or SQLite and a folder, no server.

mlflow takes seconds to import, so this package imports it inside functions only.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "graphmert"
KIND = {"mlflow.experimentKind": "custom_model_development"}  # the UI opens it as model training
# mlflow's own defaults let a call to a server that is away block for minutes.
REQUEST_LIMITS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}


def use_store(folder: Path | None = None) -> str:
    """Point mlflow and child processes at the store and return its URI.

    `MLFLOW_TRACKING_URI` wins; otherwise `mlflow.db` in `folder` (the working directory), with
    artifacts in `mlartifacts` beside it.
    """
    for name, value in REQUEST_LIMITS.items():
        os.environ.setdefault(name, value)
    if not sys.stderr.isatty():
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    base = (folder or Path.cwd()).resolve()
    uri = os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{base / 'mlflow.db'}")

    import mlflow  # noqa: PLC0415

    mlflow.set_tracking_uri(uri)
    return uri


def open_client() -> "MlflowClient":
    """Return a client of the store."""
    use_store()
    from mlflow import MlflowClient  # noqa: PLC0415

    return MlflowClient()


def experiment_id(client: "MlflowClient", name: str = EXPERIMENT) -> str:
    """Return the id of an experiment; make it, with its artifacts beside a local store."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    return str(client.create_experiment(name, _local_artifacts(), tags=KIND))


def _local_artifacts() -> str | None:
    """Return the artifact folder of a SQLite store; None leaves it to the server."""
    uri = os.environ["MLFLOW_TRACKING_URI"]
    if not uri.startswith("sqlite:///"):
        return None
    return (Path(uri.removeprefix("sqlite:///")).resolve().parent / "mlartifacts").as_uri()
