"""The MLflow server that is to hold the record of a run: asked before there is work to record.

MLflow's own calls to a server that is away take up to minutes, and would come after the build.
"""

import os

import httpx

from graph_builder.errors import UserError

PATIENCE_S = 10.0


class MlflowUnavailable(UserError):
    """Say that MLflow does not answer; trying again later may help."""

    code = 69  # as of the builder, where something outside cannot be reached


def check_mlflow() -> None:
    """Raise MlflowUnavailable where MLFLOW_TRACKING_URI names a server that does not answer."""
    url = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not url.startswith("http"):
        return
    try:
        httpx.get(url, timeout=PATIENCE_S)  # whatever it says: somebody is there
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise MlflowUnavailable(
            f"MLFLOW_TRACKING_URI={url}: MLflow does not answer ({error}): start the server, or "
            "unset the variable to keep the record in mlflow.db here"
        ) from error
