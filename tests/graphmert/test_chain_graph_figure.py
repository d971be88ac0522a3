"""The drawn chain graph shows a real window, and the model's own answers."""

from pathlib import Path

import pytest

from graph_builder.dataset import open_dataset
from graph_builder.relations import RELATION_NAMES
from graph_builder.shards import records_table
from graphmert.data.windows import WindowTable
from graphmert.evaluation.questions import ask_relations
from graphmert.models.loading import load_model
from graphmert.tracking.chain_graph_figure import choose_window, draw, main, triple_label


def test_every_token_and_every_answer_is_in_the_figure(
    small_dataset: Path, tiny_checkpoint: Path
) -> None:
    window = choose_window(open_dataset(small_dataset))
    table = WindowTable.from_arrow(records_table([window]))
    questions = [(0, triple) for triple in range(len(window.triple_relations))]
    answers = ask_relations(load_model(tiny_checkpoint), table, questions)

    (axes,) = draw(tiny_checkpoint, small_dataset).axes
    texts = [text.get_text() for text in axes.texts]
    labels = [triple_label(window, *pair) for pair in enumerate(answers)]
    assert [text for text in texts if text in labels] == labels
    assert len(texts) == len(window.root_ids) + len(labels) + 1
    best = [max(range(len(row)), key=row.__getitem__) for row in answers]
    num_right = sum(a == b for a, b in zip(best, window.triple_relations, strict=True))
    assert f"{num_right} of {len(answers)} relations" in axes.get_title()
    for label, answer, relation in zip(labels, best, window.triple_relations, strict=True):
        assert label.startswith(RELATION_NAMES[relation])
        assert (f"({RELATION_NAMES[answer]}: " in label) == (answer != relation)


def test_what_cannot_be_drawn_is_one_line(
    tmp_path: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture
) -> None:
    output = tmp_path / "figure.png"
    assert main([str(tiny_checkpoint), str(tmp_path), str(output)]) == 2
    assert capsys.readouterr().err.startswith("chain-graph-figure: ")
    assert not output.exists()
