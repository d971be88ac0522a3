"""The triples of some files as JSON Lines; the files of one call form one repository."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from graph_builder.entities import Triple
from graph_builder.parsed_files import parse_files
from graph_builder.relations import RELATION_NAMES
from graph_builder.repository import Repository
from graph_builder.source_files import package_files, printable, read_files


def triple_lines(files: Sequence[Path], reject: Callable[[str], None]) -> Iterator[str]:
    """Yield a JSON object for each triple, file by file in the order given.

    reject: gets "FILE: reason" for each file that cannot be used; the others go on.
    """
    root = Path("/")
    names: dict[str, str] = {}
    for file in files:
        path = Path(os.path.realpath(file)).relative_to(root).as_posix()
        names.setdefault(path, printable(str(file)))
    found = read_files(root, list(names))
    printed = {printable(path): name for path, name in names.items()}
    parsed = parse_files(found.texts, package_files(root, found.texts))
    for path, reason, detail in (*found.rejected, *parsed.rejected):
        reject(f"{printed[path]}: left out, {reason}: {detail}")
    repository = Repository(parsed.facts)
    for path in parsed.texts:
        for triple in repository.triples(path):
            yield _line(names[path], triple)


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
