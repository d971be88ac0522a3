"""Registering a trained model: a version, the present champion evaluated again, and the gate.

The champion meets the candidate on the same validation sources. Where their tokenizers differ, the
champion reads these sources through its own, in a data set built for the purpose; bits for each
masked byte do not depend on the tokenizer.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from mlflow.exceptions import MlflowException
from prefect import get_run_logger, task

from flows.build_dataset import DatasetRequest, build
from flows.child_process import CommandFailed
from flows.evaluate import Evaluation, evaluate_checkpoint
from flows.train import TrainedModel
from graph_builder.dataset import open_dataset
from graph_builder.tokenizer import fingerprint, load_tokenizer
from graphmert.evaluation.report import EvaluationReport
from graphmert.tracking.registry import (
    Version,
    apply,
    decide,
    download_checkpoint,
    find_champion,
    register_checkpoint,
)


@dataclass(frozen=True)
class Registration:
    version: str  # of the registered model
    alias: str  # "champion" or "candidate"
    reason: str  # what the gate says


@dataclass(frozen=True)
class ValidationData:
    """A data set with the request that it was built from, to build its validation split again."""

    path: Path
    request: DatasetRequest


@task(task_run_name="register")
def register(
    trained: TrainedModel, evaluation: Evaluation, data: ValidationData, tags: dict[str, str]
) -> Registration:
    """Make the checkpoint a version of the registered model and let the gate decide its alias."""
    champion = find_champion()
    version = register_checkpoint(trained.run_id, Path(trained.checkpoint), tags)
    report, error = None, None
    if champion is not None:
        get_run_logger().info("evaluating the champion, version %s, again", champion.number)
        try:
            report = evaluate_champion(champion, data, Path(trained.output_dir) / "champion")
        except (CommandFailed, MlflowException, OSError, ValueError) as caught:
            error = " ".join(str(caught).split())
    decision = decide(evaluation.read(), report, error)
    apply(version, decision)
    return Registration(version.number, decision.alias, decision.reason)


def evaluate_champion(champion: Version, data: ValidationData, folder: Path) -> EvaluationReport:
    """Evaluate the champion on the validation sources; raises what says that it cannot be read."""
    checkpoint = download_checkpoint(champion, folder)
    dataset = open_dataset(data.path)
    path = data.path
    if fingerprint(load_tokenizer(checkpoint)) != dataset.manifest.tokenizer.fingerprint:
        # The test sources come along: windows that they share with validation are not in it.
        request = replace(data.request, train=(), tokenizer=str(checkpoint))
        path = Path(build(request, folder / "validation").path)
    return evaluate_checkpoint(checkpoint, path, "validation", folder / "report.json").read()
