"""One run of a study: a variant and a seed, trained and then asked everything.

python -m graphmert.study.run DATASET --variant full --seed 0 --output outcome.json
"""

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from graph_builder.errors import UserError
from graph_builder.whole_file import write_whole
from graphmert.data.batches import epoch_batches
from graphmert.data.packing import PackedRows
from graphmert.data.windows import WindowTable
from graphmert.evaluation.code_search import score_search, tune_search
from graphmert.evaluation.device import usable_device
from graphmert.evaluation.evaluate import evaluate
from graphmert.evaluation.identifier_completion import score_names
from graphmert.evaluation.measures import TaskReport
from graphmert.evaluation.metrics import RelationReport
from graphmert.evaluation.report import EvaluationReport
from graphmert.evaluation.tail_prediction import score_tails, tune_on_leaves
from graphmert.evaluation.token_texts import text_ids
from graphmert.evaluation.tuning import autocast, copy_model
from graphmert.evaluation.variable_misuse import score_misuse, tune_misuse
from graphmert.models.graphmert import GraphMERTModel
from graphmert.study.data import StudyData, load_study_data, seen_by
from graphmert.study.outcome import Outcome, SplitOutcome
from graphmert.study.settings import StudySettings
from graphmert.study.tasks import SplitTasks, StudyTasks, make_tasks
from graphmert.study.variants import FULL, VARIANTS, Variant, find_variant
from graphmert.training.compilation import compile_model
from graphmert.training.console import say
from graphmert.training.masking import MaskSettings
from graphmert.training.passes import passes_of_updates
from graphmert.training.schedule import learning_rate
from graphmert.training.settings import TrainSettings
from graphmert.training.trainer import NonFiniteLossError, finite, seed_dropout
from graphmert.training.update import SummedLosses, make_optimizer, summed_token_loss, update

LOOK_EVERY = 50  # updates: how often the losses are fetched
WINDOWS_PER_BATCH, WINDOWS_PER_BATCH_ON_GPU = 32, 256  # while masked tokens are asked for


@dataclass(frozen=True)
class Views:
    """The tables as one variant is given them, on its device."""

    train: WindowTable
    held_out: dict[str, WindowTable]


def run_variant(
    data: StudyData,
    tasks: StudyTasks,
    variant: Variant,
    seed: int,
    settings: StudySettings,
    device: torch.device,
) -> Outcome:
    """Train one variant and ask it everything. Raises NonFiniteLossError."""
    start = time.perf_counter()
    views = Views(
        seen_by(variant, data.train.to(device), seed, data.tokenizer),
        {
            split: seen_by(variant, table.to(device), seed, data.tokenizer)
            for split, table in data.held_out.items()
        },
    )
    model = initial_model(data, views.train, variant, seed, settings).to(device)  # type: ignore[arg-type]
    training = settings.training(data, variant, seed)
    losses = train_for(model, views.train, training, settings.num_updates)
    trained_s = time.perf_counter() - start
    # A copy is not compiled: compiling again for each kind of question costs more than it saves.
    splits = ask_everything(copy_model(model), data, tasks, variant, views, settings, seed)
    return Outcome(
        variant=variant.name,
        seed=seed,
        data_set=data.digest,
        settings=dataclasses.asdict(settings),
        losses=losses,
        seconds={"training": trained_s, "all": time.perf_counter() - start},
        splits=splits,
        made_with=settings.made_with(data, variant),
    )


def initial_model(
    data: StudyData, table: WindowTable, variant: Variant, seed: int, settings: StudySettings
) -> GraphMERTModel:
    """Return a model whose weights are those that the full one starts from, as far as it has
    weights of the same name and shape. The decay's p is a setting, not drawn: it is the variant's.
    """
    torch.manual_seed(seed)
    full = GraphMERTModel(settings.model(data, FULL))
    config = settings.model(data, variant)
    config.num_roots, config.leaves_per_root = dataclasses.astuple(table.layout)
    model = GraphMERTModel(config)
    own = model.state_dict()
    shared = {
        name: weight
        for name, weight in full.state_dict().items()
        if name in own and own[name].shape == weight.shape and not name.endswith("decay.p")
    }
    model.load_state_dict(own | shared)
    return model


def train_for(
    model: GraphMERTModel, table: WindowTable, settings: TrainSettings, num_updates: int
) -> dict[str, float]:
    """Train a model on its table's device; return the mean losses of the last updates."""
    is_gpu = model.device.type == "cuda"
    losses = SummedLosses(model, compile_model(model) if is_gpu else summed_token_loss)
    optimizer = make_optimizer(model, settings)
    model.train()
    sums = torch.zeros(5, dtype=torch.float64, device=model.device)
    last: list[float] = []
    start = time.perf_counter()
    for step, passes in enumerate(_endless_passes(model, table, settings)):
        if step % LOOK_EVERY == 0 or step == num_updates:
            if step:
                last = finite(sums.tolist(), step)
                pace = step * settings.windows_per_update / (time.perf_counter() - start)
                say(f"update {step}: mlm {last[0] / max(last[1], 1):.3f} {pace:,.0f} windows/s")
            sums.zero_()
        if step == num_updates:
            break
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(settings, step, num_updates)
        seed_dropout(settings.seed, step, rank=0)
        sums += update(losses, optimizer, passes, settings, autocast(model.device)).stacked()
    model.eval()
    return {"mlm": last[0] / max(last[1], 1.0), "mnm": last[2] / max(last[3], 1.0)}


def _endless_passes(
    model: GraphMERTModel, table: WindowTable, settings: TrainSettings
) -> Iterator[list[PackedRows]]:
    """Yield the passes of one update after another, one epoch after another."""
    # By the number of roots, which is the same for all variants, as their order has to be.
    num_roots: Tensor = table.root_offsets.diff()
    epoch = 0
    while True:
        batches = epoch_batches(
            num_roots,
            settings.windows_per_update,
            settings.seed,
            epoch,
            is_by_length=not table.window_ids.is_cuda,
        )
        yield from passes_of_updates(table, batches, epoch, settings, model.config.vocab_size)
        epoch += 1


def ask_everything(
    model: GraphMERTModel,
    data: StudyData,
    tasks: StudyTasks,
    variant: Variant,
    views: Views,
    settings: StudySettings,
    seed: int,
) -> dict[str, SplitOutcome]:
    """Return what the model scores on every split."""
    reports: dict[str, dict[str, TaskReport]] = {split: {} for split in tasks.held_out}
    masked: dict[str, EvaluationReport] = {}
    masks, texts = settings.masks(data), text_ids(data.tokenizer)
    for split, own in tasks.held_out.items():
        table = views.held_out[split]
        with autocast(model.device):
            masked[split] = evaluate(
                model,
                table,
                _evaluation_masks(masks, variant),
                WINDOWS_PER_BATCH_ON_GPU if table.window_ids.is_cuda else WINDOWS_PER_BATCH,
                model.device,
                text_ids=texts,
                all_leaves=data.held_out[split].to(model.device),
            )
        reports[split]["names"] = score_names(model, own.names, table, masks)
        search = score_search(model, own.search, table, data.tokenizer)
        reports[split]["search_zero_shot"] = search
    if settings.tune_updates:
        for name, scores in _tuned_reports(model, data, tasks, variant, views, settings, seed):
            for split, report in scores.items():
                reports[split][name] = report
    return {
        split: SplitOutcome.of(report.measures, macro_f1(report.relations), reports[split])
        for split, report in masked.items()
    }


def macro_f1(relations: RelationReport) -> dict[str, float]:
    """Return the macro-F1 of relations by kind, where any was asked for."""
    kinds = {"": relations.every, "local_": relations.local, "knowledge_": relations.knowledge}
    return {
        f"{kind}relation_macro_f1": scores.macro_f1
        for kind, scores in kinds.items()
        if scores.num_triples
    }


def _tuned_reports(
    model: GraphMERTModel,
    data: StudyData,
    tasks: StudyTasks,
    variant: Variant,
    views: Views,
    settings: StudySettings,
    seed: int,
) -> Iterator[tuple[str, dict[str, TaskReport]]]:
    """Yield what is asked after a fine-tune: by task, the report of each split."""
    tuning, masks = settings.tuning(seed), settings.masks(data)

    def on_each(ask: Callable[[SplitTasks, WindowTable], TaskReport]) -> dict[str, TaskReport]:
        return {split: ask(own, views.held_out[split]) for split, own in tasks.held_out.items()}

    def ask_search(own: SplitTasks, table: WindowTable) -> TaskReport:
        return score_search(searcher, own.search, table, data.tokenizer)

    def ask_misuse(own: SplitTasks, table: WindowTable) -> TaskReport:
        return score_misuse(probe, own.misuse, table)

    def ask_tails(own: SplitTasks, _: WindowTable) -> TaskReport:
        return score_tails(speller, own.tails, masks)

    searcher = tune_search(model, tasks.train_pairs, views.train, data.tokenizer, tuning)
    yield "search", on_each(ask_search)
    probe = tune_misuse(model, tasks.train_misuse, views.train, tuning)
    yield "misuse", on_each(ask_misuse)
    if not variant.are_facts_text:
        # The same questions of the same leaves for all: what differs is what came before.
        train = data.train.to(model.device)
        speller = tune_on_leaves(model, train, masks, tuning)
        yield "tails", on_each(ask_tails)


def _evaluation_masks(masks: MaskSettings, variant: Variant) -> MaskSettings:
    """Relations that stand there as text cannot be asked for."""
    return replace(masks, mnm_share=0.0) if variant.are_facts_text else masks


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        settings = StudySettings(
            **{name: getattr(options, name) for name in StudySettings.__annotations__}
        )
        variant = find_variant(options.variant)
        device = usable_device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        data = load_study_data(options.data_path, (options.split,))
        tasks = make_tasks(data, settings)
        outcome = run_variant(data, tasks, variant, options.seed, settings, device)
        write_whole(options.output, f"{outcome.to_json()}\n".encode())
    except (UserError, ValueError, OSError, NonFiniteLossError) as error:
        print(f"graphmert.study.run: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    say(f"done: {options.output}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Train one variant and ask it everything.")
    parser.add_argument("data_path", type=Path, metavar="DATASET")
    parser.add_argument("--variant", default="full", help=", ".join(each.name for each in VARIANTS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", default="validation", help="(default %(default)s)")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--device", help="such as cpu or cuda (default: cuda where there is one)")
    add_settings(parser, StudySettings())
    return parser


def add_settings(parser: argparse.ArgumentParser, defaults: StudySettings) -> None:
    """Add a flag for each of the study's settings."""
    for name, value in dataclasses.asdict(defaults).items():
        parser.add_argument(f"--{name}", type=type(value), default=value, help="(%(default)s)")


if __name__ == "__main__":
    sys.exit(main())
