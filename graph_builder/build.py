"""Build a data set: from source specs to a folder of shards with a manifest.

    plan the splits and resolve the sources -> the same inputs as before: done
    -> tokenizer -> parse new files -> a shard for each batch -> drop duplicates -> manifest

Parsing and linking run over batches of files, in parallel. A build that was killed goes on where
it stopped, and gives what it would have given.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from graph_builder.assembly import Newcomer, assemble
from graph_builder.build_folder import BuildFolder, check_output, open_build_folder
from graph_builder.build_plan import BuildPlan, plan_build
from graph_builder.build_settings import BuildSettings
from graph_builder.build_tokenizer import BuildTokenizer, make_tokenizer
from graph_builder.dataset import Dataset
from graph_builder.errors import UserError
from graph_builder.file_batch import file_batches, parse_batch
from graph_builder.garbage import without_collection
from graph_builder.progress import Amount, with_progress
from graph_builder.source_report import SourceReport, joined
from graph_builder.source_task import SourceTask, build_batch
from graph_builder.sources import ResolvedSource
from graph_builder.workers import RunTasks, save_memory, task_runner

Say = Callable[[str], None]


@dataclass(frozen=True)
class BuildSummary:
    dataset: Dataset
    is_reused: bool  # nothing had changed, so nothing was built


def build_dataset(
    settings: BuildSettings, say: Say = lambda line: None, run: RunTasks | None = None
) -> BuildSummary:
    """Build the data set that `settings` describe, or find that it is there already.

    say: gets a line for each step, and for each file that is left out.
    run: runs a function over many tasks, None: on processes of this machine; see `workers.py`.
    Raises UserError for bad input, before or without changing what is there.
    """
    save_memory()
    check_output(settings.output)
    plan = plan_build(settings, say)
    if plan.base is not None and plan.is_done:
        return BuildSummary(plan.base, is_reused=True)
    if plan.base is not None and not plan.is_extension:
        say(f"{settings.output}: other code, other settings or fewer sources: building it anew")
    with (
        without_collection(),
        open_build_folder(settings.output) as folder,
        nullcontext(run) if run else task_runner(settings.num_processes) as run_tasks,
    ):
        tokenizer = make_tokenizer(plan, folder, say)
        made_by = plan.made_by(tokenizer.shard_format(settings.layout))
        keys = {shard.key(made_by): shard for shard in plan.shards}
        kept = plan.kept(set(keys))
        missing = keys.keys() - {shard.key for shard in kept}
        tasks = {
            key: _tasks(plan, key, shard.source, folder, tokenizer)
            for key, shard in keys.items()
            if key in missing
        }
        reports = _build_sources(tasks, run_tasks, say)
        newcomers = [
            Newcomer(keys[key], key, [task.windows_path for task in each], reports[key])
            for key, each in tasks.items()
        ]
        manifest = assemble(plan, kept, newcomers, tokenizer, run_tasks)
    return BuildSummary(Dataset(settings.output, manifest), is_reused=False)


def _tasks(
    plan: BuildPlan,
    key: str,
    source: ResolvedSource,
    folder: BuildFolder,
    tokenizer: BuildTokenizer,
) -> list[SourceTask]:
    """Return what is to be done for one source, in the order of its files."""
    return [
        SourceTask(
            batch=batch,
            revision=source.revision,
            tokenizer_path=tokenizer.path,
            settings=plan.settings.chain_settings,
            windows_path=folder.windows(key, number),
            report_path=folder.report(key, number),
        )
        for number, batch in enumerate(file_batches(source, plan.parsed_cache))
    ]


def _build_sources(
    tasks: dict[str, list[SourceTask]], run: RunTasks, say: Say
) -> dict[str, SourceReport]:
    """Parse and link sources, the largest first; return the report of each."""
    largest_first = sorted(tasks, key=lambda key: (-_amount(tasks[key]).num_bytes, key))
    every = [task for key in largest_first for task in tasks[key]]
    new = [task for task in every if not task.is_done]
    parsed = run(parse_batch, [task.batch for task in new])
    for _ in with_progress(parsed, "parsing", _amount(new), lambda pair: pair[0].amount, say):
        pass
    parts: dict[str, dict[int, SourceReport]] = defaultdict(dict)
    reports: dict[str, SourceReport] = {}
    places = {task.report_path: (key, at) for key in tasks for at, task in enumerate(tasks[key])}
    built = run(build_batch, every)
    for task, part in with_progress(
        built, "linking", _amount(every), lambda pair: pair[0].batch.amount, say
    ):
        key, at = places[task.report_path]
        parts[key][at] = part
        if len(parts[key]) == len(tasks[key]):
            label = task.batch.all.label
            reports[key] = joined([parts[key][at] for at in range(len(tasks[key]))])
            _tell(label, reports[key], say)
    return reports


def _amount(tasks: Sequence[SourceTask]) -> Amount:
    return sum((task.batch.amount for task in tasks), Amount())


def _tell(label: str, report: SourceReport, say: Say) -> None:
    """Say what came of a source; raise UserError where nothing did."""
    if len(report.rejected) == report.num_files:
        reasons = ", ".join(sorted({reason for _, reason, _ in report.rejected}))
        raise UserError(f"{label}: none of its Python files can be used ({reasons})")
    say(f"{label}: {report.num_files} files, {report.num_windows} windows")
    for path, reason, detail in report.rejected:
        say(f"{label}: {path}: left out, {reason}: {detail}")
    for path, number in report.syntax_errors:
        say(f"{label}: {path}: {number} syntax errors, its sound parts are used")
