"""Run the graph study on a machine with GPUs: variants and seeds side by side, one a card.

    python benchmarks/graph_study.py run --data data/carried --output_dir ONE --budget_s 560
    python benchmarks/graph_study.py run --data data/carried --output_dir TWO --done ONE/*.jsonl
    python benchmarks/graph_study.py baselines --data data/carried --output_dir TWO
    python benchmarks/graph_study.py report --outcomes TWO/*.jsonl --output_dir benchmarks/results

Set PYTORCH_NVML_BASED_CUDA_CHECK=1 for `run`, so that nothing touches a card before it forks.
It prints its plan, then writes a line of `OUTPUT_DIR/outcomes.jsonl` for each (variant, seed) as
it ends; of a run whose fine-tunes the budget cuts off, what it has said before that. What does not
fit is left for the next call, which skips the runs that `--done` has whole and takes them over. It
needs torch, triton, transformers, tokenizers, safetensors, numpy and pyarrow alone. `baselines`
asks what needs no training (count table, BM25, a table of tails; on a CPU, and with bm25s).
`report` makes the tables and their picture. `graph_study_data.py` writes the data.
"""

import argparse
import multiprocessing
import os
import pickle
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from graph_study_data import read

from graph_builder.errors import UserError
from graph_builder.manifest import SPLITS
from graphmert.study.data import StudyData
from graphmert.study.outcome import Outcome, run_key
from graphmert.study.report import Tables, short_name, study_json, study_markdown, study_tables
from graphmert.study.run import run_variant
from graphmert.study.settings import StudySettings, add_settings, settings_of
from graphmert.study.tasks import StudyTasks, make_held_out_tasks, make_tasks
from graphmert.study.training import base_model
from graphmert.study.variants import MAIN, NO_LEAVES, OTHERS, VARIANTS, Variant, find_variant

HELD_OUT = SPLITS[1:]  # all but train
FORK = multiprocessing.get_context("fork")  # children share the data that their parent has read
START_S = 25.0  # of a run: imports on the card, compilation
UPDATE_OVERHEAD_S = 0.05  # below this no update is queued, see train_throughput.py
SEARCH_UPDATE_S, TUNE_UPDATE_S = 0.16, 0.08  # code search reads two texts
ASK_S = 25.0  # all questions of two splits


@dataclass(frozen=True)
class Job:
    variant: Variant
    seed: int
    settings: StudySettings

    def predicted_s(self, windows_per_s: float) -> float:
        """Return about how long the job takes on a card that it has to itself."""
        num_updates = self.settings.misuse_updates + self.settings.tail_updates
        tuning_s = self.settings.search_updates * SEARCH_UPDATE_S + num_updates * TUNE_UPDATE_S
        return self.first_answer_s(windows_per_s) + tuning_s

    def first_answer_s(self, windows_per_s: float) -> float:
        """Return about how long it takes up to its fine-tunes, the first that is kept of it."""
        update_s = max(UPDATE_OVERHEAD_S, self.settings.batch_size / windows_per_s)
        passes = 2 if self.variant.training.get("is_two_passes") else 1
        return START_S + passes * self.settings.num_updates * update_s + ASK_S

    def key(self, data: StudyData) -> tuple[Any, ...]:
        made_with = self.settings.made_with(data, self.variant)
        return run_key(self.variant.name, self.seed, data.digest, asdict(self.settings), made_with)

    @property
    def label(self) -> str:
        return f"{self.variant.name}, seed {self.seed}, {self.settings.num_updates} updates"


@dataclass
class Running:
    job: Job
    slot: int
    process: BaseProcess
    answer: Connection
    start_s: float
    outcome: Outcome | None = None  # so far: first without fine-tunes

    @property
    def is_done(self) -> bool:
        if self.outcome is None or self.outcome.settings != asdict(self.job.settings):
            return False
        return self.outcome.whole_splits == self.outcome.splits


def main() -> int:
    options = _parser().parse_args()
    options.output_dir.mkdir(parents=True, exist_ok=True)
    try:
        return int(options.run(options))
    except (UserError, ValueError, OSError) as error:
        print(f"graph_study: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def run(options: argparse.Namespace) -> int:
    """Do as many of the planned jobs as the budget has time for."""
    started = time.monotonic()
    for name in options.variants:
        find_variant(name)  # said now, not once the data is read
    torch.set_num_threads(1)  # a pool of threads does not live through a fork
    lines = options.output_dir / "outcomes.jsonl"
    done = read_outcomes([*options.done, lines])
    lines.write_text("".join(f"{outcome.to_json()}\n" for outcome in done), encoding="utf-8")
    num_cards = options.num_gpus if options.num_gpus is not None else count_gpus()
    slots = max(1, num_cards) * options.jobs_per_gpu
    data = read_splits(options)
    finished = splits_by_run(done)
    jobs = planned_jobs(options, data, finished)
    check_making(jobs, done, data)
    print_plan(jobs, len(finished), slots, options, data)
    if options.plan_only:
        return 0
    if num_cards:
        check_cards()
    tasks = make_tasks(data, settings_of(options), fork_map)
    say(started, "questions drawn")
    if options.base_updates:
        make_bases(sorted({job.seed for job in jobs}), data, slots, num_cards, options)
        say(started, "bases trained")
    missing, failed = work_through(jobs, data, tasks, slots, num_cards, started, options, lines)
    for job in missing:
        say(started, f"left for another call: {job.label}")
    outcomes = read_outcomes([lines])
    write_report(outcomes, options.output_dir, options.splits[:1])
    for job in failed:
        print(f"graph_study: failed, see above: {job.label}", file=sys.stderr)
    return 1 if failed else 0


def make_bases(
    seeds: Sequence[int], data: StudyData, slots: int, num_cards: int, options: argparse.Namespace
) -> None:
    """Train what the variants of each seed go on from, where it is not there yet."""
    settings = settings_of(options)

    def work(seed: int, slot: int) -> None:
        base_model(data, seed, settings, take_card(slot, num_cards), options.bases_dir)

    for first in range(0, len(seeds), slots):
        children = [
            FORK.Process(target=work, args=(seed, slot))
            for slot, seed in enumerate(seeds[first : first + slots])
        ]
        for child in children:
            child.start()
        for child in children:
            child.join()
        if any(child.exitcode for child in children):
            raise UserError("a base was not trained: see what it printed above")


def work_through(
    jobs: list[Job],
    data: StudyData,
    tasks: StudyTasks,
    slots: int,
    num_cards: int,
    started: float,
    options: argparse.Namespace,
    lines: Path,
) -> tuple[list[Job], list[Job]]:
    """Run jobs on all slots until they are done or the time is; return those that there was no
    time for, and those that failed."""
    waiting, running, free = list(jobs), list[Running](), list(range(slots))
    missing: list[Job] = []
    failed: list[Job] = []
    slowness = 1.0  # measured over predicted, of the jobs that ended
    while waiting or running:
        left_s = options.budget_s - (time.monotonic() - started)
        while free and waiting:
            job = waiting.pop(0)
            if job.first_answer_s(options.windows_per_s) * slowness > left_s:
                missing.append(job)  # a shorter one may still fit
                continue
            running.append(start_job(job, free.pop(0), data, tasks, num_cards, options.bases_dir))
            say(started, f"starts: {job.label}")
        if not running:
            break
        ready = wait([each.answer for each in running], timeout=max(0.0, left_s))
        if not ready:
            for each in running:
                each.process.kill()
                keep(each.outcome, lines)
                missing.append(each.job)
            break
        for each in [each for each in running if each.answer in ready]:
            if hears_of(each) and not each.is_done:
                continue
            each.process.join()
            keep(each.outcome, lines)
            running.remove(each)
            free.append(each.slot)
            took_s = time.monotonic() - each.start_s
            if each.is_done:
                slowness = took_s / each.job.predicted_s(options.windows_per_s)
                say(started, f"done in {took_s:.0f} s: {each.job.label}")
            else:
                say(started, f"FAILED after {took_s:.0f} s: {each.job.label}")
                failed.append(each.job)
    return missing + waiting, failed


def start_job(
    job: Job, slot: int, data: StudyData, tasks: StudyTasks, num_cards: int, bases_dir: Path
) -> Running:
    """Start a job in a child process; it sees one card alone."""
    receiver, sender = FORK.Pipe(duplex=False)

    def work() -> None:
        device = take_card(slot, num_cards)
        for outcome in run_variant(
            data, tasks, job.variant, job.seed, job.settings, device, bases_dir
        ):
            sender.send(outcome.to_json())

    process = FORK.Process(target=reporting_failure, args=(work, sender))
    process.start()
    sender.close()
    return Running(job, slot, process, receiver, time.monotonic())


def reporting_failure(work: Callable[[], None], sender: Connection) -> None:
    try:
        work()
    except BaseException:
        traceback.print_exc()
        sender.send(None)
        raise
    finally:
        sender.close()
        sys.stdout.flush()


def hears_of(running: Running) -> bool:
    """Take what a child sent; return whether that was an outcome."""
    try:
        line = running.answer.recv()
    except EOFError:  # the child is dead
        line = None
    if line is not None:
        running.outcome = Outcome.from_json(line)
    return line is not None


def keep(outcome: Outcome | None, lines: Path) -> None:
    if outcome is not None:
        with lines.open("a", encoding="utf-8") as file:
            file.write(f"{outcome.to_json()}\n")


def fork_map(function: Callable[[int], Any], numbers: range) -> Iterator[Any]:
    """Do as `map`, each number in a child process of its own."""
    children = []
    for number in numbers:
        receiver, sender = FORK.Pipe(duplex=False)
        process = FORK.Process(target=_send_answer, args=(function, number, sender), daemon=True)
        process.start()
        sender.close()
        children.append((process, receiver))
    for process, receiver in children:
        yield pickle.loads(receiver.recv_bytes())
        process.join()


def _send_answer(function: Callable[[int], Any], number: int, sender: Connection) -> None:
    # Bytes, since tensors would otherwise be handed over by a child that is gone by then.
    sender.send_bytes(pickle.dumps(function(number)))
    sender.close()


def planned_jobs(
    options: argparse.Namespace, data: StudyData, done: Mapping[Any, Collection[str]]
) -> list[Job]:
    """Return what is to be done: the main variants with all seeds, then the others, shorter.

    `done`: the splits that runs of these keys were asked."""
    settings = settings_of(options)
    named = [find_variant(name) for name in options.variants]
    main = named if named else list(MAIN)
    jobs = [Job(variant, seed, settings) for seed in range(options.num_seeds) for variant in main]
    if not named and options.short_updates:
        short = replace(settings, num_updates=options.short_updates).untuned
        jobs += [Job(variant, 0, short) for variant in (*MAIN, *OTHERS)]
    return [job for job in jobs if not done.get(job.key(data), set()) >= set(options.splits)]


def print_plan(
    jobs: Sequence[Job], num_done: int, slots: int, options: argparse.Namespace, data: StudyData
) -> None:
    windows = {name: f"{table.num_windows:,}" for name, table in data.held_out.items()}
    print(
        f"train {data.train.num_windows:,} windows, held out {windows}, "
        f"data set {short_name(data.digest)}"
    )
    print(f"{num_done} runs are done; {slots} at a time; predicted:")
    ends = [0.0] * slots
    for job in jobs:
        at = min(range(slots), key=ends.__getitem__)
        ends[at] += job.predicted_s(options.windows_per_s)
        predicted_s = job.predicted_s(options.windows_per_s)
        print(f"  {predicted_s:5.0f} s, ends at {ends[at]:5.0f} s  {job.label}")
    if options.base_updates:
        base = Job(NO_LEAVES, 0, settings_of(options).of_base)
        num_rounds = -(-len({job.seed for job in jobs}) // slots)
        base_s = num_rounds * base.predicted_s(options.windows_per_s)
        print(f"before them {base_s:.0f} s for the bases, where they are not there yet")
    print(f"in all {max(ends):.0f} s and some 60 s to read and draw; budget {options.budget_s} s")
    sys.stdout.flush()


def baselines(options: argparse.Namespace) -> int:
    """Write the outcomes of what needs no training."""
    from graphmert.study.baselines import baseline_outcomes  # noqa: PLC0415 (bm25s, scipy)

    data = read_splits(options)
    tasks = make_held_out_tasks(data, settings_of(options))
    outcomes = baseline_outcomes(data, tasks, settings_of(options))
    path = options.output_dir / "baselines.jsonl"
    path.write_text("".join(f"{each.to_json()}\n" for each in outcomes), encoding="utf-8")
    print(path)
    return 0


def report(options: argparse.Namespace) -> int:
    """Write the tables of all outcomes, and draw the first one of each split."""
    from graphmert.study.figures import draw_differences  # noqa: PLC0415 (matplotlib)

    for path in options.outcomes:
        if not path.is_file():
            raise UserError(f"--outcomes {path}: no such file")
    outcomes = read_outcomes(options.outcomes)
    tables_by_split = write_report(outcomes, options.output_dir, options.splits)
    for split, tables in tables_by_split.items():
        if not tables:
            raise UserError(f"--outcomes: none of them has anything of the {split} split")
        path = options.output_dir / f"{today()}-graph-study-{split}.png"
        first = next(iter(tables.values()))
        draw_differences(first).savefig(path, dpi=100, metadata={"Software": None})
    return 0


def write_report(outcomes: list[Outcome], folder: Path, splits: Sequence[str]) -> dict[str, Tables]:
    tables = {split: study_tables(outcomes, split) for split in splits}
    text = "\n".join(study_markdown(tables[split], split) for split in splits)
    name = f"{today()}-graph-study"
    (folder / f"{name}.md").write_text(text, encoding="utf-8")
    (folder / f"{name}.json").write_text(study_json(tables), encoding="utf-8")
    print(text)
    return tables


def today() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d")


def read_splits(options: argparse.Namespace) -> StudyData:
    data = read(options.data)
    return replace(data, held_out={split: data.held_out[split] for split in options.splits})


def splits_by_run(outcomes: Sequence[Outcome]) -> dict[Any, set[str]]:
    """Return the splits of which each run has said all that it had to; runs without any are out."""
    return {each.key: set(each.whole_splits) for each in outcomes if each.whole_splits}


def check_making(jobs: Sequence[Job], done: Sequence[Outcome], data: StudyData) -> None:
    """Refuse, before time is spent, a job that would stand in one table with an earlier run of its
    name, seed and study settings, but of another model or training."""
    for job in jobs:
        name = job.variant.name, job.seed, data.digest, asdict(job.settings)
        same = (
            each for each in done if (each.variant, each.seed, each.data_set, each.settings) == name
        )
        if any(each.key != job.key(data) for each in same):
            raise UserError(
                f"--done has {job.label} of another model or training than this version makes: "
                "leave that file out, the two are no one table"
            )


def read_outcomes(paths: Sequence[Path]) -> list[Outcome]:
    """Return the outcomes in these files, each run once; a file that is not there has none."""
    outcomes: dict[Any, Outcome] = {}
    for path in paths:
        if path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                outcome = Outcome.from_json(line)
                earlier = outcomes.get(outcome.key)
                if earlier is not None:  # the later one counts, but for what is not whole
                    whole = earlier.whole_splits | outcome.whole_splits
                    outcome = replace(outcome, splits=earlier.splits | outcome.splits | whole)
                outcomes[outcome.key] = outcome
    return list(outcomes.values())


def count_gpus() -> int:
    """Ask a process of its own: one that has asked CUDA anything must not fork."""
    command = [sys.executable, "-c", "import torch; print(torch.cuda.device_count())"]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def take_card(slot: int, num_cards: int) -> torch.device:
    """Let this process, which has asked CUDA nothing yet, see one card alone, or none."""
    if num_cards:
        os.environ["CUDA_VISIBLE_DEVICES"] = card_name(slot % num_cards)
    return torch.device("cuda" if num_cards else "cpu")


def card_name(index: int) -> str:
    """Return what CUDA_VISIBLE_DEVICES calls one of the cards that this process may use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",")[index] if visible else str(index)


def check_cards() -> None:
    """Raise RuntimeError, before time is spent, where a child of this process gets no card."""
    probe = FORK.Process(target=torch.cuda.init)
    probe.start()
    probe.join()
    if probe.exitcode:
        raise RuntimeError("a child process cannot use the card: see what it printed above")


def say(started: float, text: str) -> None:
    print(f"[{time.monotonic() - started:4.0f} s] {text}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    each = commands.add_parser("run")
    each.set_defaults(run=run)
    add = each.add_argument
    add("--data", type=Path, required=True, help="folder that graph_study_data.py wrote")
    add("--done", type=Path, nargs="*", default=[], help="outcomes of earlier calls")
    add("--variants", nargs="*", default=[], help=f"these alone: {[v.name for v in VARIANTS]}")
    add("--num_seeds", type=int, default=3)
    add("--short_updates", type=int, default=400, help="of the other variants; 0: leave them out")
    add("--budget_s", type=float, default=560.0)
    add("--windows_per_s", type=float, default=8500.0, help="of one card, for the plan")
    add("--num_gpus", type=int, help="(all that torch sees)")
    add("--jobs_per_gpu", type=int, default=1)
    add("--bases_dir", type=Path, default=Path("data/bases"), help="of --base_updates, kept")
    add("--plan_only", action="store_true")
    add_settings(each)
    each.add_argument("--output_dir", type=Path, required=True)
    each = commands.add_parser("baselines")
    each.set_defaults(run=baselines)
    each.add_argument("--data", type=Path, required=True)
    each.add_argument("--output_dir", type=Path, required=True)
    add_settings(each)
    each = commands.add_parser("report")
    each.set_defaults(run=report)
    each.add_argument("--outcomes", type=Path, nargs="+", required=True)
    each.add_argument("--output_dir", type=Path, required=True)
    for command in commands.choices.values():
        command.add_argument("--splits", nargs="+", choices=HELD_OUT, default=["validation"])
    return parser


if __name__ == "__main__":
    sys.exit(main())
