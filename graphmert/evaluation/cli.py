"""`graphmert-evaluate`: score a checkpoint on a split of a data set, beside its baselines.

    graphmert-evaluate runs/mine/checkpoints/best data/sets/mine --output report.json

prints tables and writes the report. The tasks that tune a copy of the model take minutes on a CPU:
`--tasks` names those that are wanted, without a name none. Choices are made on validation;
`--split test` is for final tables. Exit status: 0 done, 2 bad input.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from graph_builder.dataset import Dataset, open_dataset
from graph_builder.errors import UserError
from graph_builder.manifest import SPLITS
from graph_builder.whole_file import whole_file, write_whole
from graphmert.data.dataset import load_split, load_tokenizer, mask_token_id
from graphmert.evaluation.baselines import score_baselines
from graphmert.evaluation.device import usable_device
from graphmert.evaluation.evaluate import evaluate
from graphmert.evaluation.report import EvaluationReport
from graphmert.evaluation.report_text import as_text
from graphmert.evaluation.tasks import TASKS, TaskData, TaskSettings, run_tasks
from graphmert.evaluation.token_texts import text_ids
from graphmert.evaluation.tuning import TuneSettings
from graphmert.models.graphmert import GraphMERTModel
from graphmert.models.loading import load_model
from graphmert.training.masking import MaskSettings
from graphmert.training.settings import check_positive

EXIT_BAD_INPUT = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        report = evaluate_checkpoint(
            options.checkpoint,
            options.dataset,
            options.split,
            options.batch_size,
            options.device,
            options.tasks,
            _task_settings(options),
        )
        if options.output:
            write_whole(options.output, report.to_json().encode())
        print(f"{options.checkpoint} on the {options.split} split of {options.dataset}\n")
        print(as_text(report))
        if options.figures:
            _save_figures(options.figures, report)
        if options.mlflow:
            _log(options, report)
    except (ValueError, OSError) as error:
        print(f"graphmert-evaluate: {' '.join(str(error).split())}", file=sys.stderr)
        return EXIT_BAD_INPUT
    return 0


def evaluate_checkpoint(
    checkpoint: Path,
    dataset_path: Path,
    split: str,
    batch_size: int = 32,
    device: str = "cpu",
    tasks: Sequence[str] = (),
    task_settings: TaskSettings | None = None,
) -> EvaluationReport:
    """Evaluate a checkpoint folder; raise ValueError for what does not fit.

    The baselines of relations stand beside it, unless the data set has no training windows to fit
    them on. `tasks` are names from `tasks.py`.
    """
    check_positive("batch_size", batch_size)
    dataset = open_dataset(dataset_path)
    on_device = usable_device(device)
    model = load_model(checkpoint)
    _check_fit(model, checkpoint, dataset)
    tokenizer = load_tokenizer(dataset.tokenizer_path)
    masks = MaskSettings(
        mask_token_id=mask_token_id(tokenizer, dataset.tokenizer_path),
        num_relations=model.config.num_relations,
    )
    held_out = load_split(dataset, split)
    model.to(on_device)  # type: ignore[arg-type]  # transformers wraps it without its types
    report = evaluate(model, held_out, masks, batch_size, on_device, text_ids=text_ids(tokenizer))
    train = load_split(dataset, "train") if dataset.manifest.num_windows("train") else None
    if train is not None:
        baselines = score_baselines(train, held_out, masks, model.config.vocab_size)
        report = replace(
            report,
            baselines={name: each.relations for name, each in baselines.items()},
            baseline_measures={name: each.measures for name, each in baselines.items()},
        )
    data = TaskData(held_out, train, tokenizer, masks)
    reports, left_out = run_tasks(tasks, model, data, task_settings or TaskSettings())
    return replace(report, tasks=reports, left_out=left_out)


def _check_fit(model: GraphMERTModel, checkpoint: Path, dataset: Dataset) -> None:
    """Refuse a model that was made for other data."""
    config, shards = model.config, dataset.manifest.shard_format
    if config.layout != dataset.layout:
        raise UserError(
            f"{checkpoint}: a model of {config.num_roots} roots and {config.leaves_per_root} "
            f"leaves a root; {dataset.path} has {shards.num_roots} and {shards.leaves_per_root}"
        )
    if config.num_relations != len(shards.relation_names):
        raise UserError(
            f"{checkpoint}: a model of {config.num_relations} relations; "
            f"{dataset.path} has {len(shards.relation_names)}"
        )
    if load_tokenizer(checkpoint).to_str() != load_tokenizer(dataset.tokenizer_path).to_str():
        raise UserError(
            f"{checkpoint}: its tokenizer is not that of {dataset.path}: "
            "evaluate it on a data set that was built with the model's tokenizer"
        )


def _save_figures(folder: Path, report: EvaluationReport) -> None:
    from graphmert.evaluation.figures import draw_report  # noqa: PLC0415 (matplotlib)

    for name, figure in draw_report(report).items():
        with whole_file(folder / name) as temporary:
            figure.savefig(temporary, format="png", dpi=120)


def _log(options: argparse.Namespace, report: EvaluationReport) -> None:
    """Log the report as an MLflow run of its own."""
    from graphmert.tracking.run import evaluation_name, log_evaluation_run  # noqa: PLC0415

    asked = {name: getattr(options, name) for name in ("checkpoint", "dataset", "split")}
    digest = open_dataset(options.dataset).digest
    name = evaluation_name(options.checkpoint, options.split, digest)
    log_evaluation_run(name, asked, options.dataset, report)


def _task_settings(options: argparse.Namespace) -> TaskSettings:
    tuning = TuneSettings(
        num_updates=options.tune_updates,
        batch_size=options.tune_batch_size,
        learning_rate=options.tune_learning_rate,
    )
    return TaskSettings(options.num_questions, options.num_examples, tuning)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="graphmert-evaluate",
        description="Score a checkpoint on a split of a data set, beside its baselines.",
    )
    defaults = TaskSettings()
    add = parser.add_argument
    add("checkpoint", type=Path, metavar="CHECKPOINT", help="folder of a checkpoint")
    add("dataset", type=Path, metavar="DATASET", help="data-set folder")
    add(
        "--split",
        choices=SPLITS,
        default="validation",
        help="test is for final tables only (default %(default)s)",
    )
    add("--output", type=Path, metavar="FILE", help="write the report there, as JSON")
    add("--figures", type=Path, metavar="FOLDER", help="draw the figures there, as PNG")
    add("--mlflow", action="store_true", help="log the report as an MLflow run")
    add(
        "--tasks",
        nargs="*",
        choices=TASKS,
        default=list(TASKS),
        metavar="TASK",
        help=f"of {', '.join(TASKS)} (default: all)",
    )
    add(
        "--num_questions",
        type=int,
        default=defaults.num_questions,
        help="of each task (default %(default)s)",
    )
    add(
        "--num_examples",
        type=int,
        default=defaults.num_examples,
        help="of the train split for a fine-tune (default %(default)s)",
    )
    for name, value in asdict(defaults.tuning).items():
        if name != "seed":
            flag = f"--tune_{name.removeprefix('num_')}"
            add(flag, type=type(value), default=value, help="(default %(default)s)")
    add("--batch_size", type=int, default=32, help="windows (default %(default)s)")
    add("--device", default="cpu", help="such as cpu or cuda (default %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
