"""The folder of work in progress, OUTPUT/.building: what is done is not done again.

Its files are named by what went into them. It goes when the data set is complete, stays when the
build is killed, and goes too when the input turns out to be bad.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from graph_builder.errors import UserError
from graph_builder.manifest import MANIFEST_NAME

BUILDING_NAME: Final = ".building"


@dataclass(frozen=True)
class BuildFolder:
    path: Path

    def tokenizer(self, key: str) -> Path:
        return self.path / f"tokenizer-{key}"

    def windows(self, key: str, batch: int) -> Path:
        return self.path / f"{key}.{batch}.arrow"

    def report(self, key: str, batch: int) -> Path:
        return self.path / f"{key}.{batch}.json"


@contextmanager
def open_build_folder(output: Path) -> Iterator[BuildFolder]:
    """Yield the folder of work in progress of `output`, for this process alone.

    Raises UserError where `output` holds something else, or another build is at work there.
    """
    check_output(output)
    was_there = output.exists()
    folder = output / BUILDING_NAME
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        if not _is_locked(lock):
            raise UserError(f"{output}: another build is at work there: wait for it")
        try:
            yield BuildFolder(folder)
        except UserError:
            shutil.rmtree(folder)
            if not was_there:
                shutil.rmtree(output)
            raise
        shutil.rmtree(folder)


def _is_locked(lock: IO[str]) -> bool:
    """Lock an open file; return False where another process has it, or took its name away."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    # A build that ends removes its lock: whoever opened it before then locks a file without a name.
    return os.fstat(lock.fileno()).st_nlink > 0


def check_output(output: Path) -> None:
    """Raise UserError where `output` cannot become a data set without harm to what is there."""
    if not output.exists():
        return
    if not output.is_dir():
        raise UserError(f"{output}: not a folder: choose another output")
    is_ours = (output / MANIFEST_NAME).exists() or (output / BUILDING_NAME).exists()
    if not is_ours and any(output.iterdir()):
        raise UserError(f"{output}: holds something that is no data set: choose another output")
