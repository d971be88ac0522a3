"""Three small sources of real code, one for each split: a data set that is built in seconds."""

import shutil
from pathlib import Path

import click
import flask
import jinja2

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
