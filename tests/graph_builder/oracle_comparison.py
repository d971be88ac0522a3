"""Compare the extractor with the `ast` oracle, file by file, as multisets of rows."""

import warnings
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ast_oracle import Oracle, Row
from extracted_rows import is_exact

from graph_builder.entities import Triple
from graph_builder.extract import extract
from graph_builder.modules import module_name
from graph_builder.relations import RELATION_NAMES
from graph_builder.repository import Repository
from graph_builder.source_text import Rejected, SourceText, decode_source


@dataclass
class Agreement:
    """How far the two agree, each disagreement with its file."""

    num_agreed: Counter[str] = field(default_factory=Counter)  # by relation
    extra: list[tuple[str, Row]] = field(default_factory=list)  # the extractor alone says so
    missing: list[tuple[str, Row]] = field(default_factory=list)  # the oracle alone says so
    inexact: list[tuple[str, Triple]] = field(default_factory=list)  # spans that are not the name
    num_files: int = 0

    @property
    def precision(self) -> float:
        agreed = self.num_agreed.total()
        return agreed / (agreed + len(self.extra))

    @property
    def recall(self) -> float:
        agreed = self.num_agreed.total()
        return agreed / (agreed + len(self.missing))

    def __add__(self, other: "Agreement") -> "Agreement":
        return Agreement(
            self.num_agreed + other.num_agreed,
            self.extra + other.extra,
            self.missing + other.missing,
            self.inexact + other.inexact,
            self.num_files + other.num_files,
        )


def compare(paths: Iterable[Path], root: Path) -> Agreement:
    """Compare every file of `paths` (below `root`) that this Python can parse."""
    result = Agreement()
    paths = list(paths)
    packages = {folder / "__init__.py" for path in paths for folder in path.parents}
    names = {str(path.relative_to(root)) for path in packages if root in path.parents}
    existing = {name for name in names if (root / name).exists()}
    for path in paths:
        name = str(path.relative_to(root))
        module = module_name(name, existing)
        try:
            source = decode_source(path.read_bytes())
            with warnings.catch_warnings(action="ignore"):
                expected = Oracle(module, path.name == "__init__.py").read(source.data)
        except (Rejected, SyntaxError, RecursionError):
            continue
        result.num_files += 1
        triples = Repository([extract(name, module, source)]).triples(name)
        result.inexact += [
            (name, each) for each in triples if not is_exact(each, source.data, source.encoding)
        ]
        found = _rows(triples, source)
        _fill_lines(expected, found)
        for row, count in (expected & found).items():
            result.num_agreed[row[1]] += count
        result.extra += [(name, row) for row in (found - expected).elements()]
        result.missing += [(name, row) for row in (expected - found).elements()]
    return result


def _rows(triples: list[Triple], source: SourceText) -> Counter[Row]:
    newlines = [at for at, byte in enumerate(source.data) if byte == ord("\n")]
    rows: Counter[Row] = Counter()
    for triple in triples:
        relation = RELATION_NAMES[triple.relation]
        if relation != "flows_to":
            merged = "callee" if relation in ("calls", "instantiates") else relation
            line = bisect_left(newlines, triple.site) + 1
            rows[triple.head, merged, triple.tail, line] += 1
    return rows


def _fill_lines(expected: Counter[Row], found: Counter[Row]) -> None:
    """Give rows without a line (inside f-strings) that of an equal row which is left over."""
    spare: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in (found - expected).elements():
        spare[row[:3]].append(row)
    for row in [row for row in expected if row[3] is None]:
        for _ in range(expected.pop(row)):
            left_over = spare[row[:3]]
            expected[left_over.pop() if left_over else row] += 1
