"""The evaluation report as tables of plain text, for a terminal."""

from graphmert.evaluation.measures import Measures, TaskReport
from graphmert.evaluation.metrics import RelationReport, RelationScores
from graphmert.evaluation.report import EvaluationReport

WIDTH = 20  # of a column


def as_text(report: EvaluationReport) -> str:
    """Return the report as tables of plain text."""
    relations = report.relations.every
    lines = [
        f"{report.num_windows:,} windows",
        f"masked tokens     {report.num_masked_tokens:>9,}   loss {report.mlm_loss:.4f}   "
        f"{_perplexity(report, 'perplexity')}accuracy {report.mlm_accuracy:.1%}   "
        f"bits per byte {report.bits_per_byte:.4f}",
        f"  by knowledge *  {report.num_knowledge_only_tokens:>9,}   "
        f"{_perplexity(report, 'knowledge_only_perplexity')}"
        f"accuracy {report.knowledge_only_accuracy:.1%}",
        f"masked relations  {relations.num_triples:>9,}   loss {report.mnm_loss:.4f}   "
        f"calibration error {relations.calibration_error or 0.0:.4f}",
        "* tokens whose text a visible knowledge leaf shows and the visible window does not",
        "",
        *_comparison({"model": report.relations, **report.baselines}),
        "",
        *_relation_table(relations),
        *_task_tables(report),
    ]
    return "\n".join(lines)


def _perplexity(report: EvaluationReport, name: str) -> str:
    return f"perplexity {report.derived[name]:,.1f}   " if name in report.derived else ""


def _comparison(rows: dict[str, RelationReport]) -> list[str]:
    """Return accuracy and macro-F1 of each row, over all triples and over each kind."""
    kinds = ("every", "local", "knowledge")
    counts = [getattr(rows["model"], kind).num_triples for kind in kinds]
    titles = "".join(
        f"{kind} ({count:,})".rjust(WIDTH) for kind, count in zip(kinds, counts, strict=True)
    )
    lines = [f"{'accuracy / macro-F1':<20}{titles}"]
    for name, row in rows.items():
        scores: list[RelationScores] = [getattr(row, kind) for kind in kinds]
        cells = [f"{each.accuracy:.1%} / {each.macro_f1:.3f}" for each in scores]
        lines.append(f"{name:<20}" + "".join(f"{cell:>{WIDTH}}" for cell in cells))
    return lines


def _relation_table(scores: RelationScores) -> list[str]:
    lines = [f"{'relation':<20}{'support':>9}{'precision':>11}{'recall':>9}{'F1':>8}"]
    lines.extend(
        f"{name:<20}{each.support:>9,}{each.precision:>11.3f}{each.recall:>9.3f}{each.f1:>8.3f}"
        for name, each in scores.per_relation.items()
    )
    return lines


def _task_tables(report: EvaluationReport) -> list[str]:
    """Return a table for each task."""
    lines = [line for name, task in report.tasks.items() for line in _task_table(name, task)]
    lines.extend(f"{name}: left out: {reason}" for name, reason in report.left_out.items())
    return lines


def _task_table(name: str, task: TaskReport) -> list[str]:
    """Return a row for each figure: how many questions, the model's mean, the baselines'."""
    columns: dict[str, Measures] = {"model": task.measures, **task.baselines}
    counts = "".join(f", {title} {value:,.6g}" for title, value in task.counts.items())
    titles = "".join(f"{column:>{WIDTH}}" for column in columns)
    lines = ["", f"{name}{counts}", f"{'':<24}{'questions':>10}{titles}"]
    for title, measure in task.measures.items():
        cells = "".join(f"{_cell(title, each):>{WIDTH}}" for each in columns.values())
        lines.append(f"{title:<24}{measure.num_questions:>10,}{cells}")
    return lines


def _cell(title: str, measures: Measures) -> str:
    if title not in measures or not measures[title].num_questions:
        return "-"
    return f"{measures[title].mean:.4f}"
