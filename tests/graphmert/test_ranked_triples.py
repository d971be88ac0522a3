"""Ranked triples of code that a model has not seen: the parser's and new ones, by one score."""

import json
from pathlib import Path

import pytest

from graphmert.prediction import load_code_model, main, predict_relations, predict_texts
from graphmert.ranked_triples import rank_triples

CODE = """import os.path


class Box:
    size: int


def fill(box: Box, size: int) -> Box:
    box.size = size
    os.path.exists(size)
    return box
"""


def test_every_triple_stands_once_with_its_best_score_and_who_found_it(
    tiny_checkpoint: Path,
) -> None:
    code_model = load_code_model(tiny_checkpoint)
    ranked = rank_triples(code_model, CODE, "boxes.py")
    relations = predict_relations(code_model, CODE, "boxes.py")
    texts = predict_texts(code_model, CODE, "boxes.py")
    best: dict[tuple[str, str, str], float] = {}
    for relation, text in zip(relations, texts, strict=True):
        own = relation.tail if text.asked == "tail" else relation.head
        for name, score in [(own, text.text_score), *text.candidates]:
            ends = (relation.head, name) if text.asked == "tail" else (name, relation.tail)
            key = (ends[0], relation.relation, ends[1])
            if not own.endswith(f".{name}"):
                best[key] = max(best.get(key, 0.0), score)
    assert {(each.head, each.relation, each.tail): each.score for each in ranked} == best
    found = {(each.head, each.relation, each.tail) for each in relations}
    assert ("fill", "calls", "os.path.exists") in found
    assert {(t.head, t.relation, t.tail) for t in ranked if t.is_found} == found
    assert [each.score for each in ranked] == sorted((t.score for t in ranked), reverse=True)
    assert any(not each.is_found for each in ranked)


def test_the_command_prints_ranked_triples(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = tmp_path / "boxes.py"
    path.write_text(CODE)
    assert main([str(tiny_checkpoint), str(path), "--triples"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"path", "line", "head", "relation", "tail", "score", "is_found"} == set(lines[0])
    assert {line["path"] for line in lines} == {str(path)}
    assert {line["is_found"] for line in lines} == {True, False}
