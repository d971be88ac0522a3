"""The tasks that a checkpoint is asked beside its own objectives, each with its baselines.

Those that the model was not trained for tune a copy of it for a while on the train split.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tokenizers import Tokenizer

from graphmert.data.leaf_choice import LeafChoice, choose_leaves
from graphmert.data.windows import WindowTable
from graphmert.evaluation.bm25 import score_bm25
from graphmert.evaluation.code_search import (
    Similarity,
    make_search_task,
    score_search,
    tune_search,
)
from graphmert.evaluation.evaluate import evaluate
from graphmert.evaluation.function_pairs import make_pairs
from graphmert.evaluation.identifier_completion import make_name_task, score_names
from graphmert.evaluation.measures import TaskReport
from graphmert.evaluation.misuse_samples import make_samples
from graphmert.evaluation.no_questions import NoQuestionsError
from graphmert.evaluation.tail_prediction import make_tail_task, score_tails, tune_on_leaves
from graphmert.evaluation.tail_table import fit_tail_table
from graphmert.evaluation.text_states import cosine_of_means, late_interaction
from graphmert.evaluation.token_texts import text_ids
from graphmert.evaluation.tuning import TuneSettings
from graphmert.evaluation.variable_misuse import score_misuse, tune_misuse
from graphmert.models.graphmert import GraphMERTModel
from graphmert.training.masking import MaskSettings
from graphmert.training.settings import check_positive


@dataclass(frozen=True)
class TaskSettings:
    """How much is asked, and how long a copy of the model is tuned for it."""

    num_questions: int = 1000  # of each task
    num_examples: int = 5000  # of the train split, for a fine-tune to draw from
    tuning: TuneSettings = field(default_factory=TuneSettings)

    def __post_init__(self) -> None:
        for name in ("num_questions", "num_examples"):
            check_positive(name, getattr(self, name))


@dataclass(frozen=True)
class TaskData:
    """What the tasks read; tables with all their leaves, on the CPU."""

    held_out: WindowTable
    train: WindowTable | None  # None: the data set has none, so nothing can be tuned
    tokenizer: Tokenizer
    masks: MaskSettings

    def to_tune_on(self) -> WindowTable:
        if self.train is None:
            raise NoQuestionsError("the data set has no train windows to tune on")
        return self.train


Reports = dict[str, TaskReport]


def run_tasks(
    names: Sequence[str], model: GraphMERTModel, data: TaskData, settings: TaskSettings
) -> tuple[Reports, dict[str, str]]:
    """Return the reports of the tasks with these names, and why others of them were left out."""
    reports: Reports = {}
    left_out: dict[str, str] = {}
    for name in names:
        try:
            reports |= TASKS[name](model, data, settings)
        except NoQuestionsError as error:
            left_out[name] = str(error)
    return reports, left_out


def tokens_without_leaves(model: GraphMERTModel, data: TaskData, settings: TaskSettings) -> Reports:
    """Ask for the masked tokens of `evaluate` once more, with no leaf to be seen."""
    del settings
    bare = choose_leaves(data.held_out, LeafChoice.NONE, seed=0)
    report = evaluate(
        model,
        bare,
        data.masks,
        device=model.device,
        text_ids=text_ids(data.tokenizer),
        all_leaves=data.held_out,
    )
    measures = {name: each for name, each in report.measures.items() if "token" in name}
    return {"tokens_without_leaves": TaskReport(measures, counts=report.derived)}


def identifier_completion(model: GraphMERTModel, data: TaskData, settings: TaskSettings) -> Reports:
    task = make_name_task(data.held_out, data.tokenizer, settings.num_questions)
    return {"identifier_completion": score_names(model, task, data.held_out, data.masks)}


def tail_prediction(model: GraphMERTModel, data: TaskData, settings: TaskSettings) -> Reports:
    texts, train = text_ids(data.tokenizer), data.to_tune_on()
    task = make_tail_task(data.held_out, texts, settings.num_questions)
    tuned = tune_on_leaves(model, train, data.masks, settings.tuning)
    baseline = fit_tail_table(train, texts)
    return {"tail_prediction": score_tails(tuned, task, data.masks, baseline)}


def code_search(model: GraphMERTModel, data: TaskData, settings: TaskSettings) -> Reports:
    pairs = make_pairs(data.held_out, data.tokenizer, settings.num_questions)
    task = make_search_task(pairs)
    bm25 = score_bm25(task)

    def scored(searcher: GraphMERTModel, similarity: Similarity) -> TaskReport:
        report = score_search(searcher, task, data.held_out, data.tokenizer, similarity)
        return TaskReport(report.measures, report.baselines | {"bm25": bm25}, report.counts)

    reports = {"code_search_zero_shot": scored(model, cosine_of_means)}
    if data.train is not None:
        examples = make_pairs(data.train, data.tokenizer, settings.num_examples)
        tuned = tune_search(model, examples, data.train, data.tokenizer, settings.tuning)
        reports["code_search"] = scored(tuned, late_interaction)
    return reports


def variable_misuse(model: GraphMERTModel, data: TaskData, settings: TaskSettings) -> Reports:
    train = data.to_tune_on()
    samples = make_samples(data.held_out, data.tokenizer, settings.num_questions)
    examples = make_samples(train, data.tokenizer, settings.num_examples)
    probe = tune_misuse(model, examples, train, settings.tuning)
    return {"variable_misuse": score_misuse(probe, samples, data.held_out)}


TASKS: dict[str, Callable[[GraphMERTModel, TaskData, TaskSettings], Reports]] = {
    "tokens_without_leaves": tokens_without_leaves,
    "identifier_completion": identifier_completion,
    "tail_prediction": tail_prediction,
    "code_search": code_search,
    "variable_misuse": variable_misuse,
}
