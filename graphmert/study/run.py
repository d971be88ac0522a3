"""One run of a study: a variant and a seed, trained and then asked everything.

python -m graphmert.study.run DATASET --variant full --seed 0 --output outcome.json

Exit status: 0 done, 2 bad input, 3 the loss is no longer finite.
"""

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from graph_builder.errors import UserError
from graph_builder.whole_file import write_whole
from graphmert.data.windows import WindowTable
from graphmert.evaluation.code_search import score_search, tune_search
from graphmert.evaluation.device import usable_device
from graphmert.evaluation.evaluate import evaluate
from graphmert.evaluation.identifier_completion import score_names
from graphmert.evaluation.measures import TaskReport
from graphmert.evaluation.report import EvaluationReport
from graphmert.evaluation.tail_prediction import score_tails, tune_on_leaves
from graphmert.evaluation.text_states import cosine_of_means, late_interaction
from graphmert.evaluation.token_texts import text_ids
from graphmert.evaluation.tuning import autocast, copy_model
from graphmert.evaluation.variable_misuse import score_misuse, tune_misuse
from graphmert.models.graphmert import GraphMERTModel
from graphmert.study.data import StudyData, load_study_data, seen_by
from graphmert.study.outcome import Outcome, SplitOutcome
from graphmert.study.settings import StudySettings, add_settings, settings_of
from graphmert.study.tasks import SplitTasks, StudyTasks, make_tasks
from graphmert.study.training import trained_model
from graphmert.study.variants import VARIANTS, Variant, find_variant
from graphmert.training.console import say
from graphmert.training.masking import MaskSettings
from graphmert.training.trainer import NonFiniteLossError

EXIT_BAD_INPUT, EXIT_NOT_FINITE = 2, 3
WINDOWS_PER_BATCH, WINDOWS_PER_BATCH_ON_GPU = 32, 256  # while masked tokens are asked for


@dataclass(frozen=True)
class Views:
    """The tables as one variant is given them, on its device."""

    train: WindowTable
    held_out: dict[str, WindowTable]


@dataclass(frozen=True)
class SplitReports:
    """What one model scores on one split."""

    masked: EvaluationReport
    tasks: dict[str, TaskReport]


def run_variant(
    data: StudyData,
    tasks: StudyTasks,
    variant: Variant,
    seed: int,
    settings: StudySettings,
    device: torch.device,
    bases_dir: Path | None = None,
) -> Iterator[Outcome]:
    """Train one variant and ask it everything: first as it is, an outcome by itself, then, where
    the settings have fine-tunes, with one more of those each time. Raises NonFiniteLossError.

    `bases_dir`: where models that variants go on from are kept and looked for.
    """
    start = time.perf_counter()
    views = Views(
        seen_by(variant, data.train.to(device), seed, data.tokenizer),
        {
            split: seen_by(variant, table.to(device), seed, data.tokenizer)
            for split, table in data.held_out.items()
        },
    )
    model, losses = trained_model(data, views.train, variant, seed, settings, bases_dir)
    trained_s = time.perf_counter() - start
    # A copy is not compiled: compiling again for each kind of question costs more than it saves.
    model = copy_model(model)
    reports = asked_as_it_is(model, data, tasks, variant, views, settings)
    tuned_tasks = _tuned_tasks(model, data, tasks, variant, views, settings, seed)
    outcome = Outcome(
        variant=variant.name,
        seed=seed,
        data_set=data.digest,
        settings=dataclasses.asdict(settings.untuned if tuned_tasks else settings),
        losses=losses,
        seconds={"training": trained_s, "all": time.perf_counter() - start},
        splits=split_outcomes(reports),
        made_with=settings.made_with(data, variant),
    )
    yield outcome
    for num_done, (task, ask) in enumerate(tuned_tasks.items(), 1):
        for split, report in ask().items():
            reports[split].tasks[task] = report
        yield replace(
            outcome,
            settings=dataclasses.asdict(settings),
            seconds={"training": trained_s, "all": time.perf_counter() - start},
            splits=split_outcomes(reports, is_whole=num_done == len(tuned_tasks)),
        )


def asked_as_it_is(
    model: GraphMERTModel,
    data: StudyData,
    tasks: StudyTasks,
    variant: Variant,
    views: Views,
    settings: StudySettings,
) -> dict[str, SplitReports]:
    """Return what the model scores on every split without a fine-tune."""
    reports: dict[str, SplitReports] = {}
    masks, texts = settings.masks(data), text_ids(data.tokenizer)
    for split, own in tasks.held_out.items():
        table = views.held_out[split]
        with autocast(model.device):
            masked = evaluate(
                model,
                table,
                _evaluation_masks(masks, variant),
                WINDOWS_PER_BATCH_ON_GPU if table.window_ids.is_cuda else WINDOWS_PER_BATCH,
                model.device,
                text_ids=texts,
                all_leaves=data.held_out[split].to(model.device),
            )
        names = score_names(model, own.names, table, masks)
        search = score_search(model, own.search, table, data.tokenizer, cosine_of_means)
        reports[split] = SplitReports(masked, {"names": names, "search_zero_shot": search})
    return reports


def split_outcomes(
    reports: dict[str, SplitReports], is_whole: bool = True
) -> dict[str, SplitOutcome]:
    """Return what all reports come to; `is_whole`: nothing is still to come."""
    return {
        split: replace(
            SplitOutcome.of(each.masked.measures, each.masked.relations, each.tasks),
            is_whole=is_whole,
        )
        for split, each in reports.items()
    }


def _tuned_tasks(
    model: GraphMERTModel,
    data: StudyData,
    tasks: StudyTasks,
    variant: Variant,
    views: Views,
    settings: StudySettings,
    seed: int,
) -> dict[str, Callable[[], dict[str, TaskReport]]]:
    """Return the tasks that a copy of the model is tuned for; each gives a report by split."""
    masks = settings.masks(data)

    def on_each(ask: Callable[[SplitTasks, WindowTable], TaskReport]) -> dict[str, TaskReport]:
        return {split: ask(own, views.held_out[split]) for split, own in tasks.held_out.items()}

    def search() -> dict[str, TaskReport]:
        tuning = settings.tuning(settings.search_updates, seed)
        searcher = tune_search(model, tasks.train_pairs, views.train, data.tokenizer, tuning)
        return on_each(
            lambda own, table: score_search(
                searcher, own.search, table, data.tokenizer, late_interaction
            )
        )

    def misuse() -> dict[str, TaskReport]:
        tuning = settings.tuning(settings.misuse_updates, seed)
        probe = tune_misuse(model, tasks.train_misuse, views.train, tuning)
        return on_each(lambda own, table: score_misuse(probe, own.misuse, table))

    def tails() -> dict[str, TaskReport]:
        # The same questions of the same leaves for all: what differs is what came before.
        tuning = settings.tuning(settings.tail_updates, seed)
        speller = tune_on_leaves(model, data.train.to(model.device), masks, tuning)
        return on_each(lambda own, _: score_tails(speller, own.tails, masks))

    found: dict[str, Callable[[], dict[str, TaskReport]]] = {}
    if settings.search_updates:
        found["search"] = search
    if settings.misuse_updates:
        found["misuse"] = misuse
    if settings.tail_updates and not variant.are_facts_text:
        found["tails"] = tails
    return found


def _evaluation_masks(masks: MaskSettings, variant: Variant) -> MaskSettings:
    """Relations that stand there as text cannot be asked for."""
    return replace(masks, mnm_share=0.0) if variant.are_facts_text else masks


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        settings = settings_of(options)
        variant = find_variant(options.variant)
        device = usable_device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        data = load_study_data(options.data_path, (options.split,))
        tasks = make_tasks(data, settings)
        *_, outcome = run_variant(
            data, tasks, variant, options.seed, settings, device, options.bases_dir
        )
        write_whole(options.output, f"{outcome.to_json()}\n".encode())
    except (UserError, ValueError, OSError, NonFiniteLossError) as error:
        print(f"graphmert-study: {' '.join(str(error).split())}", file=sys.stderr)
        return EXIT_NOT_FINITE if isinstance(error, NonFiniteLossError) else EXIT_BAD_INPUT
    say(f"done: {options.output}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Train one variant and ask it everything.")
    parser.add_argument("data_path", type=Path, metavar="DATASET")
    parser.add_argument("--variant", default="full", help=", ".join(each.name for each in VARIANTS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", default="validation", help="(default %(default)s)")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--bases_dir", type=Path, help="where bases are kept and looked for")
    parser.add_argument("--device", help="such as cpu or cuda (default: cuda where there is one)")
    add_settings(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
