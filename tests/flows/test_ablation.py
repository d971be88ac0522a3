"""The ablation flow, run whole on a few files with no server: child runs, tables, picture."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import flask
import jinja2
import pytest
from mlflow import MlflowClient

from graph_builder.build import build_dataset
from graph_builder.build_settings import BuildSettings

SOURCES = {
    "train": [Path(jinja2.__file__).parent / name for name in ("loaders.py", "lexer.py")],
    "validation": [Path(click.__file__).parent / name for name in ("globals.py", "utils.py")],
    "test": [Path(flask.__file__).parent / "sessions.py"],
}
SCRIPT = """
from pathlib import Path
from flows import local_settings
local_settings.apply()
from flows.ablation import ablation
print("RUN", ablation(
    data_path=Path("set"), variants=("full", "no leaves"), num_seeds=1,
    num_updates=2, batch_size=4, num_questions=10,
))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ablation")
    for split, files in SOURCES.items():
        (folder / split).mkdir()
        for file in files:
            shutil.copy(file, folder / split)
    sources = {split: (f"path:{folder / split}",) for split in SOURCES}
    build_dataset(BuildSettings(output=folder / "set", vocab_size=500, **sources))
    return folder


def test_a_run_for_each_variant_and_the_report_with_their_parent(place: Path) -> None:
    variables = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "MLFLOW_"))
    }
    store = f"sqlite:///{place / 'mlflow.db'}"
    variables |= {"PREFECT_HOME": str(place / "prefect"), "MLFLOW_TRACKING_URI": store}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=place,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (parent,) = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("RUN ")]
    client = MlflowClient(store)
    experiment = client.get_run(parent).info.experiment_id
    children = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{parent}'")
    assert {run.info.run_name for run in children} == {"full, seed 0", "no leaves, seed 0"}
    for run in children:
        assert run.info.status == "FINISHED"
        assert 0 <= run.data.metrics["validation/token_accuracy"] <= 1
        assert run.data.params["num_updates"] == "2"
    assert client.get_run(parent).info.status == "FINISHED"
    made = {file.path for file in client.list_artifacts(parent, "study")}
    assert {"study/study.md", "study/study.json"} < made
    assert "study/differences-2-updates.png" in made
    text = Path(client.download_artifacts(parent, "study/study.md", str(place))).read_text()
    assert "| full |" in text
    assert "against 'no leaves'" in text
