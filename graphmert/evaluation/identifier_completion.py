"""Identifier completion: one whole name is masked where it stands, all else of the window stays.

Legend: Q questions, W windows, R roots, V vocabulary. A question is one mention of an identifier of
the code (not of a string or comment, no keyword), in a window of a function. All its tokens are
masked; the rules of honest leaves hold: local leaves that restate the window are hidden, and so are
leaves that hang on the name. It is right if every token is, a leading space aside.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor

from graphmert.data.counter_random import bits, window_keys
from graphmert.data.packing import pack
from graphmert.data.windows import RaggedBatch, WindowTable
from graphmert.evaluation.measures import Measures, TaskReport, measure, window_sources
from graphmert.evaluation.no_questions import NoQuestionsError
from graphmert.evaluation.ranking import BoolArray, IntArray
from graphmert.evaluation.token_texts import text_ids
from graphmert.evaluation.tuning import asking
from graphmert.evaluation.window_text import (
    Name,
    code_names,
    function_windows,
    in_drawn_order,
    spelled_bytes,
    window_text,
)
from graphmert.models.graphmert import GraphMERTModel
from graphmert.training.masking import MaskSettings, mask_roots

QUESTIONS_PER_BATCH = 128
_CHOICE = 110  # stream of random numbers, apart from those of masking
MASK_62 = (1 << 62) - 1


@dataclass(frozen=True)
class NameTask:
    """Q mentions to complete."""

    windows: IntArray  # (Q,) of the table
    starts: IntArray  # (Q,) first root of the mention, in its window
    lengths: IntArray  # (Q,) roots
    is_drawn: BoolArray  # (Q,) one a window; the others are there because they are rare
    is_repeated: BoolArray  # (Q,) the window says the name in another place too
    is_rare: BoolArray  # (Q,) it does not, and a knowledge leaf shows the name
    is_guessed: BoolArray  # (Q,) it is the window's most frequent name
    sources: npt.NDArray[np.str_]  # (Q,)
    text_ids: Tensor  # (V,) one id for tokens of the same text

    def __len__(self) -> int:
        return len(self.windows)


def make_name_task(
    table: WindowTable, tokenizer: Tokenizer, num_questions: int = 2000, seed: int = 0
) -> NameTask:
    """Draw the questions from a split with all its leaves, which say what is rare: one in each of
    `num_questions` windows, or of all, and every rare name of these windows.

    Raises NoQuestionsError where no function has a name to ask for.
    """
    table, spelled = table.to("cpu"), spelled_bytes(tokenizer)
    asked: list[_Mention] = []
    num_drawn = 0
    before = {
        window: windows[:at]
        for windows in function_windows(table)
        for at, window in enumerate(windows)
    }
    for window in in_drawn_order(table, list(before), seed):
        code = (window_text(table, each, spelled).text for each in before[window])
        names = code_names(window_text(table, window, spelled), b"".join(code))
        if names:
            drawn = _draw(names, int(table.window_ids[window]), seed)
            may_be_rare = _shown_once(table, window, names)
            asked += [
                _mention(window, names, each, each is drawn)
                for each in names
                if each is drawn or each in may_be_rare
            ]
            num_drawn += 1
        if num_drawn == num_questions:
            break
    if not asked:
        raise NoQuestionsError("no function of the split has a name to complete")
    return _task(table, tokenizer, asked)


@dataclass(frozen=True)
class _Mention:
    """One place of a name that may be asked for."""

    window: int
    start: int
    length: int
    is_drawn: bool
    is_guessed: bool


def _mention(window: int, names: list[Name], name: Name, is_drawn: bool) -> _Mention:
    is_guessed = _most_frequent(names, name) == name.text
    return _Mention(window, name.roots.start, len(name.roots), is_drawn, is_guessed)


def _shown_once(table: WindowTable, window: int, names: list[Name]) -> list[Name]:
    """Return the names that the code says once and a knowledge leaf of the window spells."""
    first_leaf, end_leaf = table.leaf_offsets[window : window + 2].tolist()
    triples = table.leaf_triples[first_leaf:end_leaf].long() + table.triple_offsets[window]
    shown = set(table.leaf_names[first_leaf:end_leaf][table.triple_is_knowledge[triples]].tolist())
    first_root = int(table.root_offsets[window])
    counts = Counter(name.text for name in names)
    return [
        name
        for name in names
        if counts[name.text] == 1 and int(table.root_names[first_root + name.roots.start]) in shown
    ]


def _task(table: WindowTable, tokenizer: Tokenizer, asked: list[_Mention]) -> NameTask:
    """Keep of the mentions those that were drawn and those that are rare."""
    windows = np.array([each.window for each in asked])
    starts = np.array([each.start for each in asked])
    lengths = np.array([each.length for each in asked])
    is_drawn = np.array([each.is_drawn for each in asked])
    is_repeated, is_shown = _seen_elsewhere(table, windows, starts, lengths)
    is_rare = is_shown & ~is_repeated
    kept = is_drawn | is_rare
    return NameTask(
        windows=windows[kept],
        starts=starts[kept],
        lengths=lengths[kept],
        is_drawn=is_drawn[kept],
        is_repeated=is_repeated[kept],
        is_rare=is_rare[kept],
        is_guessed=np.array([each.is_guessed for each in asked])[kept],
        sources=window_sources(table)[windows[kept]],
        text_ids=text_ids(tokenizer),
    )


def score_names(
    model: GraphMERTModel, task: NameTask, table: WindowTable, masks: MaskSettings
) -> TaskReport:
    """Complete every name; `table` has the windows and roots that the task was drawn from, with
    whichever leaves."""
    is_hit = np.zeros(len(task), dtype=np.bool_)
    order = table.num_tokens.cpu()[torch.from_numpy(task.windows)].argsort(stable=True)
    for members in order.split(QUESTIONS_PER_BATCH):
        is_hit[members.numpy()] = _complete(model, task, members.numpy(), table, masks)
    return TaskReport(
        measures=_measures(task, is_hit),
        baselines={"most_frequent_name": _measures(task, task.is_guessed)},
        counts={
            "num_questions": float(task.is_drawn.sum()),
            "num_repeated": float((task.is_drawn & task.is_repeated).sum()),
            "num_rare": float(task.is_rare.sum()),
        },
    )


def _complete(
    model: GraphMERTModel,
    task: NameTask,
    members: IntArray,
    table: WindowTable,
    masks: MaskSettings,
) -> BoolArray:
    """Return for each question (members,) whether every token is right."""
    batch = table.batch(task.windows[members])
    is_asked = _asked_roots(batch, task.starts[members], task.lengths[members])
    rows = pack(batch, mask_roots(batch, is_asked, masks)).to(model.device)
    with asking(model):
        states = model.encode(rows.inputs).flatten(0, 1)[rows.mlm_tokens]
        said = model.lm_head(states).argmax(dim=-1).cpu()
    is_right = task.text_ids[said] == task.text_ids[rows.mlm_labels.cpu()]
    owners = batch.root_windows[rows.mlm_roots.to(batch.root_windows.device)].cpu()
    num_right = torch.bincount(owners, weights=is_right.double(), minlength=len(members))
    return num_right.numpy() == task.lengths[members]


def _asked_roots(batch: RaggedBatch, starts: IntArray, lengths: IntArray) -> Tensor:
    """Return (R,) bool: the roots of the mention that each window of the batch is asked for."""
    device = batch.root_index.device
    first = torch.from_numpy(starts).to(device)[batch.root_windows]
    length = torch.from_numpy(lengths).to(device)[batch.root_windows]
    return (batch.root_index >= first) & (batch.root_index < first + length)


def _seen_elsewhere(
    table: WindowTable, windows: IntArray, starts: IntArray, lengths: IntArray
) -> tuple[BoolArray, BoolArray]:
    """Return (Q,) twice: whether another root, and whether a visible knowledge leaf, is part of
    the name that is asked for."""
    batch = table.batch(windows).to("cpu")
    is_asked = _asked_roots(batch, starts, lengths)
    masked = mask_roots(batch, is_asked, MaskSettings())
    asked_name = torch.zeros(len(windows), dtype=torch.int64)
    asked_name[batch.root_windows[is_asked]] = batch.root_names[is_asked]

    def has(owners: Tensor, names: Tensor, counts: Tensor) -> BoolArray:
        is_name = (names == asked_name[owners]) & (names >= 0) & counts
        return torch.bincount(owners[is_name], minlength=len(windows)).numpy() > 0

    is_visible = batch.triple_is_knowledge[batch.leaf_triples] & ~masked.leaf_is_hidden
    return (
        has(batch.root_windows, batch.root_names, ~is_asked),
        has(batch.leaf_windows, batch.leaf_names, is_visible),
    )


def _draw(names: list[Name], window_id: int, seed: int) -> Name:
    """Draw one of the names that stand there, then one of its places."""
    texts = list(dict.fromkeys(name.text for name in names))
    key = window_keys(torch.tensor([window_id]), seed, _CHOICE)
    first, second = (int(each) for each in bits(key, torch.arange(2)) & MASK_62)
    places = [name for name in names if name.text == texts[first % len(texts)]]
    return places[second % len(places)]


def _most_frequent(names: list[Name], asked: Name) -> bytes | None:
    """Return the name that stands in most other places of the window, the first of equals."""
    others = Counter(name.text for name in names if name is not asked)
    return others.most_common(1)[0][0] if others else None


def _measures(task: NameTask, is_hit: BoolArray) -> Measures:
    kinds = {
        "": task.is_drawn,
        "repeated_": task.is_drawn & task.is_repeated,
        "rare_": task.is_rare,
        "other_": task.is_drawn & ~task.is_repeated & ~task.is_rare,
    }
    return {
        f"{kind}accuracy": measure(is_hit[is_kind], task.sources[is_kind])
        for kind, is_kind in kinds.items()
    }
