"""What the extractor says of code, in forms that read well in tests."""

from collections.abc import Mapping
from textwrap import dedent

from graph_builder.entities import NO_SPAN, Triple
from graph_builder.extract import extract
from graph_builder.modules import module_name
from graph_builder.relations import RELATION_NAMES
from graph_builder.repository import Repository
from graph_builder.source_text import decode_source


def repository_of(files: Mapping[str, str | bytes]) -> Repository:
    """Return the repository of `files`: path to code."""
    facts = []
    for path, code in files.items():
        data = dedent(code).encode() if isinstance(code, str) else code
        facts.append(extract(path, module_name(path, files.keys()), decode_source(data)))
    return Repository(facts)


def triples_of(code: str | bytes, path: str = "m.py") -> list[Triple]:
    return repository_of({path: code}).triples(path)


def said(triple: Triple) -> str:
    """Return "head relation tail"."""
    return f"{triple.head} {RELATION_NAMES[triple.relation]} {triple.tail}"


def rows_of(code: str | bytes, path: str = "m.py") -> set[str]:
    return {said(triple) for triple in triples_of(code, path)}


def is_exact(triple: Triple, data: bytes, encoding: str = "utf-8") -> bool:
    """Tell whether the bytes at each span are the printed name, space and parentheses aside."""
    for name, start, end in (
        (triple.head, triple.head_start, triple.head_end),
        (triple.tail, triple.tail_start, triple.tail_end),
    ):
        if start == NO_SPAN:
            if end != NO_SPAN:
                return False
            continue
        written = "".join(data[start:end].decode(encoding).replace("\\\n", "").split())
        is_relative = written.startswith(".") and RELATION_NAMES[triple.relation] in (
            "imported_from",
            "imports",
        )
        is_receiver = RELATION_NAMES[triple.relation] == "instantiates"
        if written != name and not is_relative and not is_receiver:
            return False
    return True
