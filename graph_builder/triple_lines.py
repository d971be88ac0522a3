"""The triples of some files as JSON Lines; the files of one call form one repository."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from graph_builder.entities import Triple
from graph_builder.extract import extract
from graph_builder.modules import module_name
from graph_builder.relations import RELATION_NAMES
from graph_builder.repository import Repository
from graph_builder.source_files import SourceFiles, printable, read_files


def triple_lines(files: Sequence[Path], reject: Callable[[str], None]) -> Iterator[str]:
    """Yield a JSON object for each triple, file by file in the order given.

    reject: gets "FILE: reason" for each file that cannot be used; the others go on.
    """
    root = Path("/")
    given = {path.resolve().relative_to(root).as_posix(): str(path) for path in reversed(files)}
    names = {path: given[path] for path in reversed(given)}
    found = read_files(root, list(names))
    printed = {printable(path): printable(name) for path, name in names.items()}
    for path, reason, detail in found.rejected:
        reject(f"{printed[path]}: left out, {reason}: {detail}")
    repository = _repository(root, found)
    for path in found.texts:
        for triple in repository.triples(path):
            yield _line(names[path], triple)


def _repository(root: Path, files: SourceFiles) -> Repository:
    """Resolve the files as one repository; packages are known by what lies beside the files."""
    paths = set(files.texts)
    for path in files.texts:
        folders = Path(path).parents
        beside = {(folder / "__init__.py").as_posix() for folder in folders if folder.name}
        paths |= {init for init in beside if (root / init).exists()}
    return Repository(
        [extract(path, module_name(path, paths), text) for path, text in files.texts.items()]
    )


def _line(path: str, triple: Triple) -> str:
    values = {
        "path": path,
        "head": triple.head,
        "relation": RELATION_NAMES[triple.relation],
        "tail": triple.tail,
        "head_start_byte": triple.head_start,
        "head_end_byte": triple.head_end,
        "tail_start_byte": triple.tail_start,
        "tail_end_byte": triple.tail_end,
    }
    return json.dumps(values, ensure_ascii=False)
