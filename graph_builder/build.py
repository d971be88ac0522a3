"""Build a data set: from source specs to a folder of shards with a manifest.

    plan the splits and resolve the sources -> the same inputs as before: done
    -> tokenizer -> a shard for each source, in parallel -> drop duplicates -> manifest

A build that was killed goes on where it stopped, and gives what it would have given.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tqdm import tqdm

from graph_builder.assembly import Newcomer, assemble
from graph_builder.build_folder import BuildFolder, check_output, open_build_folder
from graph_builder.build_plan import BuildPlan, PlannedShard, plan_build
from graph_builder.build_settings import BuildSettings
from graph_builder.build_tokenizer import BuildTokenizer, make_tokenizer
from graph_builder.dataset import Dataset
from graph_builder.source_report import SourceReport
from graph_builder.source_task import SourceTask, build_source
from graph_builder.workers import run_tasks

Say = Callable[[str], None]


@dataclass(frozen=True)
class BuildSummary:
    dataset: Dataset
    is_reused: bool  # nothing had changed, so nothing was built


def build_dataset(settings: BuildSettings, say: Say = lambda line: None) -> BuildSummary:
    """Build the data set that `settings` describe, or find that it is there already.

    say: gets a line for each step, and for each file that is left out.
    Raises UserError for bad input, before or without changing what is there.
    """
    check_output(settings.output)
    plan = plan_build(settings, say)
    if plan.base is not None and plan.is_done:
        return BuildSummary(plan.base, is_reused=True)
    if plan.base is not None and not plan.is_extension:
        say(f"{settings.output}: other code, other settings or fewer sources: building it anew")
    with open_build_folder(settings.output) as folder:
        tokenizer = make_tokenizer(plan, folder, say)
        made_by = plan.made_by(tokenizer.shard_format(settings.layout))
        keys = {shard.key(made_by): shard for shard in plan.shards}
        kept = plan.kept(set(keys))
        missing = set(keys) - {shard.key for shard in kept}
        tasks = {key: _task(plan, key, keys[key], folder, tokenizer) for key in keys}
        reports = _build_sources([tasks[key] for key in missing], settings.num_processes, say)
        newcomers = [
            Newcomer(shard, key, folder.shard(key), reports[shard.source.label])
            for key, shard in keys.items()
            if key in missing
        ]
        manifest = assemble(plan, kept, newcomers, tokenizer)
    return BuildSummary(Dataset(settings.output, manifest), is_reused=False)


def _task(
    plan: BuildPlan, key: str, shard: PlannedShard, folder: BuildFolder, tokenizer: BuildTokenizer
) -> SourceTask:
    return SourceTask(
        source=shard.source,
        tokenizer_path=tokenizer.path,
        settings=plan.settings.chain_settings,
        shard_format=tokenizer.shard_format(plan.settings.layout),
        shard_path=folder.shard(key),
        report_path=folder.report(key),
    )


def _build_sources(
    tasks: Sequence[SourceTask], num_processes: int, say: Say
) -> dict[str, SourceReport]:
    """Run the tasks, the largest first; return their reports by the source's label."""
    largest_first = sorted(tasks, key=lambda task: (-task.source.num_bytes, task.source.label))
    reports = {}
    bar = tqdm(
        run_tasks(build_source, largest_first, num_processes),
        desc="sources",
        total=len(tasks),
        disable=None,  # where nobody watches, the lines say enough
    )
    for task, report in bar:
        label = task.source.label
        reports[label] = report
        say(f"{label}: {report.num_files} files, {report.num_windows} windows")
        for path, reason, detail in report.rejected:
            say(f"{label}: {path}: left out, {reason}: {detail}")
        for path, number in report.syntax_errors:
            say(f"{label}: {path}: {number} syntax errors, its sound parts are used")
    return reports
