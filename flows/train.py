"""The `train` flow: a data set in, checkpoints and an MLflow run out.

Training is `graphmert-train`, which starts a process for each GPU, or one on the CPU, and logs to
the run by its id. One that breaks off is tried again and goes on from its last checkpoint.
"""

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, runtime, task

from flows.child_process import CommandFailed, OutOfTime, run_module
from flows.defaults import BATCH_SIZE, LEARNING_RATE, MLM_WEIGHT, NUM_EPOCHS, PRESET, SEED
from flows.gpus import count_gpus, gpu_slots
from flows.latest import point_latest
from flows.parameters import (
    BatchSize,
    LearningRate,
    MlmWeight,
    NumEpochs,
    Preset,
    Seed,
    TimeLimit,
)
from flows.progress import Progress
from flows.tracked_run import mark_of, tracked_run
from graph_builder.dataset import open_dataset
from graphmert.tracking.checkpoints import log_checkpoints
from graphmert.tracking.run import log_dataset, log_loss_curves
from graphmert.tracking.system_metrics import system_metrics
from graphmert.tracking.tracker import complete_metrics

NOT_RESUMED = (2, 3, 130)  # exit codes: bad input, a loss that is not finite, interrupted
RESUMES_AFTER_S = [5.0, 60.0]
EPOCH = re.compile(r"epoch (\d+): (?:validation|update (\d+) of (\d+))")  # of the trainer's lines


@dataclass(frozen=True)
class TrainingRequest:
    """How a model is to be trained; the names are those of the trainer's flags."""

    preset: str = PRESET
    num_epochs: int = NUM_EPOCHS
    batch_size: int = BATCH_SIZE  # windows of one update
    learning_rate: float = LEARNING_RATE
    lambda_mlm: float = MLM_WEIGHT
    seed: int = SEED
    init_from: str | None = None  # checkpoint whose weights and size it starts with; None: scratch

    def flags(self) -> dict[str, object]:
        """Return the trainer's flags; a model that is there has a size of its own."""
        left_out = "init_from" if self.init_from is None else "preset"
        return {name: value for name, value in asdict(self).items() if name != left_out}

    def share_done(self, line: str) -> float | None:
        """Return how much of the training is done by the word of one of its lines."""
        if (found := EPOCH.match(line)) is None:
            return None
        epoch, update, num_updates = (int(each) if each else None for each in found.groups())
        assert epoch is not None
        if update is None or num_updates is None:
            return epoch / self.num_epochs
        return (epoch - 1 + update / num_updates) / self.num_epochs

    def run_name(self, digest: str) -> str:
        """Name a run by what tells it from others."""
        epochs = f"{self.num_epochs} epoch{'s' * (self.num_epochs > 1)} of batch {self.batch_size}"
        rest = f"lr {self.learning_rate:g}, mlm {self.lambda_mlm:g}, seed {self.seed}"
        start = self.preset if self.init_from is None else "from the champion"
        return f"{start}, data {digest[:8]}, {epochs}, {rest}"


@dataclass(frozen=True)
class TrainedModel:
    run_id: str  # of MLflow
    checkpoint: str  # folder of the best checkpoint on validation
    output_dir: str


class Resumable(CommandFailed):
    """A training that broke off, with a checkpoint to go on from."""


def should_resume(task: Any, run: Any, state: Any) -> bool:
    """Return whether training broke off where another try may help."""
    return isinstance(state.result(raise_on_failure=False), Resumable)


@task(
    task_run_name="train",
    retries=len(RESUMES_AFTER_S),
    retry_delay_seconds=RESUMES_AFTER_S,
    retry_condition_fn=should_resume,
)
def train_model(
    request: TrainingRequest,
    data_path: Path,
    output_dir: Path,
    run_id: str,
    time_limit_s: float | None = None,
) -> TrainedModel:
    """Train in child processes and return where the best checkpoint is.

    Goes on from the last checkpoint in `output_dir`, where there is one. Raises OutOfTime after
    `time_limit_s`, with a checkpoint written, and Resumable for all else that may be tried again.
    """
    checkpoints, logger = output_dir / "checkpoints", get_run_logger()
    flags = {"data_path": data_path, "output_dir": output_dir, **request.flags()}
    arguments = [part for name, value in flags.items() for part in (f"--{name}", str(value))]
    if (checkpoints / "latest").exists():
        arguments.append("--resume")
    num_gpus = count_gpus()
    if num_gpus > 1:
        logger.info("training on %d GPUs", num_gpus)
    progress = Progress("training", logger.info, request.share_done)
    try:
        with gpu_slots(num_gpus), system_metrics(run_id):
            run_module(
                "graphmert-train",
                "graphmert.training.cli",
                arguments,
                progress,
                {"MLFLOW_RUN_ID": run_id},
                time_limit_s,
            )
    except OutOfTime as error:
        text = f"{error}; the same flow run, tried again, goes on from the last checkpoint"
        raise OutOfTime(text, error.code) from error
    except CommandFailed as error:
        if error.code in NOT_RESUMED or not (checkpoints / "latest").exists():
            raise
        raise Resumable(str(error), error.code) from error
    complete_metrics(output_dir / "metrics.jsonl", run_id)
    progress.finish()
    point_latest(output_dir)
    checkpoint = (checkpoints / "best").resolve(strict=True)
    return TrainedModel(run_id, str(checkpoint), str(output_dir))


def run_output_dir(folder: Path) -> Path:
    """Return the folder of the current flow run: its start and the end of its id.

    A flow run that is tried again finds the folder that it had.
    """
    mark = mark_of(runtime.flow_run.id)
    if there := sorted(folder.glob(f"*-{mark}")):
        return there[0]
    return folder / f"{runtime.flow_run.scheduled_start_time:%Y%m%d-%H%M%S}-{mark}"


@flow(name="train", flow_run_name="train on {data_path}", validate_parameters=True)
def train(
    *,
    data_path: Path,
    preset: Preset = PRESET,
    num_epochs: NumEpochs = NUM_EPOCHS,
    batch_size: BatchSize = BATCH_SIZE,
    learning_rate: LearningRate = LEARNING_RATE,
    lambda_mlm: MlmWeight = MLM_WEIGHT,
    seed: Seed = SEED,
    time_limit_s: TimeLimit = None,
    runs_dir: Path = Path("runs"),
) -> TrainedModel:
    """Train a model on a data set that is there, validating after every epoch.

    Args:
        data_path: Folder of the data set.
        preset: Size of the model.
        num_epochs: Passes over the training windows.
        batch_size: Windows of one update.
        learning_rate: Highest rate of the schedule; the default suits the tiny preset.
        lambda_mlm: Weight of the MLM loss; the MNM loss has the rest.
        seed: Seed of the first weights, the order and the masks.
        time_limit_s: Seconds after which training is stopped, with a checkpoint to go on from.
        runs_dir: Folder that holds the outputs, each run in a folder of its own.
    """
    request = TrainingRequest(preset, num_epochs, batch_size, learning_rate, lambda_mlm, seed)
    digest = open_dataset(data_path).digest
    with tracked_run(request.run_name(digest), {"preset": preset}) as run_id:
        log_dataset(run_id, data_path)
        output_dir = run_output_dir(runs_dir)
        trained = train_model(request, data_path, output_dir, run_id, time_limit_s)
        log_loss_curves(run_id, output_dir / "metrics.jsonl")
        log_checkpoints(run_id, output_dir)
        return trained
