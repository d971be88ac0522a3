"""The `evaluate` flow: a checkpoint and a data set in, a report out, in a file and in MLflow."""

from dataclasses import dataclass
from pathlib import Path

from prefect import flow, get_run_logger, task

from flows.child_process import run_module
from flows.parameters import Split
from flows.tracked_run import tracked_run
from graph_builder.dataset import open_dataset
from graphmert.evaluation.report import EvaluationReport
from graphmert.tracking.run import log_evaluation

PREFIX = "evaluation"  # of the metrics of the checkpoint that a run hands over


@dataclass(frozen=True)
class Evaluation:
    report_path: str
    split: str

    def read(self) -> EvaluationReport:
        return EvaluationReport.from_json(Path(self.report_path).read_text(encoding="utf-8"))


@task(task_run_name="evaluate {checkpoint.name}")
def evaluate_checkpoint(
    checkpoint: Path, data_path: Path, split: str, report_path: Path
) -> Evaluation:
    """Evaluate a checkpoint in a child process; the report lands in `report_path`."""
    run_module(
        "graphmert-evaluate",
        "graphmert.evaluation.cli",
        [
            *map(str, (checkpoint, data_path)),
            "--split",
            split,
            "--output",
            str(report_path),
            "--tasks",
        ],
        get_run_logger().info,
    )
    return Evaluation(str(report_path), split)


@flow(name="evaluate", flow_run_name="evaluate {checkpoint}", validate_parameters=True)
def evaluate(
    *,
    checkpoint: Path,
    data_path: Path,
    split: Split = "validation",
    report_path: Path = Path("report.json"),
) -> Evaluation:
    """Evaluate a checkpoint on one split of a data set and log the report as an MLflow run.

    Args:
        checkpoint: Folder of the checkpoint.
        data_path: Folder of the data set.
        split: Split to evaluate on; test is for final tables only.
        report_path: File that the report is written to, as JSON.
    """
    digest = open_dataset(data_path).digest
    name = f"evaluation of {checkpoint.resolve().name} on {split}, data {digest[:8]}"
    with tracked_run(name, {"data.digest": digest, "checkpoint": checkpoint}) as run_id:
        evaluation = evaluate_checkpoint(checkpoint, data_path, split, report_path)
        log_evaluation(run_id, evaluation.read(), PREFIX)
    return evaluation
