"""Checkpoints of a run as MLflow's logged models: weights, step, and the metrics of that step.

A metric that belongs to a model is linked to it and to the data set, so that MLflow's pages compare
checkpoints as they compare runs.
"""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from graphmert.tracking.store import open_client
from graphmert.tracking.tracker import read_metrics, scalars, send_metrics

MODEL_NAME = "graphmert"
TRAINING_ONLY = ("optimizer*", "training_state*")  # of a checkpoint; a model does without
STEP_PREFIX = "step-"


def checkpoint_step(checkpoint: Path) -> int:
    """Return after how many updates a checkpoint was written; 0 for a folder of another name."""
    number = checkpoint.resolve().name.removeprefix(STEP_PREFIX)
    return int(number) if number.isdecimal() else 0


def log_checkpoints(run_id: str, output_dir: Path, leave_out: Path | None = None) -> None:
    """Log every checkpoint that a training run has kept; `leave_out` is logged elsewhere."""
    for checkpoint in sorted((output_dir / "checkpoints").glob(f"{STEP_PREFIX}*")):
        if leave_out is None or checkpoint.resolve() != leave_out.resolve():
            log_checkpoint(run_id, checkpoint)


def log_checkpoint(run_id: str, checkpoint: Path) -> str:
    """Log one checkpoint as a model that `GraphMERTModel.from_pretrained` loads; return its id."""
    client, model_id = open_client(), create_model(run_id, checkpoint, {})
    with tempfile.TemporaryDirectory() as scratch:
        folder = copy_model(checkpoint, Path(scratch) / "checkpoint")
        client.log_model_artifacts(model_id, str(folder))
    client.finalize_logged_model(model_id, "READY")
    return model_id


def create_model(run_id: str, checkpoint: Path, tags: Mapping[str, str]) -> str:
    """Make the entry of a checkpoint's model, an output of the run, and return its id.

    Its files come next; until they are whole the model is PENDING.
    """
    from mlflow.entities import LoggedModelOutput  # noqa: PLC0415

    client = open_client()
    run = client.get_run(run_id)
    made = client.create_logged_model(
        run.info.experiment_id,
        name=MODEL_NAME,
        source_run_id=run_id,
        tags={**tags, "checkpoint": checkpoint.name},
        params=run.data.params,
        model_type="GraphMERT",
    )
    model_id = str(made.model_id)
    client.log_outputs(run_id, [LoggedModelOutput(model_id, checkpoint_step(checkpoint))])
    link_metrics(run_id, model_id, checkpoint)
    return model_id


def link_metrics(run_id: str, model_id: str, checkpoint: Path) -> None:
    """Link a checkpoint's model with the validation metrics of its step and with the data set.

    They are read from the run's metrics file beside the checkpoints; without one nothing is done.
    """
    from mlflow.entities import Metric  # noqa: PLC0415

    path, step = checkpoint.resolve().parents[1] / "metrics.jsonl", checkpoint_step(checkpoint)
    if not path.exists():
        return
    client = open_client()
    inputs = client.get_run(run_id).inputs
    dataset = inputs.dataset_inputs[0].dataset if inputs and inputs.dataset_inputs else None
    metrics = [
        Metric(
            name,
            value,
            int(line["time_s"] * 1000),  # the run has this very point: no second one is made
            step,
            model_id=model_id,
            dataset_name=dataset.name if dataset else None,
            dataset_digest=dataset.digest if dataset else None,
            run_id=run_id,
        )
        for line in read_metrics(path)
        if line["step"] == step
        for name, value in scalars(line).items()
        if name.startswith("validation/")
    ]
    send_metrics(client, run_id, metrics)


def copy_model(checkpoint: Path, folder: Path) -> Path:
    """Copy what a model needs of a checkpoint; return `folder`."""
    shutil.copytree(checkpoint, folder, ignore=shutil.ignore_patterns(*TRAINING_ONLY))
    return folder
