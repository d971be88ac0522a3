"""`benchmarks/graph_study.py` from a data set to its tables, without a GPU."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from graph_builder.dataset import open_dataset
from graphmert.study.outcome import Outcome
from graphmert.study.report import short_name

SCRIPTS = Path(__file__).parents[2] / "benchmarks"
SETTINGS = (
    *("--preset", "tiny", "--num_updates", "2", "--base_updates", "2", "--batch_size", "4"),
    *("--num_questions", "8", "--num_examples", "12", "--tune_batch_size", "4"),
    *("--search_updates", "1", "--misuse_updates", "1", "--tail_updates", "1"),
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


def left_in(said: str) -> list[str]:
    """Return the runs that a call says it leaves for another one."""
    return re.findall(r"left for another call: (.*), 2 updates", said)


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
    assert left_in(said) == ["full, seed 1", "no leaves, seed 1"]
    assert outcomes_in(two) == outcomes_in(one)

    # A run whose last fine-tune was cut off is done again, and what it said is kept until then.
    full, none = outcomes_in(one)
    cut = replace(none.splits["validation"], is_whole=False)
    cut_off = replace(none, splits={"validation": cut})
    (one / "outcomes.jsonl").write_text(f"{full.to_json()}\n{cut_off.to_json()}\n")
    third = (tmp_path / "three", *done, "--num_seeds", "1", "--budget_s", "1")
    assert left_in(call("graph_study.py", *run, *third)) == ["no leaves, seed 0"]
    assert outcomes_in(tmp_path / "three") == [full, cut_off]

    found = ("--outcomes", two / "outcomes.jsonl")
    table = call("graph_study.py", "report", *found, "--output_dir", tmp_path)
    assert "| full |" in table
    assert "against 'no leaves'" in table
    assert len(list(tmp_path.glob("*-graph-study-validation.png"))) == 1
    (page,) = tmp_path.glob("*-graph-study.md")
    assert page.read_text().strip() == table.strip()


def test_a_part_of_a_data_set_has_a_name_of_its_own(small_dataset: Path, tmp_path: Path) -> None:
    """Else runs on one would stand in a table with runs on the other."""
    names = []
    for share in ("1", "0.5"):
        folder = tmp_path / share
        given = ("--data_path", small_dataset, "--output_dir", folder, "--share", share)
        call("graph_study_data.py", *given)
        names.append((folder / "digest.txt").read_text().strip())
    digest = open_dataset(small_dataset).digest
    assert names == [digest, f"{digest} * 0.5"]
    assert [short_name(name) for name in names] == [digest[:12], f"{digest[:12]} * 0.5"]
