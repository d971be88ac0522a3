"""How far a step is, by the lines that the real programs print."""

import pytest

from flows.build_dataset import share_done
from flows.train import TrainingRequest
from graph_builder.progress import Amount, progress_line


@pytest.mark.parametrize(("phase", "share"), [("parsing", 0.125), ("linking", 0.625)])
def test_the_builder_parses_first_and_links_then(phase: str, share: float) -> None:
    line = progress_line(phase, Amount(10, 1_000_000), Amount(40, 4_000_000), elapsed_s=2.0)
    assert share_done(f"graph-builder: {line}") == pytest.approx(share)


@pytest.mark.parametrize(
    ("line", "share"),
    [
        ("epoch 0: validation mlm 8.3 mnm 2.5 relation accuracy 0.1 bits/byte 4.8", 0.0),
        ("epoch 2: update 50 of 200 mlm 5.1 mnm 1.2 900 windows/s", 0.3125),
        ("epoch 2: validation mlm 5.1 mnm 1.2 relation accuracy 0.6 bits/byte 2.8", 0.5),
        ("done: runs/mine/checkpoints (best, latest)", None),
    ],
)
def test_the_trainer_counts_epochs_and_updates(line: str, share: float | None) -> None:
    assert TrainingRequest(num_epochs=4).share_done(line) == share


def test_other_lines_of_the_builder_say_nothing_of_it() -> None:
    assert share_done("graph-builder: path:src: 12 files, 230 windows") is None
