"""`graphmert-evaluate`: score a checkpoint on a split of a data set, beside both baselines.

    graphmert-evaluate runs/mine/checkpoints/best data/sets/mine --output report.json

prints tables and writes the report. Choices are made on validation; `--split test` is for final
tables. Exit status: 0 done, 2 bad input.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from graph_builder.dataset import Dataset, open_dataset
from graph_builder.errors import UserError
from graph_builder.manifest import SPLITS
from graph_builder.whole_file import whole_file, write_whole
from graphmert.data.dataset import load_split, load_tokenizer, mask_token_id
from graphmert.evaluation.baselines import score_baselines
from graphmert.evaluation.device import usable_device
from graphmert.evaluation.evaluate import evaluate
from graphmert.evaluation.metrics import RelationReport, RelationScores
from graphmert.evaluation.report import EvaluationReport
from graphmert.evaluation.token_texts import text_ids
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
            options.checkpoint, options.dataset, options.split, options.batch_size, options.device
        )
        if options.output:
            write_whole(options.output, report.to_json().encode())
        if options.figure:
            _save_figure(options.figure, report)
    except (ValueError, OSError) as error:
        print(f"graphmert-evaluate: {' '.join(str(error).split())}", file=sys.stderr)
        return EXIT_BAD_INPUT
    print(f"{options.checkpoint} on the {options.split} split of {options.dataset}\n")
    print(as_text(report))
    return 0


def evaluate_checkpoint(
    checkpoint: Path, dataset_path: Path, split: str, batch_size: int = 32, device: str = "cpu"
) -> EvaluationReport:
    """Evaluate a checkpoint folder; raise ValueError for what does not fit.

    Both baselines stand beside it, unless the data set has no training windows to fit them on.
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
    if dataset.manifest.num_windows("train") == 0:
        return report
    train = load_split(dataset, "train")
    baselines = score_baselines(train, held_out, masks, model.config.vocab_size)
    return replace(
        report,
        baselines={name: each.relations for name, each in baselines.items()},
        baseline_measures={name: each.measures for name, each in baselines.items()},
    )


def as_text(report: EvaluationReport) -> str:
    """Return the report as tables of plain text."""
    lines = [
        f"{report.num_windows:,} windows",
        f"masked tokens     {report.num_masked_tokens:>9,}   loss {report.mlm_loss:.4f}   "
        f"accuracy {report.mlm_accuracy:.1%}   bits per byte {report.bits_per_byte:.4f}",
        f"  by knowledge *  {report.num_knowledge_only_tokens:>9,}   "
        f"accuracy {report.knowledge_only_accuracy:.1%}",
        f"masked relations  {report.relations.every.num_triples:>9,}   loss {report.mnm_loss:.4f}",
        "* tokens whose text a visible knowledge leaf shows and the visible window does not",
        "",
        *_comparison({"model": report.relations, **report.baselines}),
        "",
        *_relation_table(report.relations.every),
    ]
    return "\n".join(lines)


def _comparison(rows: dict[str, RelationReport]) -> list[str]:
    """Return accuracy and macro-F1 of each row, over all triples and over each kind."""
    width = 20
    kinds = ("every", "local", "knowledge")
    counts = [getattr(rows["model"], kind).num_triples for kind in kinds]
    titles = "".join(
        f"{kind} ({count:,})".rjust(width) for kind, count in zip(kinds, counts, strict=True)
    )
    lines = [f"{'accuracy / macro-F1':<20}{titles}"]
    for name, row in rows.items():
        scores: list[RelationScores] = [getattr(row, kind) for kind in kinds]
        cells = [f"{each.accuracy:.1%} / {each.macro_f1:.3f}" for each in scores]
        lines.append(f"{name:<20}" + "".join(f"{cell:>{width}}" for cell in cells))
    return lines


def _relation_table(scores: RelationScores) -> list[str]:
    lines = [f"{'relation':<20}{'support':>9}{'precision':>11}{'recall':>9}{'F1':>8}"]
    lines.extend(
        f"{name:<20}{each.support:>9,}{each.precision:>11.3f}{each.recall:>9.3f}{each.f1:>8.3f}"
        for name, each in scores.per_relation.items()
    )
    return lines


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


def _save_figure(path: Path, report: EvaluationReport) -> None:
    from graphmert.evaluation.figures import draw_confusion_matrix  # noqa: PLC0415 (matplotlib)

    with whole_file(path) as temporary:
        draw_confusion_matrix(report.relations.every).savefig(temporary, format="png", dpi=120)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="graphmert-evaluate",
        description="Score a checkpoint on a split of a data set, beside both baselines.",
    )
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
    add("--figure", type=Path, metavar="FILE", help="draw the confusion matrix there, as PNG")
    add("--batch_size", type=int, default=32, help="windows (default %(default)s)")
    add("--device", default="cpu", help="such as cpu or cuda (default %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
