"""`graphmert-predict` and its Python functions on real code."""

import io
import json
import shutil
from pathlib import Path

import blinker
import numpy as np
import pytest
import torch

from graph_builder.chains import source_windows
from graph_builder.relations import RELATION_NAMES
from graph_builder.shards import records_table
from graphmert.data.packing import pack
from graphmert.data.windows import WindowTable
from graphmert.evaluation.leaf_questions import ask_leaves
from graphmert.evaluation.questions import ask_relations, unmasked
from graphmert.models.configuration import tiny
from graphmert.models.graphmert import GraphMERTModel
from graphmert.prediction import (
    CodeModel,
    embed,
    load_code_model,
    main,
    predict_relations,
    predict_texts,
)
from graphmert.training.masking import MaskSettings

CODE = '''"""Shapes."""
import math


class Circle:
    radius: float

    def area(self) -> float:
        return math.pi * self.radius ** 2


def unit() -> Circle:
    circle = Circle()
    return circle
'''


@pytest.fixture(scope="module")
def code_model(tiny_checkpoint: Path) -> CodeModel:
    return load_code_model(tiny_checkpoint)


def test_each_triple_of_the_parser_is_asked_for_its_relation(code_model: CodeModel) -> None:
    predictions = predict_relations(code_model, CODE, "shapes.py")
    found = {(each.head, each.relation, each.tail, each.line) for each in predictions}
    assert ("area", "returns", "float", 8) in found
    assert ("unit", "returns", "Circle", 12) in found
    for each in predictions:
        assert each.path == "shapes.py"
        assert each.predicted_relation in RELATION_NAMES
        assert each.predicted_relation_score >= each.relation_score > 0
        assert 1 / len(RELATION_NAMES) <= each.predicted_relation_score <= 1


def test_answers_do_not_depend_on_what_else_is_asked(code_model: CodeModel) -> None:
    windows = source_windows(CODE.encode(), code_model.tokenizer, "shapes.py")
    table = WindowTable.from_arrow(records_table(windows))
    questions = [(w, t) for w, each in enumerate(windows) for t in range(len(each.triple_heads))]
    together = ask_relations(code_model.model, table, questions)
    alone = [ask_relations(code_model.model, table, [question])[0] for question in questions]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    mask_id = code_model.tokenizer.token_to_id("<mask>")
    assert mask_id is not None
    masks = MaskSettings(mask_token_id=mask_id)
    leaves = list(ask_leaves(code_model.model, table, questions, masks))
    for question, (scores, truth) in zip(questions, leaves, strict=True):
        ((alone_scores, alone_truth),) = ask_leaves(code_model.model, table, [question], masks)
        torch.testing.assert_close(scores, alone_scores, atol=1e-4, rtol=1e-4)
        assert truth.equal(alone_truth)


def test_a_relation_is_not_to_be_seen_when_it_is_asked_for(code_model: CodeModel) -> None:
    windows = source_windows(CODE.encode(), code_model.tokenizer)
    table = WindowTable.from_arrow(records_table(windows))
    questions = [(w, t) for w, each in enumerate(windows) for t in range(len(each.triple_heads))]
    answers = ask_relations(code_model.model, table, questions)
    for (window, triple), answer in zip(questions, answers, strict=True):
        changed = WindowTable.from_arrow(records_table(windows))
        place = int(changed.triple_offsets[window]) + triple
        changed.triple_relations[place] = (changed.triple_relations[place] + 5) % 12
        assert ask_relations(code_model.model, changed, [(window, triple)])[0] == pytest.approx(
            answer, abs=1e-5
        )


def test_texts_are_ranked_and_the_parser_s_is_scored(code_model: CodeModel) -> None:
    relations = predict_relations(code_model, CODE)
    texts = predict_texts(code_model, CODE)
    assert len(relations) == len(texts)
    for each in texts:
        scores = [score for _, score in each.candidates]
        assert scores == sorted(scores, reverse=True)
        assert len(each.candidates) == 5
        assert all(text for text, _ in each.candidates)  # white space names nothing
        whole = [text for text, _ in each.candidates if "\N{REPLACEMENT CHARACTER}" not in text]
        assert len(set(whole)) == len(whole)  # parts of a character look alike
        assert 0 < each.text_score <= scores[0] + 1e-6


def test_an_embedding_is_the_mean_state_of_the_code_s_tokens(code_model: CodeModel) -> None:
    vector = embed(code_model, CODE)
    windows = source_windows(CODE.encode(), code_model.tokenizer)
    table = WindowTable.from_arrow(records_table(windows))
    states = []
    for index in range(table.num_windows):
        batch = table.batch([index])
        with torch.no_grad():
            hidden = code_model.model.encode(pack(batch, unmasked(batch)).inputs)[0]
        states.extend(hidden[: len(batch.root_ids)][batch.root_bytes > 0])
    assert vector.shape == (code_model.model.config.hidden_size,)
    np.testing.assert_allclose(vector, torch.stack(states).mean(dim=0).numpy(), atol=1e-5)
    assert not np.allclose(vector, embed(code_model, "import os\n"))


def test_code_without_a_token_cannot_be_embedded(code_model: CodeModel) -> None:
    with pytest.raises(ValueError, match="empty"):
        embed(code_model, "")
    assert predict_relations(code_model, "") == []


def test_the_command_prints_json_lines_for_files_and_standard_input(
    tiny_checkpoint: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(blinker.__file__).parent / "_utilities.py"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(CODE.encode())))
    assert main([str(tiny_checkpoint), str(path), "-"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["path"] for line in lines} == {str(path), "<stdin>"}
    for line in lines:
        assert {"line", "head", "relation", "tail", "predicted_relation", "candidates"} <= set(line)
        assert ("predicted_tail" in line) != ("predicted_head" in line)


def test_bad_input_gets_one_line_each_and_the_rest_goes_on(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "binary.py").write_bytes(b"\0\1\2")
    (tmp_path / "good.py").write_text(CODE)
    files = [str(tmp_path / name) for name in ("none.py", "binary.py", "good.py")]
    assert main([str(tiny_checkpoint), *files]) == 2
    shown = capsys.readouterr()
    errors = shown.err.splitlines()
    assert len(errors) == 2
    for error, file in zip(errors, files[:2], strict=True):
        assert error.startswith("graphmert-predict: ")
        assert file in error
    assert all(json.loads(line)["path"] == files[2] for line in shown.out.splitlines())
    assert shown.out


def test_what_is_no_checkpoint_or_reads_other_windows_is_refused_in_one_line(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    other = shutil.copytree(tiny_checkpoint, tmp_path / "other")
    config = tiny(len(load_code_model(tiny_checkpoint).tokenizer.get_vocab()))
    config.num_roots = 16
    GraphMERTModel(config).save_pretrained(other)
    capsys.readouterr()  # what saving the model printed
    for folder, reason in ((tmp_path, "config.json is missing"), (other, "num_roots=16")):
        assert main([str(folder), "x.py"]) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.count("\n") == 1
        assert str(folder) in shown.err
        assert reason in shown.err
