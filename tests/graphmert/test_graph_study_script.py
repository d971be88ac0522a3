"""`benchmarks/graph_study.py` from a data set to its tables, on the CPU, as it runs on cards."""

import subprocess
import sys
from pathlib import Path

import pytest

from graphmert.study.outcome import Outcome

SCRIPTS = Path(__file__).parents[2] / "benchmarks"
SETTINGS = (
    *("--preset", "tiny", "--num_updates", "2", "--base_updates", "2", "--batch_size", "4"),
    *("--num_questions", "8", "--num_examples", "12", "--tune_updates", "1"),
    *("--tune_batch_size", "4"),
)


def call(script: str, *arguments: str | Path) -> str:
    """Run a script, which has to succeed, and return what it prints."""
    command = [sys.executable, str(SCRIPTS / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def carried(small_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("carried")
    call("graph_study_data.py", "--data_path", small_dataset, "--output_dir", folder)
    return folder


def outcomes_in(folder: Path) -> list[Outcome]:
    lines = (folder / "outcomes.jsonl").read_text().splitlines()
    return [Outcome.from_json(line) for line in lines]


def test_a_study_goes_on_where_an_earlier_call_ended_and_makes_its_tables(
    carried: Path, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    bases = ("--bases_dir", tmp_path / "bases")
    run = ("run", "--data", carried, "--num_gpus", "0", *bases, *SETTINGS)
    run = (*run, "--variants", "full", "no leaves", "--output_dir")

    call("graph_study.py", *run, one, "--num_seeds", "1")
    assert [(each.variant, each.seed) for each in outcomes_in(one)] == [
        ("full", 0),
        ("no leaves", 0),
    ]

    done = ("--done", one / "outcomes.jsonl")
    said = call("graph_study.py", *run, two, *done, "--num_seeds", "2", "--budget_s", "1")
    assert "2 runs are done" in said
    assert "starts:" not in said
    assert "left for another call: full, seed 1" in said
    assert outcomes_in(two) == outcomes_in(one)

    found = ("--outcomes", two / "outcomes.jsonl")
    table = call("graph_study.py", "report", *found, "--output_dir", tmp_path)
    assert "| full |" in table
    assert "against 'no leaves'" in table
    (page,) = tmp_path.glob("*-graph-study.md")
    assert page.read_text().strip() == table.strip()
