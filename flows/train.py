"""The `train` flow: a data set in, checkpoints and an MLflow run out.

Training is `graphmert-train` in a child process, which logs to the run by its id.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from prefect import flow, get_run_logger, runtime, task

from flows.child_process import run_module
from flows.defaults import BATCH_SIZE, LEARNING_RATE, MLM_WEIGHT, NUM_EPOCHS, PRESET, SEED
from flows.parameters import BatchSize, LearningRate, MlmWeight, NumEpochs, Preset, Seed
from flows.tracked_run import tracked_run
from graph_builder.dataset import open_dataset
from graphmert.tracking.run import log_dataset, log_loss_curves


@dataclass(frozen=True)
class TrainingRequest:
    """How a model is to be trained; the names are those of the trainer's flags."""

    preset: str = PRESET
    num_epochs: int = NUM_EPOCHS
    batch_size: int = BATCH_SIZE  # windows of one update
    learning_rate: float = LEARNING_RATE
    lambda_mlm: float = MLM_WEIGHT
    seed: int = SEED

    def run_name(self, digest: str) -> str:
        """Name a run by what tells it from others."""
        epochs = f"{self.num_epochs} epoch{'s' * (self.num_epochs > 1)} of batch {self.batch_size}"
        rest = f"lr {self.learning_rate:g}, mlm {self.lambda_mlm:g}, seed {self.seed}"
        return f"{self.preset}, data {digest[:8]}, {epochs}, {rest}"


@dataclass(frozen=True)
class TrainedModel:
    run_id: str  # of MLflow
    checkpoint: str  # folder of the best checkpoint on validation
    output_dir: str


@task(task_run_name="train")
def train_model(
    request: TrainingRequest, data_path: Path, output_dir: Path, run_id: str
) -> TrainedModel:
    """Train in a child process and return where the best checkpoint is."""
    flags = {"data_path": data_path, "output_dir": output_dir, **asdict(request)}
    run_module(
        "graphmert-train",
        "graphmert.training.cli",
        [part for name, value in flags.items() for part in (f"--{name}", str(value))],
        get_run_logger().info,
        {"MLFLOW_RUN_ID": run_id},
    )
    point_latest(output_dir)
    checkpoint = (output_dir / "checkpoints" / "best").resolve(strict=True)
    return TrainedModel(run_id, str(checkpoint), str(output_dir))


def new_output_dir(folder: Path) -> Path:
    """Return a folder for the current flow run: its start and the head of its id."""
    start = runtime.flow_run.scheduled_start_time
    return folder / f"{start:%Y%m%d-%H%M%S}-{str(runtime.flow_run.id)[:8]}"


def point_latest(output_dir: Path) -> None:
    """Let the link `latest` beside a run's folder point to it."""
    link = output_dir.with_name(f"latest-{output_dir.name}")
    link.symlink_to(output_dir.name)
    link.replace(output_dir.with_name("latest"))


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
        runs_dir: Folder that holds the outputs, each run in a folder of its own.
    """
    request = TrainingRequest(preset, num_epochs, batch_size, learning_rate, lambda_mlm, seed)
    digest = open_dataset(data_path).digest
    with tracked_run(request.run_name(digest), {"preset": preset}) as run_id:
        log_dataset(run_id, data_path)
        output_dir = new_output_dir(runs_dir)
        trained = train_model(request, data_path, output_dir, run_id)
        log_loss_curves(run_id, output_dir / "metrics.jsonl")
        return trained
