"""The `ablation` flow: what the graph adds, as a run for each variant and seed and one report.

Each run is `graphmert.study.run` in a child process; its figures go to a child of the flow's MLflow
run, the tables and the picture to the flow's run itself. A flow run that is tried again does the
runs that it has no outcome of yet.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from prefect import flow, get_run_logger, runtime, task
from pydantic import AfterValidator, NonNegativeInt, PositiveInt

from flows.child_process import run_module
from flows.gpus import gpu_slots
from flows.parameters import BatchSize, LearningRate, Preset
from flows.tracked_run import PARENT, made_by, mark_of, opened_run, origin, tracked_run
from graph_builder.dataset import open_dataset
from graph_builder.errors import UserError
from graphmert.study.outcome import Outcome
from graphmert.study.settings import StudySettings
from graphmert.study.variants import MAIN, find_variant
from graphmert.tracking.run import find_runs, log_dataset
from graphmert.tracking.study import log_outcome, log_study


def checked_variant(name: str) -> str:
    """Return the name as it is; raise UserError, a ValueError, where no variant has it."""
    return find_variant(name).name


def named_once(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names as they are; raise UserError, a ValueError, where one stands twice."""
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{name!r} is named twice: each variant is trained once a seed")
    return names


VariantName = Annotated[str, AfterValidator(checked_variant)]
VariantNames = Annotated[tuple[VariantName, ...], AfterValidator(named_once)]
HeldOut = Literal["validation", "test"]
MAIN_NAMES = tuple(variant.name for variant in MAIN)
RUN_NAME = "mlflow.runName"  # tag of MLflow


@task(task_run_name="{variant}, seed {seed}")
def run_variant(
    variant: str,
    seed: int,
    data_path: Path,
    split: str,
    settings: StudySettings,
    bases_dir: Path,
    output: Path,
) -> Path:
    """Train and ask one variant in a child process, where an earlier try has not; return the file
    with its outcome."""
    log = get_run_logger().info
    if output.is_file():
        before = Outcome.from_json(output.read_text(encoding="utf-8"))
        asked = open_dataset(data_path).digest, asdict(settings)
        if (before.data_set, before.settings) == asked:
            log(f"an earlier try of this flow run has the outcome: {output}")
            return output
    flags = {"variant": variant, "seed": seed, "split": split, "bases_dir": bases_dir}
    flags |= {"output": output, **asdict(settings)}
    with gpu_slots(1):
        run_module("graphmert-study", "graphmert.study.run", _arguments(data_path, flags), log)
    return output


@task
def ask_baselines(data_path: Path, split: str, settings: StudySettings, output: Path) -> Path:
    """Ask what needs no training in a child process; return the file with its outcomes."""
    flags = {"split": split, "output": output, **asdict(settings)}
    module, log = "graphmert.study.baselines", get_run_logger().info
    run_module("graphmert-study", module, _arguments(data_path, flags), log)
    return output


def _arguments(data_path: Path, flags: Mapping[str, object]) -> list[str]:
    options = [part for name, value in flags.items() for part in (f"--{name}", str(value))]
    return [str(data_path), *options]


def tracked_variant(
    parent_id: str,
    variant: str,
    seed: int,
    data_path: Path,
    split: str,
    settings: StudySettings,
    folder: Path,
) -> Outcome:
    """Do one run as a child of the flow's MLflow run, the same one where that is tried again."""
    name = f"{variant}, seed {seed}"
    tags = {**origin(), **made_by(), PARENT: parent_id}
    children = find_runs(PARENT, parent_id)
    earlier = next((each for each in children if children[each][RUN_NAME] == name), None)
    parameters = {"variant": variant, "seed": seed, **asdict(settings)}
    with opened_run(earlier, name, tags, parameters) as run_id:
        path = folder / f"{variant.replace(' ', '-')}-{seed}.json"
        bases_dir = folder.parent / "bases"  # those of earlier flow runs serve too
        written = run_variant(variant, seed, data_path, split, settings, bases_dir, path)
        outcome = Outcome.from_json(written.read_text(encoding="utf-8"))
        log_outcome(run_id, outcome)
    return outcome


@flow(name="ablation", flow_run_name="ablation on {data_path}", validate_parameters=True)
def ablation(
    *,
    data_path: Path,
    variants: VariantNames = MAIN_NAMES,
    num_seeds: PositiveInt = 3,
    split: HeldOut = "validation",
    preset: Preset = "tiny",
    num_updates: PositiveInt = 1000,
    batch_size: BatchSize = 32,
    learning_rate: LearningRate = 1e-3,
    base_updates: NonNegativeInt = 0,
    num_questions: PositiveInt = 500,
    tune_updates: NonNegativeInt = 150,
    runs_dir: Path = Path("runs"),
) -> str:
    """Train the same model with and without parts of its graph, and compare on held-out code.

    Args:
        data_path: Folder of the data set.
        variants: Names of the variants; "no leaves" and "shuffled" are what others are held to.
        num_seeds: Seeds of each variant, 0, 1, and so on.
        split: Split that is asked; test is for final tables only.
        preset: Size of the models.
        num_updates: Updates of each training.
        batch_size: Windows of one update.
        learning_rate: Highest rate of the schedule.
        base_updates: Updates of code alone, at the rate 1e-3, that all variants of a seed go on
            from; 0 lets each start from nothing.
        num_questions: Questions of each task.
        tune_updates: Updates of each task's fine-tune; 0 leaves out the tasks that need one.
        runs_dir: Folder that holds the outcomes, each flow run in a folder of its own.
    """
    settings = StudySettings(
        preset=preset,
        num_updates=num_updates,
        batch_size=batch_size,
        learning_rate=learning_rate,
        base_updates=base_updates,
        num_questions=num_questions,
        search_updates=tune_updates,
        misuse_updates=tune_updates,
        tail_updates=tune_updates,
    )
    digest = open_dataset(data_path).digest
    folder = runs_dir / f"ablation-{mark_of(runtime.flow_run.id)}"
    folder.mkdir(parents=True, exist_ok=True)  # there where the flow run is tried again
    name = f"ablation on data {digest[:8]}, {split}"
    with tracked_run(name, {"split": split, **asdict(settings)}) as run_id:
        log_dataset(run_id, data_path)
        beside = ask_baselines(data_path, split, settings, folder / "baselines.jsonl")
        outcomes = [*map(Outcome.from_json, beside.read_text(encoding="utf-8").splitlines())]
        outcomes += [
            tracked_variant(run_id, variant, seed, data_path, split, settings, folder)
            for seed in range(num_seeds)
            for variant in variants
        ]
        log_study(run_id, outcomes, split)
    return run_id
