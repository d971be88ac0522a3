"""The definitions of valid source by `ast`: what the parser's own are, by another road."""

import ast

from graph_builder.entities import Definition
from graph_builder.source_text import SourceText


def syntax_definitions(source: SourceText, module: str = "module") -> list[Definition]:
    """Return every `def` and `class` of UTF-8 source in the order of the file."""
    tree = ast.parse(source.text)
    starts = _line_starts(source.utf8)
    shift = len(source.data) - len(source.utf8)
    found: list[Definition] = []

    def byte(line: int, column: int) -> int:
        return shift + starts[line - 1] + column

    def visit(node: ast.AST, parent: int, scope: str) -> None:
        inner, name = parent, scope
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            kind = "class" if isinstance(node, ast.ClassDef) else "function"
            start = min(byte(n.lineno, n.col_offset) for n in [node, *node.decorator_list])
            start -= bool(node.decorator_list)  # the @, which stands before the expression
            end = byte(node.end_lineno or 0, node.end_col_offset or 0)
            inner, name = len(found), f"{scope}.{node.name}"
            found.append(Definition(kind, node.name, name, parent, start, end, -1, -1))
        for child in ast.iter_child_nodes(node):
            visit(child, inner, name)

    visit(tree, -1, module)
    return found


def _line_starts(utf8: bytes) -> list[int]:
    starts, at = [], 0
    for line in utf8.splitlines(keepends=True):
        starts.append(at)
        at += len(line)
    return [*starts, at]
