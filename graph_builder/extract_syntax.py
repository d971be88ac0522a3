"""The tree-sitter grammar of Python, and what it can still read of a file with syntax errors."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Final

import tree_sitter_python
from tree_sitter import Language, Node, Parser, Point, Range, Tree

# Top-level statements start here; a line that goes on with one (`else:`, a bracket) does not match.
_STATEMENT: Final = re.compile(rb"^(?!(?:else|elif|except|finally)\b)[^\W\d]|^@", re.MULTILINE)
_DECORATOR: Final = ord("@")
# A broken statement may be one that the split above tore apart: so many parts are tried together.
MAX_JOINED_PARTS: Final = 4
ERROR_KIND: Final = 0xFFFF  # of ERROR nodes, in every grammar


@cache
def _language() -> Language:
    return Language(tree_sitter_python.language())


@cache
def _parser() -> Parser:
    return Parser(_language())


def named_kinds() -> Iterator[tuple[int, str]]:
    """Yield the number and the name of every kind of node that is not a mere token."""
    language = _language()
    for kind in range(language.node_kind_count):
        name = language.node_kind_for_id(kind)
        if name is not None and language.node_kind_is_named(kind):
            yield kind, name
    yield ERROR_KIND, "ERROR"


def kinds(*names: str) -> frozenset[int]:
    """Return the numbers of kinds of node: a number is read in half the time of a name."""
    return frozenset(kind for kind, name in named_kinds() if name in names)


def parse(utf8: bytes) -> Tree:
    """Return the syntax tree of UTF-8 source; what does not parse is in its ERROR nodes."""
    return _parser().parse(utf8)


def parse_parts(utf8: bytes) -> list[Tree]:
    """Return the trees of a file: one if it is sound, else one for each top-level statement.

    By itself one bracket too many can take the rest of a file with it.
    """
    whole = parse(utf8)
    if not whole.root_node.has_error:
        return [whole]
    starts = _statement_starts(utf8, whole.root_node)
    bounds = [0, *starts, len(utf8)]
    trees: list[Tree] = []
    at = 0
    while at < len(bounds) - 1:
        first = tree = _parse_range(utf8, bounds[at], bounds[at + 1])
        last = at + 1
        while tree.root_node.has_error and last < min(at + MAX_JOINED_PARTS, len(bounds) - 1):
            last += 1
            tree = _parse_range(utf8, bounds[at], bounds[last])
        if tree.root_node.has_error:
            tree, last = first, at + 1
        trees.append(tree)
        at = last
    return trees


def _statement_starts(utf8: bytes, root: Node) -> list[int]:
    """Return where top-level statements start, decorators with what they decorate."""
    inside = bytearray(len(utf8))
    for node in _multiline_strings(root):
        inside[node.start_byte : node.end_byte] = b"\1" * (node.end_byte - node.start_byte)
    starts: list[int] = []
    is_decorated = False
    for match in _STATEMENT.finditer(utf8):
        start = match.start()
        if inside[start] and start and inside[start - 1]:
            continue
        if start and not is_decorated:
            starts.append(start)
        is_decorated = utf8[start] == _DECORATOR
    return starts


def _multiline_strings(root: Node) -> list[Node]:
    found: list[Node] = []
    pending = [root]
    while pending:
        node = pending.pop()
        if node.type == "string":
            if node.start_point.row != node.end_point.row:
                found.append(node)
        else:
            pending.extend(node.children)
    return found


def _parse_range(utf8: bytes, start: int, end: int) -> Tree:
    """Parse a part of a file; its nodes count bytes of the whole."""
    part = Range(_point(utf8, start), _point(utf8, end), start, end)
    return Parser(_language(), included_ranges=[part]).parse(utf8)


def _point(utf8: bytes, offset: int) -> Point:
    return Point(utf8.count(b"\n", 0, offset), offset - utf8.rfind(b"\n", 0, offset) - 1)


def num_syntax_errors(tree: Tree) -> int:
    """Return how many places of the file the grammar could not read."""
    if not tree.root_node.has_error:
        return 0
    found = 0
    pending = [tree.root_node]
    while pending:
        node = pending.pop()
        if node.is_error or node.is_missing:
            found += 1
        elif node.has_error:
            pending.extend(node.children)
    return found
