"""The `build-and-train` flow: sources in; a trained, evaluated and registered model out.

`python -m flows.build_and_train` runs it from the command line, `prefect deployment run` on a
worker.
"""

from dataclasses import dataclass
from pathlib import Path

from prefect import flow

from flows.build_dataset import BuiltDataset, DatasetRequest, build
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
from flows.evaluate import PREFIX, evaluate_checkpoint
from flows.parameters import (
    BatchSize,
    LearningRate,
    MlmWeight,
    NumEpochs,
    Preset,
    Seed,
    SourceSpecs,
    VocabularySize,
)
from flows.register import Registration, ValidationData, register
from flows.tracked_run import origin, tracked_run
from flows.train import TrainingRequest, new_output_dir, train_model
from graph_builder.manifest import MANIFEST_NAME
from graphmert.tracking.run import log_dataset, log_evaluation, log_loss_curves
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
        data_dir: Folder that holds the data sets, each in a folder of its own.
        runs_dir: Folder that holds the checkpoints and reports, each run in a folder of its own.
    """
    sources = DatasetRequest(train, validation, test, vocab_size)
    training = TrainingRequest(preset, num_epochs, batch_size, learning_rate, lambda_mlm, seed)
    dataset = build(sources, data_dir / sources.name)
    parameters = {"preset": preset, "sources": sources.parameters()}
    with tracked_run(training.run_name(dataset.digest), parameters) as run_id:
        record_dataset(run_id, dataset)
        data_path, output_dir = Path(dataset.path), new_output_dir(runs_dir)
        trained = train_model(training, data_path, output_dir, run_id)
        log_loss_curves(run_id, output_dir / "metrics.jsonl")
        evaluation = evaluate_checkpoint(
            Path(trained.checkpoint), data_path, "validation", output_dir / "report.json"
        )
        log_evaluation(run_id, evaluation.read(), PREFIX)
        tags = {"data_set_digest": dataset.digest, **origin()}
        registration = register(trained, evaluation, ValidationData(data_path, sources), tags)
    return PipelineResult(run_id, dataset, registration)


def record_dataset(run_id: str, dataset: BuiltDataset) -> None:
    """Log the data set as the run's input, with its manifest and whether it was built for it."""
    folder = Path(dataset.path)
    log_dataset(run_id, folder)
    client = open_client()
    client.log_artifact(run_id, str(folder / MANIFEST_NAME), "data_set")
    client.set_tag(run_id, "data_set_path", dataset.path)
    client.set_tag(run_id, "data_set_reused", str(dataset.is_reused).lower())
