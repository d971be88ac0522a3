"""The tree-sitter grammar of Python."""

from functools import cache

import tree_sitter_python
from tree_sitter import Language, Parser, Tree


@cache
def _parser() -> Parser:
    return Parser(Language(tree_sitter_python.language()))


def parse(utf8: bytes) -> Tree:
    """Return the syntax tree of UTF-8 source; what does not parse is in its ERROR nodes."""
    return _parser().parse(utf8)


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
