"""Draw triples of installed packages for a reader to judge one by one, with the code around them.

    python benchmarks/sample_triples.py --seed 0 > drawn.jsonl

What was judged is kept in tests/graph_builder/data/triple_verdicts.jsonl. The order of the draw
comes from a hash of each triple, so a triple that the extractor gains or loses changes no other's.
"""

import argparse
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from graph_builder.entities import NO_SPAN, Definition, FileFacts, Triple
from graph_builder.parsed_files import parse_files
from graph_builder.relations import RELATION_NAMES
from graph_builder.repository import Repository
from graph_builder.source_files import read_files
from graph_builder.source_spec import parse_spec
from graph_builder.sources import resolve

LOOKED_AT: Final = ("click", "flask", "jinja2")  # read while the rules were coded; the rest not
UNSEEN: Final = (
    "aiohttp",
    "alembic",
    "anyio",
    "attrs",
    "docker",
    "httpx",
    "markdown",
    "requests",
    "starlette",
    "uvicorn",
    "websockets",
    "werkzeug",
)
NUM_EACH: Final = 50  # triples of a relation
MAX_OF_FILE: Final = 2  # triples of a relation


@dataclass(frozen=True)
class Source:
    """One installed package, extracted as one repository."""

    name: str
    version: str
    repository: Repository
    contents: dict[str, bytes]  # by path
    triples: dict[str, list[Triple]]  # by path


def read_source(name: str) -> Source:
    """Extract the installed package `name`; raise UserError where there is none."""
    found = resolve(parse_spec(f"installed:{name}"), Path())  # nothing to fetch, nothing to cache
    parsed = parse_files(read_files(found.root, found.files).texts)
    contents = {path: text.data for path, text in parsed.texts.items()}
    repository = Repository(parsed.facts)
    triples = {path: repository.triples(path) for path in contents}
    version = found.revision.partition("+sha256:")[0]
    return Source(name, version, repository, contents, triples)


def row(source: Source, path: str, triple: Triple) -> dict[str, object]:
    """Return what tells a triple from all others, and where to read it."""
    return {
        "source": source.name,
        "version": source.version,
        "path": path,
        "head": triple.head,
        "relation": RELATION_NAMES[triple.relation],
        "tail": triple.tail,
        "head_span": [triple.head_start, triple.head_end],
        "tail_span": [triple.tail_start, triple.tail_end],
        "line": _line_at(source.contents[path], triple.site),
    }


def draw(sources: Sequence[Source], relation: int, seed: int) -> list[dict[str, object]]:
    """Return rows of one relation, a source after the other until there are enough."""
    queues = [iter(_shuffled(source, relation, seed)) for source in sources]
    drawn: list[dict[str, object]] = []
    while queues and len(drawn) < NUM_EACH:
        for queue in list(queues):
            chosen = next(queue, None)
            if chosen is None:
                queues.remove(queue)
            elif len(drawn) < NUM_EACH:
                drawn.append(chosen)
    return drawn


def _shuffled(source: Source, relation: int, seed: int) -> Iterator[dict[str, object]]:
    """Yield the triples of a source in an order without meaning, few of any one file."""
    found = [
        (path, triple)
        for path, triples in source.triples.items()
        for triple in triples
        if triple.relation == relation
    ]
    taken: Counter[str] = Counter()
    for path, triple in sorted(found, key=lambda item: _rank(seed, source.name, *item)):
        taken[path] += 1
        if taken[path] <= MAX_OF_FILE:
            excerpt = _excerpt(source.contents[path], source.repository.file(path), triple)
            yield {**row(source, path, triple), "excerpt": excerpt}


def _rank(seed: int, source: str, path: str, triple: Triple) -> bytes:
    return hashlib.sha256(repr((seed, source, path, triple[:7])).encode()).digest()


def _excerpt(data: bytes, file: FileFacts, triple: Triple) -> str:
    """Return numbered lines: the site, the ends of the triple, the enclosing definition's name."""
    lines = data.splitlines()
    site = _line_at(data, triple.site)
    shown = set(range(site - 2, site + 4))
    for offset in (triple.head_start, triple.tail_start):
        if offset != NO_SPAN:
            shown.update(range(_line_at(data, offset) - 1, _line_at(data, offset) + 2))
    enclosing = _enclosing(file.definitions, triple.site)
    if enclosing is not None:
        shown.add(_line_at(data, enclosing.name_start))
    return "\n".join(
        f"{number}: {lines[number - 1].decode(errors='replace').rstrip()}"
        for number in sorted(shown)
        if 1 <= number <= len(lines)
    )


def _enclosing(definitions: Sequence[Definition], site: int) -> Definition | None:
    around = [item for item in definitions if item.start <= site < item.end]
    return max(around, key=lambda item: item.start, default=None)


def _line_at(data: bytes, offset: int) -> int:
    return data.count(b"\n", 0, offset) + 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default %(default)s")
    seed = parser.parse_args().seed
    sources = [read_source(name) for name in (*UNSEEN, *LOOKED_AT)]
    for relation in range(len(RELATION_NAMES)):
        for drawn in draw(sources, relation, seed):
            print(json.dumps(drawn, ensure_ascii=False))


if __name__ == "__main__":
    main()
