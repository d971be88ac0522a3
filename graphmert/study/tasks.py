"""The questions of a study, made once: the same for every variant and seed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from tokenizers import Tokenizer

from graphmert.data.windows import WindowTable
from graphmert.evaluation.code_search import SearchTask, make_search_task
from graphmert.evaluation.function_pairs import FunctionPairs, make_pairs
from graphmert.evaluation.identifier_completion import NameTask, make_name_task
from graphmert.evaluation.misuse_samples import MisuseSample, make_samples
from graphmert.evaluation.tail_prediction import TailTask, make_tail_task
from graphmert.evaluation.token_texts import text_ids
from graphmert.study.data import StudyData
from graphmert.study.settings import StudySettings


@dataclass(frozen=True)
class SplitTasks:
    """What is asked of a held-out split, besides masked tokens and relations."""

    tails: TailTask
    search: SearchTask
    names: NameTask
    misuse: list[MisuseSample]


@dataclass(frozen=True)
class StudyTasks:
    held_out: dict[str, SplitTasks]
    train_pairs: FunctionPairs  # to tune code search on
    train_misuse: list[MisuseSample]  # to tune the probe on


Map = Callable[[Callable[[int], Any], range], Any]  # as `map`, over numbers


def make_tasks(data: StudyData, settings: StudySettings, map_numbers: Map = map) -> StudyTasks:
    """Draw all questions; `map_numbers` may do the parts side by side."""
    parts: list[Callable[[], Any]] = [
        partial(make_pairs, data.train, data.tokenizer, settings.num_examples),
        partial(make_samples, data.train, data.tokenizer, settings.num_examples),
        *_held_out_parts(data, settings),
    ]
    train_pairs, train_misuse, *made = map_numbers(lambda at: parts[at](), range(len(parts)))
    return StudyTasks(_by_split(data, made), train_pairs, train_misuse)


def make_held_out_tasks(data: StudyData, settings: StudySettings) -> dict[str, SplitTasks]:
    """Draw the questions alone, by split, and nothing to tune on."""
    return _by_split(data, [part() for part in _held_out_parts(data, settings)])


def _held_out_parts(data: StudyData, settings: StudySettings) -> list[Callable[[], Any]]:
    """Return what makes the fields of each split's SplitTasks, one split after the other."""
    tokenizer, size = data.tokenizer, settings.num_questions
    texts = text_ids(tokenizer)
    return [
        part
        for table in data.held_out.values()
        for part in (
            partial(make_tail_task, table, texts, size),
            partial(_search_task, table, tokenizer, size),
            partial(make_name_task, table, tokenizer, size),
            partial(make_samples, table, tokenizer, size),
        )
    ]


def _by_split(data: StudyData, made: Sequence[Any]) -> dict[str, SplitTasks]:
    width = len(made) // len(data.held_out)
    return {
        split: SplitTasks(*made[at * width : (at + 1) * width])
        for at, split in enumerate(data.held_out)
    }


def _search_task(table: WindowTable, tokenizer: Tokenizer, num_pairs: int) -> SearchTask:
    return make_search_task(make_pairs(table, tokenizer, num_pairs))
