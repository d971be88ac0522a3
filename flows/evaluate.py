"""The `evaluate` flow: a checkpoint and a data set in, a report out, in a file and in MLflow."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from prefect import flow, get_run_logger, task

from flows.child_process import CommandFailed, run_module
from flows.gpus import gpu_slots
from flows.parameters import EvaluationTask, Split
from flows.tracked_run import tracked_run
from graph_builder.dataset import open_dataset
from graphmert.evaluation.report import EvaluationReport
from graphmert.tracking.run import evaluation_name, log_dataset, log_evaluation
from graphmert.tracking.store import open_client

FIGURE_MODULE = "graphmert.tracking.chain_graph_figure"
PREFIX = "evaluation"  # of the metrics of the checkpoint that a run hands over


@dataclass(frozen=True)
class Evaluation:
    report_path: str
    split: str

    @property
    def figure_path(self) -> Path:
        """Where the drawn chain graph is, if a window was small enough to be drawn."""
        return Path(self.report_path).with_name("chain_graph.png")

    def read(self) -> EvaluationReport:
        return EvaluationReport.from_json(Path(self.report_path).read_text(encoding="utf-8"))


@task(task_run_name="evaluate {checkpoint.name}")
def evaluate_checkpoint(
    checkpoint: Path, data_path: Path, split: str, report_path: Path, tasks: Sequence[str] = ()
) -> Evaluation:
    """Evaluate a checkpoint in a child process; the report lands in `report_path`."""
    log = get_run_logger().info
    with gpu_slots(1):
        evaluation = evaluate_in_child(checkpoint, data_path, split, report_path, log, tasks)
    draw_chain_graph(checkpoint, data_path, evaluation.figure_path, log)
    return evaluation


def evaluate_in_child(
    checkpoint: Path,
    data_path: Path,
    split: str,
    report_path: Path,
    pass_on: Callable[[str], None],
    tasks: Sequence[str] = (),
) -> Evaluation:
    """Evaluate a checkpoint at its objectives and at `tasks`, of those that the command has beside
    them; `pass_on` gets the lines of the command."""
    arguments = [str(checkpoint), str(data_path), "--split", split, "--output", str(report_path)]
    arguments += ["--tasks", *tasks]
    run_module("graphmert-evaluate", "graphmert.evaluation.cli", arguments, pass_on)
    return Evaluation(str(report_path), split)


def draw_chain_graph(
    checkpoint: Path, data_path: Path, figure_path: Path, pass_on: Callable[[str], None]
) -> None:
    """Draw one window with the model's answers; without a window to draw, say so and go on."""
    arguments = [str(checkpoint), str(data_path), str(figure_path)]
    try:
        run_module("chain-graph-figure", FIGURE_MODULE, arguments, pass_on)
    except CommandFailed as error:
        pass_on(str(error))


def log_to_run(run_id: str, evaluation: Evaluation) -> None:
    """Log the report and the drawn chain graph to an MLflow run."""
    log_evaluation(run_id, evaluation.read(), PREFIX)
    if evaluation.figure_path.exists():
        open_client().log_artifact(run_id, str(evaluation.figure_path), PREFIX)


@flow(name="evaluate", flow_run_name="evaluate {checkpoint}", validate_parameters=True)
def evaluate(
    *,
    checkpoint: Path,
    data_path: Path,
    split: Split = "validation",
    report_path: Path = Path("report.json"),
    tasks: tuple[EvaluationTask, ...] = (),
) -> Evaluation:
    """Evaluate a checkpoint on one split of a data set and log the report as an MLflow run.

    Args:
        checkpoint: Folder of the checkpoint.
        data_path: Folder of the data set.
        split: Split to evaluate on; test is for final tables only.
        report_path: File that the report is written to, as JSON.
        tasks: What is asked beside the model's own objectives; all but the first two tune a copy of
            the model, which takes minutes.
    """
    digest = open_dataset(data_path).digest
    name = evaluation_name(checkpoint, split, digest)
    with tracked_run(name, {"data.digest": digest, "checkpoint": checkpoint}) as run_id:
        log_dataset(run_id, data_path, "evaluation")
        evaluation = evaluate_checkpoint(checkpoint, data_path, split, report_path, tasks)
        log_to_run(run_id, evaluation)
    return evaluation
