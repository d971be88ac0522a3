"""Tail prediction on a small data set, against one question and one candidate at a time."""

from collections import Counter

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from torch import Tensor

from graphmert.data.packing import pack
from graphmert.data.windows import WindowTable
from graphmert.evaluation.leaf_questions import all_tails, ask_triples, draw_examples
from graphmert.evaluation.tail_prediction import (
    TailTask,
    make_tail_task,
    score_tails,
    tune_on_leaves,
)
from graphmert.evaluation.tail_table import fit_tail_table
from graphmert.evaluation.token_texts import text_ids
from graphmert.evaluation.tuning import TuneSettings
from graphmert.models.graphmert import GraphMERTModel
from graphmert.training.masking import MaskSettings

MASKS = MaskSettings()


@pytest.fixture(scope="module")
def same_text(tokenizer: Tokenizer) -> Tensor:
    return text_ids(tokenizer)


@pytest.fixture(scope="module")
def task(held_out_windows: WindowTable, same_text: Tensor) -> TailTask:
    return make_tail_task(held_out_windows, same_text, num_questions=60)


@pytest.fixture(scope="module")
def facts(held_out_windows: WindowTable, same_text: Tensor) -> list[tuple]:
    """Every triple whose leaves spell its tail, read one by one."""
    found = []
    for window in range(held_out_windows.num_windows):
        batch = held_out_windows.batch([window])
        for triple in range(len(batch.triple_relations)):
            if batch.triple_is_reversed[triple]:
                continue
            start = int(batch.triple_head_starts[triple])
            end = start + int(batch.triple_head_lengths[triple])
            head = tuple(same_text[batch.root_ids[start:end]].tolist())
            tail = tuple(batch.leaf_ids[batch.leaf_triples == triple].tolist())
            relation = int(batch.triple_relations[triple])
            is_knowledge = bool(batch.triple_is_knowledge[triple])
            found.append((window, triple, relation, is_knowledge, head, tail))
    return found


def test_every_tail_is_found(
    held_out_windows: WindowTable, same_text: Tensor, facts: list[tuple]
) -> None:
    tails = all_tails(held_out_windows, same_text)
    found = list(
        zip(
            tails.windows.tolist(),
            tails.triples.tolist(),
            tails.relations.tolist(),
            tails.is_knowledge.tolist(),
            tails.heads,
            tails.tails,
            strict=True,
        )
    )
    assert found == facts
    assert sum(is_knowledge for _, _, _, is_knowledge, _, _ in facts) > 10


def slow_rank(tiny_model: GraphMERTModel, task: TailTask, index: int, facts: list[tuple]) -> float:
    """Return the rank of one question's tail: a window by itself, candidate after candidate."""
    window, triple = int(task.questions.windows[index]), int(task.questions.triples[index])
    batch = task.table.batch([window])
    (_, _, relation, _, head, tail) = next(f for f in facts if f[:2] == (window, triple))
    spelled = {
        each: batch.leaf_ids[batch.leaf_triples == each].tolist()
        for each in range(len(batch.triple_relations))
    }
    leaf_ids = batch.leaf_ids.clone()
    leaf_ids[batch.leaf_triples == triple] = MASKS.mask_token_id
    is_hidden = torch.tensor(
        [spelled[owner] == list(tail) and owner != triple for owner in batch.leaf_triples.tolist()]
    )
    masked = ask_triples(batch, torch.arange(len(spelled)) == triple, MASKS)
    assert masked.leaf_input_ids[~is_hidden].equal(leaf_ids[~is_hidden])
    assert masked.leaf_is_hidden.equal(is_hidden)
    rows = pack(batch, masked)
    with torch.no_grad():
        hidden = tiny_model.encode(rows.inputs)[0]
    places = [
        int(rows.inputs.edge_leaf[0, edge])
        for edge, owner in enumerate(rows.edge_triples[0].tolist())
        if owner == triple
    ]
    said = torch.log_softmax(tiny_model.lm_head(hidden[places]), dim=-1).detach()
    is_true = {f[5] for f in facts if f[2] == relation and f[4] == head}
    candidates = {f[5] for f in facts if f[2] == relation and len(f[5]) == len(tail)}
    scores = {
        each: sum(float(said[slot, token]) for slot, token in enumerate(each))
        for each in candidates
        if each == tail or each not in is_true
    }
    return 1 + sum(score > scores[tail] + 1e-5 for score in scores.values())


def test_ranks_equal_those_of_one_question_at_a_time(
    tiny_model: GraphMERTModel, task: TailTask, facts: list[tuple]
) -> None:
    report = score_tails(tiny_model, task, MASKS)
    ranks = np.array([slow_rank(tiny_model, task, at, facts) for at in range(len(task.questions))])
    assert len(ranks) == 60
    assert report.measures["mrr"].mean == pytest.approx((1 / ranks).mean(), abs=0.01)
    assert report.measures["hits_at_10"].mean == pytest.approx((ranks <= 10).mean(), abs=0.02)
    is_knowledge = task.questions.is_knowledge
    assert report.measures["knowledge_mrr"].num_questions == is_knowledge.sum() > 0
    assert report.counts["candidates_per_question"] > 2


def test_the_table_ranks_by_counts_with_the_head_then_of_the_relation(
    task: TailTask, train_windows: WindowTable, same_text: Tensor
) -> None:
    tails = all_tails(train_windows, same_text)
    rows = list(zip(tails.heads, tails.relations.tolist(), tails.tails, strict=True))
    by_head, by_relation = Counter(rows), Counter((r, t) for _, r, t in rows)
    counted = fit_tail_table(train_windows, same_text)
    for key, members in task.groups():
        relation, candidates = key[0], task.candidates[key]
        heads = [task.questions.heads[at] for at in members]
        scores = counted.scores(heads, relation, candidates)
        for head, row in zip(heads, scores, strict=True):
            expected = [
                (by_head[head, relation, tail], by_relation[relation, tail]) for tail in candidates
            ]
            order = np.argsort(row, kind="stable").tolist()
            assert order == sorted(range(len(candidates)), key=lambda at: expected[at])


def test_questions_are_the_same_again_and_fewer_are_some_of_more(
    held_out_windows: WindowTable, same_text: Tensor, task: TailTask
) -> None:
    again = make_tail_task(held_out_windows, same_text, num_questions=60)
    assert again.questions.windows.tolist() == task.questions.windows.tolist()
    fewer = make_tail_task(held_out_windows, same_text, num_questions=20).questions
    more = set(zip(task.questions.windows, task.questions.triples, strict=True))
    assert set(zip(fewer.windows, fewer.triples, strict=True)) < more


def test_a_short_tune_says_the_leaves_that_it_was_tuned_on(
    tiny_model: GraphMERTModel, train_windows: WindowTable, same_text: Tensor
) -> None:
    task = make_tail_task(train_windows, same_text, num_questions=100)
    settings = TuneSettings(num_updates=16, batch_size=16, learning_rate=5e-3)
    before = {name: value.clone() for name, value in tiny_model.state_dict().items()}
    tuned = tune_on_leaves(tiny_model, train_windows, MASKS, settings)
    assert all(value.equal(before[name]) for name, value in tiny_model.state_dict().items())
    raw, after = (
        score_tails(each, task, MASKS).measures["mrr"].mean for each in (tiny_model, tuned)
    )
    assert after > raw + 0.05


def test_examples_are_about_a_share_of_the_tails(train_windows: WindowTable) -> None:
    batch = train_windows.batch(range(train_windows.num_windows))
    is_asked = draw_examples(batch, 0.3, seed=1)
    assert not (is_asked & batch.triple_is_reversed).any()
    assert is_asked.sum() / (~batch.triple_is_reversed).sum() == pytest.approx(0.3, abs=0.05)
