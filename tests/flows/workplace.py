"""A folder to work in, with three small sources of real code: a data set is built in seconds."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import flask
import jinja2

FOLDERS = ("data_dir", "runs_dir")
SPLITS = {
    "train": [Path(jinja2.__file__).parent / name for name in ("loaders.py", "lexer.py")],
    "validation": [Path(click.__file__).parent / name for name in ("globals.py", "utils.py")],
    "test": [Path(flask.__file__).parent / "sessions.py"],
}


def write_sources(folder: Path) -> Path:
    """Copy the files into `folder`/sources/SPLIT; return `folder`."""
    for split, files in SPLITS.items():
        (folder / "sources" / split).mkdir(parents=True)
        for file in files:
            shutil.copy(file, folder / "sources" / split)
    return folder


@dataclass(frozen=True)
class Workplace:
    """A folder where the command and the deployments keep all that they make."""

    folder: Path
    variables: Mapping[str, str]  # of the environment

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run the command in the folder."""
        return subprocess.run(
            [sys.executable, "-m", "flows.build_and_train", *arguments],
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def made(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}

    @property
    def store(self) -> str:
        """Where the command keeps its MLflow runs."""
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    @property
    def folders(self) -> dict[str, str]:
        """The parameters that keep a run's folders here, whatever its working directory is."""
        return {name: str(self.folder / name.removesuffix("_dir")) for name in FOLDERS}

    @property
    def parameters(self) -> dict[str, Any]:
        """A small run of `build-and-train`."""
        sources = {split: [f"path:{self.folder / 'sources' / split}"] for split in SPLITS}
        # So few windows take neither the default's rate nor its few updates.
        sizes = {"vocab_size": 500, "num_epochs": 2, "batch_size": 8, "learning_rate": 1e-3}
        return {**sources, **sizes, **self.folders}


def workplace(folder: Path) -> Workplace:
    """Put the sources into a folder, and let no setting of whoever runs the tests count there."""
    write_sources(folder)
    variables = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "MLFLOW_"))
    }
    home = folder / "sources" / "prefect"  # beside the sources: what else appears is the run's
    # One thread: the same numbers, to the last bit, wherever a run is started from.
    return Workplace(folder, {**variables, "PREFECT_HOME": str(home), "OMP_NUM_THREADS": "1"})
