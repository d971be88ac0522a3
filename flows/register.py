"""Registering a trained model: a version, the present champion evaluated again, and the gate.

The champion meets the candidate on the same validation sources. Where their tokenizers differ, the
champion reads these sources through its own, in a data set built for the purpose; bits for each
masked byte do not depend on the tokenizer.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from mlflow.exceptions import MlflowException
from prefect import get_run_logger, task

from flows.build_dataset import build_in_child
from flows.child_process import CommandFailed
from flows.dataset_request import DatasetRequest
from flows.evaluate import Evaluation, evaluate_in_child
from flows.gpus import gpu_slots
from flows.train import TrainedModel
from graph_builder.dataset import open_dataset
from graph_builder.tokenizer import fingerprint, load_tokenizer
from graphmert.evaluation.report import EvaluationReport
from graphmert.tracking.registry import (
    CHAMPION,
    Version,
    apply,
    decide,
    download_checkpoint,
    find_champion,
    register_checkpoint,
)
from graphmert.tracking.run import log_evaluation, tag_run


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
    log = get_run_logger().info
    champion = find_champion()
    version = register_checkpoint(trained.run_id, Path(trained.checkpoint), tags)
    report, error = None, None
    if champion is not None:
        log("evaluating the champion, version %s, again", champion.number)
        try:
            with gpu_slots(1):
                report = evaluate_champion(
                    champion, data, Path(trained.output_dir) / "champion", log
                )
        except (CommandFailed, MlflowException, OSError, ValueError) as caught:
            error = " ".join(str(caught).split())
    if champion is not None and report is not None:
        log_evaluation(trained.run_id, report, CHAMPION)
        tag_run(trained.run_id, {"champion_version": champion.number})
    decision = decide(evaluation.read(), report, error)
    apply(version, decision)
    return Registration(version.number, decision.alias, decision.reason)


def evaluate_champion(
    champion: Version, data: ValidationData, folder: Path, pass_on: Callable[[str], None]
) -> EvaluationReport:
    """Evaluate the champion on the validation sources; raises what says that it cannot be read."""
    checkpoint = download_checkpoint(champion, folder)
    dataset = open_dataset(data.path)
    path = data.path
    if fingerprint(load_tokenizer(checkpoint)) != dataset.manifest.tokenizer.fingerprint:
        # The test sources come along: windows that they share with validation are not in it.
        request = replace(data.request, train=(), tokenizer=str(checkpoint), extends=None)
        path = Path(build_in_child(request, folder / "validation", pass_on).path)
    report_path = folder / "report.json"
    return evaluate_in_child(checkpoint, path, "validation", report_path, pass_on).read()
