"""The `build-and-train` flow: sources in; a trained, evaluated and registered model out.

`python -m flows.build_and_train` runs it from the command line, `prefect deployment run` on a
worker.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from mlflow.exceptions import MlflowException
from prefect import flow, get_run_logger
from prefect.artifacts import create_link_artifact, create_markdown_artifact

from flows.build_dataset import STATISTICS_NAME, build_latest
from flows.dataset_request import BuiltDataset, DatasetRequest
from flows.defaults import (
    BATCH_SIZE,
    LEARNING_RATE,
    MLM_WEIGHT,
    NUM_EPOCHS,
    PRESET,
    SEED,
    TEST_SOURCES,
    TRAIN_SOURCES,
    VALIDATION_SOURCES,
    VOCAB_SIZE,
)
from flows.evaluate import evaluate_checkpoint, log_to_run
from flows.extension import extended_request
from flows.mlflow_server import check_mlflow
from flows.parameters import (
    BatchSize,
    LearningRate,
    MlmWeight,
    NumEpochs,
    Preset,
    Seed,
    SourceSpecs,
    StartFrom,
    TimeLimit,
    VocabularySize,
)
from flows.register import Registration, ValidationData, register
from flows.summary import format_summary, read_summary
from flows.tracked_run import origin, tracked_run
from flows.train import TrainingRequest, run_output_dir, train_model
from graph_builder.dataset import open_dataset
from graph_builder.errors import UserError
from graph_builder.manifest import MANIFEST_NAME
from graphmert.tracking.checkpoints import log_checkpoints
from graphmert.tracking.registry import Version, download_checkpoint, find_champion
from graphmert.tracking.run import dataset_tags, log_dataset, log_loss_curves, run_page
from graphmert.tracking.store import open_client


@dataclass(frozen=True)
class PipelineResult:
    run_id: str  # of MLflow: holds every number of the run
    dataset: BuiltDataset
    registration: Registration


@flow(name="build-and-train", flow_run_name="build-and-train", validate_parameters=True)
def build_and_train(
    *,
    train: SourceSpecs = TRAIN_SOURCES,
    validation: SourceSpecs = VALIDATION_SOURCES,
    test: SourceSpecs = TEST_SOURCES,
    vocab_size: VocabularySize = VOCAB_SIZE,
    preset: Preset = PRESET,
    num_epochs: NumEpochs = NUM_EPOCHS,
    batch_size: BatchSize = BATCH_SIZE,
    learning_rate: LearningRate = LEARNING_RATE,
    lambda_mlm: MlmWeight = MLM_WEIGHT,
    seed: Seed = SEED,
    add_sources: SourceSpecs = (),
    start_from: StartFrom = None,
    time_limit_s: TimeLimit = None,
    data_dir: Path = Path("data"),
    runs_dir: Path = Path("runs"),
) -> PipelineResult:
    """Build a data set, train on it, evaluate the best checkpoint and register it.

    Args:
        train: Sources to train on: path:DIR, installed:NAME, stdlib, git+URL@REV or
            pypi:NAME==VERSION.
        validation: Sources for every choice and for the champion gate; none of them is trained on.
        test: Sources for final tables only.
        vocab_size: Number of token ids of the tokenizer, which is trained on the training sources.
        preset: Size of the model.
        num_epochs: Passes over the training windows.
        batch_size: Windows of one update.
        learning_rate: Highest rate of the schedule; the default suits the tiny preset.
        lambda_mlm: Weight of the MLM loss; the MNM loss has the rest.
        seed: Seed of the first weights, the order and the masks.
        add_sources: Sources to add to the training sources of the last data set, whose other
            sources, tokenizer and settings stay; then train, validation, test and vocab_size
            are not looked at.
        start_from: "scratch" starts with random weights, "champion" with those of the registered
            champion, whose size the model then has. Left out: the champion where sources are
            added, scratch otherwise.
        time_limit_s: Seconds after which training is stopped, with a checkpoint to go on from.
        data_dir: Folder that holds the data sets, each in a folder of its own.
        runs_dir: Folder that holds the checkpoints and reports, each run in a folder of its own.
    """
    check_mlflow()
    sources = DatasetRequest(train, validation, test, vocab_size)
    if add_sources:
        sources = extended_request(data_dir, add_sources)
    champion = find_start(start_from or ("champion" if add_sources else "scratch"))
    dataset = build_latest(sources, data_dir)
    data_path, output_dir = Path(dataset.path), run_output_dir(runs_dir)
    training = TrainingRequest(preset, num_epochs, batch_size, learning_rate, lambda_mlm, seed)
    if champion is not None:
        training = replace(training, init_from=start_weights(champion, output_dir / "start"))
    parameters = {
        "preset": "of the champion" if champion else preset,
        "start_from": f"champion, version {champion.number}" if champion else "scratch",
        "sources": sources.parameters(),
    }
    with tracked_run(training.run_name(dataset.digest), parameters) as run_id:
        record_dataset(run_id, dataset)
        trained = train_model(training, data_path, output_dir, run_id, time_limit_s)
        log_loss_curves(run_id, output_dir / "metrics.jsonl")
        evaluation = evaluate_checkpoint(
            Path(trained.checkpoint), data_path, "validation", output_dir / "report.json"
        )
        log_to_run(run_id, evaluation)
        log_checkpoints(run_id, output_dir, leave_out=Path(trained.checkpoint))
        tags = {**dataset_tags(open_dataset(data_path).manifest), **origin()}
        registration = register(trained, evaluation, ValidationData(data_path, sources), tags)
    show_summary(run_id, registration.version)
    return PipelineResult(run_id, dataset, registration)


def find_start(start_from: str) -> Version | None:
    """Return the champion to start from; None: from scratch, said aloud where it was not asked."""
    if start_from == "scratch":
        return None
    champion = find_champion()
    if champion is None:
        get_run_logger().info("there is no champion yet: training starts from scratch")
    return champion


def start_weights(champion: Version, folder: Path) -> str:
    """Fetch the champion's checkpoint; raise UserError where it cannot be had."""
    try:
        return str(download_checkpoint(champion, folder))
    except (MlflowException, OSError) as error:
        raise UserError(
            f"the champion, version {champion.number}, cannot be read: {error}: "
            'start with start_from="scratch"'
        ) from error


def record_dataset(run_id: str, dataset: BuiltDataset) -> None:
    """Log the data set as the run's input, with its manifest and whether it was built for it."""
    folder = Path(dataset.path)
    log_dataset(run_id, folder)
    client = open_client()
    for name in (MANIFEST_NAME, STATISTICS_NAME):
        client.log_artifact(run_id, str(folder / name), "data_set")
    show_link(run_id)
    client.set_tag(run_id, "data_set_path", dataset.path)
    client.set_tag(run_id, "data_set_reused", str(dataset.is_reused).lower())


def show_link(run_id: str) -> None:
    """Lead from the Prefect run to the data set's report in MLflow, where that is a server."""
    if page := run_page(run_id):
        create_link_artifact(
            f"{page}/artifacts/data_set/{STATISTICS_NAME}",
            link_text="the data set",
            description="The report on the data set, in MLflow",
        )


def show_summary(run_id: str, version: str) -> None:
    """Put the summary on the Prefect run's page; the command line prints the same."""
    text = format_summary(read_summary(run_id, version))
    create_markdown_artifact(f"```text{text}\n```", description="Summary")
