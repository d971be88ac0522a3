"""Tail prediction: what follows a head through a relation, as a ranking of tails.

Legend: Q questions, F their leaves, N tokens of a row, C hidden size, V vocabulary, A candidates.
The protocol. A question is a triple whose leaves spell its tail: head and relation are to be seen,
the leaves are masked (`leaf_questions.py`), and how many there are is given. Candidates are all
distinct tails of that relation and of so many tokens in the split; those that are true of a head of
that name in the same source are left out, but for the one asked for (the filtered setting). A
candidate's score is the sum of its tokens' log-probabilities in the masked slots; candidates with
equal scores share their mean rank, so a model that says the same of all ranks as chance does.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from graphmert.data.packing import pack
from graphmert.data.windows import WindowTable
from graphmert.evaluation.leaf_questions import (
    TailQuestions,
    TokenIds,
    all_tails,
    ask_triples,
    asked_leaves,
    draw_examples,
    draw_tails,
    leaf_log_probabilities,
)
from graphmert.evaluation.measures import Measures, TaskReport, window_sources
from graphmert.evaluation.no_questions import NoQuestionsError
from graphmert.evaluation.ranking import (
    BoolArray,
    FloatArray,
    IntArray,
    mean_ranks,
    rank_measures,
)
from graphmert.evaluation.tail_table import TailTable
from graphmert.evaluation.tuning import TuneSettings, asking, copy_model, tune
from graphmert.models.graphmert import GraphMERTModel
from graphmert.training.losses import summed_cross_entropy
from graphmert.training.masking import MaskSettings

QUESTIONS_PER_BATCH = 128
EXAMPLE_SHARE = 0.3  # of the tails of a window, in tuning

Key = tuple[int, int]  # relation, tokens of the tail


@dataclass(frozen=True)
class TailTask:
    """Questions of a split, with all that they are ranked among."""

    table: WindowTable
    questions: TailQuestions
    candidates: dict[Key, list[TokenIds]]  # distinct tails, sorted
    known: list[frozenset[TokenIds]]  # Q: tails that are true of the question's head
    sources: npt.NDArray[np.str_]  # (Q,)

    def groups(self) -> Iterator[tuple[Key, IntArray]]:
        """Yield (relation, tokens) with the questions that share those candidates."""
        by_key: dict[Key, list[int]] = defaultdict(list)
        for index, tail in enumerate(self.questions.tails):
            by_key[int(self.questions.relations[index]), len(tail)].append(index)
        for key, members in sorted(by_key.items()):
            yield key, np.array(members)

    def targets(self, key: Key, members: IntArray) -> IntArray:
        """Return which candidate (members,) each question asks for."""
        place = {tail: at for at, tail in enumerate(self.candidates[key])}
        return np.array([place[self.questions.tails[index]] for index in members])

    def is_out(self, key: Key, members: IntArray) -> BoolArray:
        """Return (members, A) the candidates that are true too, and so are left out."""
        place = {tail: at for at, tail in enumerate(self.candidates[key])}
        out = np.zeros((len(members), len(place)), dtype=np.bool_)
        for row, index in enumerate(members):
            others = self.known[index] - {self.questions.tails[index]}
            out[row, [place[tail] for tail in others if tail in place]] = True
        return out


def make_tail_task(
    table: WindowTable, text_ids: Tensor, num_questions: int = 2000, seed: int = 0
) -> TailTask:
    """Draw the questions of a split; raise NoQuestionsError where it has no triple to ask for."""
    tails = all_tails(table, text_ids)
    if len(tails) == 0:
        raise NoQuestionsError("no triple of the split has leaves that spell its tail")
    sources = window_sources(table)
    questions = draw_tails(table, tails, num_questions, seed)
    candidates: dict[Key, set[TokenIds]] = defaultdict(set)
    known: dict[tuple[str, TokenIds, int], set[TokenIds]] = defaultdict(set)
    for window, relation, head, tail in _rows(tails):
        candidates[relation, len(tail)].add(tail)
        known[sources[window], head, relation].add(tail)
    return TailTask(
        table=table,
        questions=questions,
        candidates={key: sorted(found) for key, found in candidates.items()},
        known=[
            frozenset(known[sources[window], head, relation])
            for window, relation, head, _ in _rows(questions)
        ],
        sources=sources[questions.windows],
    )


def score_tails(
    model: GraphMERTModel,
    task: TailTask,
    masks: MaskSettings,
    baseline: TailTable | None = None,
) -> TaskReport:
    """Rank the candidates of each question by the model, and by a table of training counts."""
    num_questions = len(task.questions)
    ranks, table_ranks = np.zeros(num_questions), np.zeros(num_questions)
    num_candidates = np.zeros(num_questions)
    for key, members in task.groups():
        candidates = task.candidates[key]
        for part in np.array_split(members, -(-len(members) // QUESTIONS_PER_BATCH)):
            targets, is_out = task.targets(key, part), task.is_out(key, part)
            scores = _candidate_scores(model, task, part, candidates, masks)
            ranks[part] = mean_ranks(scores, targets, is_out)
            num_candidates[part] = (~is_out).sum(axis=1)
            if baseline is not None:
                heads = [task.questions.heads[index] for index in part]
                scores = baseline.scores(heads, key[0], candidates)
                table_ranks[part] = mean_ranks(scores, targets, is_out)
    return TaskReport(
        measures=_measures(task, ranks),
        baselines={"chance": _measures(task, (1 + num_candidates) / 2)}
        | ({"table": _measures(task, table_ranks)} if baseline is not None else {}),
        counts={
            "num_questions": float(num_questions),
            "num_knowledge_questions": float(task.questions.is_knowledge.sum()),
            "candidates_per_question": float(num_candidates.mean()),
        },
    )


def tune_on_leaves(
    model: GraphMERTModel, table: WindowTable, masks: MaskSettings, settings: TuneSettings
) -> GraphMERTModel:
    """Return a copy of the model that was trained for a while to say masked leaves.

    Its head for tokens is trained on roots alone, so without this it knows no leaf. `table` is of
    the train split; in each of its windows a share of the tails is asked for.
    """
    windows = (table.triple_offsets.diff() > 0).nonzero().flatten()
    if len(windows) == 0:
        raise NoQuestionsError("no window to tune on has a triple")
    tuned = copy_model(model)

    def loss_of(chosen: Tensor) -> Tensor:
        batch = table.batch(windows[chosen.to(windows.device)])
        is_asked = draw_examples(batch, EXAMPLE_SHARE, settings.seed)
        rows = pack(batch, ask_triples(batch, is_asked, masks)).to(tuned.device)
        states = tuned.encode(rows.inputs)[asked_leaves(rows, is_asked)]  # (F, C)
        labels = batch.leaf_ids[is_asked[batch.leaf_triples]].to(tuned.device)
        return summed_cross_entropy(tuned.lm_head(states), labels) / max(len(labels), 1)

    tune([tuned], len(windows), loss_of, settings)
    return tuned


def _candidate_scores(
    model: GraphMERTModel,
    task: TailTask,
    members: IntArray,
    candidates: list[TokenIds],
    masks: MaskSettings,
) -> FloatArray:
    """Return (members, A): the summed log-probability of each candidate in the masked slots."""
    batch = task.table.batch(task.questions.windows[members])
    asked = torch.from_numpy(task.questions.triples[members]).to(batch.triple_index.device)
    is_asked = batch.triple_index == asked[batch.triple_windows]
    with asking(model):
        said = leaf_log_probabilities(model, batch, is_asked, masks)  # (leaves, V)
    said = said.view(len(members), -1, said.shape[-1])  # all have as many leaves: (Q, tokens, V)
    ids = torch.tensor(candidates, device=said.device)  # (A, tokens)
    scores = sum(said[:, slot, ids[:, slot]].double() for slot in range(ids.shape[1]))
    assert isinstance(scores, Tensor)
    return scores.cpu().numpy()


def _measures(task: TailTask, ranks: FloatArray) -> Measures:
    """Return the measures over all questions and over each kind of triple."""
    is_knowledge = task.questions.is_knowledge
    kinds = {"": np.ones_like(is_knowledge), "local_": ~is_knowledge, "knowledge_": is_knowledge}
    measures: Measures = {}
    for kind, chosen in kinds.items():
        measures |= rank_measures(ranks[chosen], task.sources[chosen], kind)
    return measures


def _rows(tails: TailQuestions) -> Iterator[tuple[int, int, TokenIds, TokenIds]]:
    """Yield (window, relation, head, tail)."""
    windows, relations = tails.windows.tolist(), tails.relations.tolist()
    return zip(windows, relations, tails.heads, tails.tails, strict=True)
