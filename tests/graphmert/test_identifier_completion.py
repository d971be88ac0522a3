"""Identifier completion on a small data set, against one mention at a time."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from graphmert.data.leaf_choice import LeafChoice, choose_leaves
from graphmert.data.packing import pack
from graphmert.data.windows import WindowTable
from graphmert.evaluation.identifier_completion import NameTask, make_name_task, score_names
from graphmert.evaluation.window_text import (
    Name,
    code_names,
    first_windows,
    function_windows,
    spelled_bytes,
    window_text,
)
from graphmert.models.loading import load_model
from graphmert.training.masking import MaskSettings, mask_roots

MASKS = MaskSettings()


@pytest.fixture(scope="module")
def task(train_windows: WindowTable, tokenizer: Tokenizer) -> NameTask:
    return make_name_task(train_windows, tokenizer, num_questions=50)


def asked_roots(task: NameTask, question: int) -> range:
    start = int(task.starts[question])
    return range(start, start + int(task.lengths[question]))


def names_of(table: WindowTable, tokenizer: Tokenizer, window: int) -> list[Name]:
    spelled = spelled_bytes(tokenizer)
    [windows] = [windows for windows in function_windows(table) if window in windows]
    before = [window_text(table, each, spelled).text for each in windows if each < window]
    return code_names(window_text(table, window, spelled), b"".join(before))


def test_a_question_is_one_whole_name_of_the_code(
    task: NameTask, train_windows: WindowTable, tokenizer: Tokenizer
) -> None:
    drawn = task.windows[task.is_drawn].tolist()
    assert len(drawn) == len(set(drawn)) > 30
    assert set(task.windows.tolist()) == set(drawn)
    for question, window in enumerate(task.windows):
        names = names_of(train_windows, tokenizer, int(window))
        assert asked_roots(task, question) in [name.roots for name in names]
    begins = set(first_windows(train_windows))
    assert 10 < sum(window in begins for window in drawn) < len(drawn) - 10


def test_no_visible_local_leaf_spells_the_name_and_kinds_are_those_read_from_the_text(
    task: NameTask, train_windows: WindowTable, tokenizer: Tokenizer
) -> None:
    spelled = spelled_bytes(tokenizer)
    for question, window in enumerate(task.windows):
        text = window_text(train_windows, int(window), spelled)
        names = names_of(train_windows, tokenizer, int(window))
        name = next(each for each in names if each.roots == asked_roots(task, question))
        batch = train_windows.batch([int(window)])
        is_asked = torch.zeros(len(batch.root_ids), dtype=torch.bool)
        is_asked[list(name.roots)] = True
        masked = mask_roots(batch, is_asked, MASKS)
        is_visible = ~masked.leaf_is_hidden & (masked.leaf_input_ids == batch.leaf_ids)
        shown = {True: False, False: False}
        for triple in range(len(batch.triple_relations)):
            leaves = batch.leaf_triples == triple
            tail = b"".join(spelled[token] for token in batch.leaf_ids[leaves]).strip()
            # Leaves that a root had no slots left for are missing at the end of a name.
            is_cut = leaves.sum() == batch.layout.leaves_per_root
            spells = tail.split(b".")
            is_shown = name.text in spells or (is_cut and name.text.startswith(spells[-1]))
            if is_shown and is_visible[leaves].all():
                shown[bool(batch.triple_is_knowledge[triple])] = True
        assert not shown[False]
        # A name is repeated if it stands anywhere else, in a string or comment too.
        words = words_of(text.text)
        opening = b"".join(spelled[t] for t in batch.root_ids[: text.first_root].tolist())
        is_repeated = words.count(name.text) > 1 or name.text == opening.strip()
        # So does a part of it that the window's start or end cuts off.
        is_repeated |= text.text.endswith(words[-1]) and name.text.startswith(words[-1])
        is_repeated |= text.text.startswith(words[0]) and name.text.endswith(words[0])
        assert task.is_repeated[question] == is_repeated
        assert task.is_rare[question] == (shown[True] and not is_repeated)


def words_of(text: bytes) -> list[bytes]:
    word = bytes(b if chr(b).isalnum() or b == ord("_") or b > 127 else 32 for b in text)
    return word.split()


def test_answers_are_those_of_one_window_at_a_time_with_any_leaves(
    task: NameTask, train_windows: WindowTable, tiny_checkpoint: Path
) -> None:
    model = load_model(tiny_checkpoint)
    with torch.no_grad():  # an untrained model is never right: make it say what it reads around
        model.lm_head.decoder.bias[int(train_windows.root_ids.mode().values)] += 2.0
    for choice in (LeafChoice.BOTH, LeafChoice.NONE):
        leaves = choose_leaves(train_windows, choice, seed=0)
        hits = []
        for question, window in enumerate(task.windows):
            batch = leaves.batch([int(window)])
            is_asked = torch.zeros(len(batch.root_ids), dtype=torch.bool)
            is_asked[list(asked_roots(task, question))] = True
            with torch.no_grad():
                hidden = model.encode(pack(batch, mask_roots(batch, is_asked, MASKS)).inputs)[0]
                said = model.lm_head(hidden[: len(batch.root_ids)][is_asked]).argmax(dim=-1)
            right = task.text_ids[said] == task.text_ids[batch.root_ids[is_asked]]
            hits.append(bool(right.all()))
        report = score_names(model, task, leaves, MASKS)
        drawn, rare = np.array(hits)[task.is_drawn], np.array(hits)[task.is_rare]
        assert report.measures["accuracy"].mean == pytest.approx(drawn.mean())
        assert report.measures["accuracy"].num_questions == len(drawn)
        assert report.measures["rare_accuracy"].mean == pytest.approx(rare.mean())
        assert report.measures["rare_accuracy"].num_questions == len(rare) > 3


def test_the_baseline_says_the_name_that_stands_in_most_other_places(
    task: NameTask, train_windows: WindowTable, tokenizer: Tokenizer
) -> None:
    for question, window in enumerate(task.windows):
        names = names_of(train_windows, tokenizer, int(window))
        others = [n.text for n in names if n.roots != asked_roots(task, question)]
        asked = next(n.text for n in names if n.roots == asked_roots(task, question))
        most = max(others, key=lambda text: (others.count(text), -others.index(text)))
        assert task.is_guessed[question] == (most == asked)
