"""The files of a source, parsed: facts of those that can be, reasons for the others."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from graph_builder.entities import FileFacts
from graph_builder.extract import extract
from graph_builder.modules import module_name
from graph_builder.source_text import TOO_DEEP, SourceText


@dataclass(frozen=True)
class ParsedFiles:
    texts: dict[str, SourceText]  # of the files in `facts`, by path
    facts: tuple[FileFacts, ...]
    rejected: tuple[tuple[str, str, str], ...]  # (path, reason, detail)

    @property
    def syntax_errors(self) -> tuple[tuple[str, int], ...]:
        """Return (path, number of errors) of each file whose sound parts alone are used."""
        pairs = ((file.path, file.num_syntax_errors) for file in self.facts)
        return tuple((path, number) for path, number in pairs if number)


def parse_files(texts: Mapping[str, SourceText], packages: Iterable[str] = ()) -> ParsedFiles:
    """Parse every file by itself; `packages` are `__init__.py` files that are there besides."""
    paths = {*texts, *packages}
    kept: dict[str, SourceText] = {}
    facts: list[FileFacts] = []
    rejected: list[tuple[str, str, str]] = []
    for path, text in texts.items():
        try:
            facts.append(extract(path, module_name(path, paths), text))
        except RecursionError:
            # Only code that a program wrote is that deep.
            rejected.append((path, TOO_DEEP, "an expression nested deeper than Python's stack"))
        else:
            kept[path] = text
    return ParsedFiles(kept, tuple(facts), tuple(rejected))
