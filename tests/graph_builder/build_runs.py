"""What the tests of a build share: small real sources, the command itself, a folder's bytes."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from graph_builder.build_settings import BuildSettings

STDLIB = Path(sysconfig.get_path("stdlib"))
COMMAND = [sys.executable, "-m", "graph_builder.cli"]


def copy_package(name: str, into: Path) -> Path:
    """Copy a package of the standard library to `into`/NAME, a source of its own.

    Without the tables of `html.entities`, which are most of its windows and alike.
    """
    target, left_out = into / name, shutil.ignore_patterns("__pycache__", "entities.py")
    shutil.copytree(STDLIB / name, target / name, ignore=left_out)
    return target


def settings(folder: Path, output: str = "data", **changes: Any) -> BuildSettings:
    """Return a build of four small sources of `folder` (see `sources` in conftest.py)."""
    defaults: dict[str, Any] = {
        "train": (f"path:{folder}/json", f"path:{folder}/html"),
        "validation": (f"path:{folder}/wsgiref",),
        "test": (f"path:{folder}/dbm",),
        "vocab_size": 600,
        "cache_dir": folder / "cache",
    }
    return BuildSettings(output=folder / output, **{**defaults, **changes})


def arguments(wanted: BuildSettings) -> list[str]:
    """Return the command line that asks for `wanted`."""
    return [
        "build",
        *("--train", *wanted.train),
        *("--validation", *wanted.validation),
        *("--test", *wanted.test),
        *("--output", str(wanted.output), "--vocab_size", str(wanted.vocab_size)),
        *("--num_processes", str(wanted.num_processes), "--cache_dir", str(wanted.cache_dir)),
    ]


def graph_builder(*words: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    command = [*COMMAND, *(str(word) for word in words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below `folder` with its bytes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
