"""The files of a source as text, and those that are left out with the reason."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from graph_builder.source_text import (
    UNREADABLE,
    Rejected,
    SourceText,
    decode_source,
    read_source,
)


@dataclass(frozen=True)
class SourceFiles:
    texts: dict[str, SourceText]  # by path, in the order given
    rejected: tuple[tuple[str, str, str], ...]  # (path, reason, detail)


def read_files(root: Path, files: Sequence[str]) -> SourceFiles:
    """Read and decode `files`, given relative to `root`."""
    texts: dict[str, SourceText] = {}
    rejected: list[tuple[str, str, str]] = []
    for file in files:
        try:
            texts[_checked_name(file)] = decode_source(read_source(root / file))
        except Rejected as error:
            rejected.append((printable(file), error.reason, error.detail))
    return SourceFiles(texts, tuple(rejected))


def package_files(root: Path, files: Iterable[str]) -> set[str]:
    """Return the `__init__.py` files that lie beside `files` or above, whether usable or not."""
    folders = {folder for file in files for folder in Path(file).parents if folder.name}
    beside = {(folder / "__init__.py").as_posix() for folder in folders}
    return {file for file in beside if (root / file).exists()}


def printable(file: str) -> str:
    """Return a file name that can be printed and stored whatever bytes it has."""
    return file.encode("utf-8", "backslashreplace").decode()


def _checked_name(file: str) -> str:
    if printable(file) != file:
        raise Rejected(UNREADABLE, "its name is not UTF-8")
    return file
