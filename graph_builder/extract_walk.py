"""The state of one walk over one file's syntax tree, and how the walk goes from node to node.

Every handler has the same form: it gets the walk, a node, the scope that the node's code belongs
to, and the list that collects the names used in a source expression (None: nobody asks).
"""

import re
from collections.abc import Callable, Mapping
from sys import intern
from typing import Final

from tree_sitter import Node

from graph_builder.extract_bindings import Scope, ScopeKind, Span

DOTTED: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*").fullmatch


# One use of a name: its scope, the name dotted as written, first and one-past-last byte.
NameUse = tuple[Scope, str, int, int]
Uses = list[NameUse] | None
Handler = Callable[["Walk", Node, Scope, Uses], None]


def descend(walk: "Walk", node: Node, scope: Scope, uses: Uses) -> None:
    """Handle a node that says nothing by itself."""
    walk.visit_children(node, scope, uses)


# A call before the names of its file are settled: its scope, the name as printed, first and
# one-past-last byte, whether that is all of the callee (not the attribute part of something that is
# not a name), the arguments that may be passed on with their slots, and the target: known already
# ("": nowhere in a repository), or to be settled from the name (None).
PendingCall = tuple[Scope, str, int, int, bool, list[tuple[int | str, NameUse]], str | None]


class Walk:
    """What one walk has seen so far; offsets count bytes of the UTF-8 text."""

    def __init__(
        self, module: str, is_package: bool, utf8: bytes, handlers: Mapping[int, Handler]
    ) -> None:
        self.module = module
        self.is_package = is_package
        self.utf8 = utf8
        self.ascii = utf8.decode() if utf8.isascii() else None
        self.handlers = handlers  # by the number that the grammar gives a kind of node
        self.root = Scope(ScopeKind.MODULE, None, (module, -1, -1), -1)
        self.scopes = [self.root]
        self.triples: list[tuple] = []
        self.statements: list[tuple[int, int, bool]] = []  # as in Statement
        self.definitions: list[tuple] = []
        self.signatures: list[tuple] = []
        self.bases: list[tuple[int, NameUse]] = []
        self.class_uses: list[NameUse] = []
        self.members: list[tuple[int, str, int]] = []
        self.overloads: set[int] = set()
        self.calls: list[PendingCall] = []
        self.flows: list[tuple[list[NameUse], list[Span]]] = []
        self.uses: list[NameUse] = []
        self.import_uses: list[tuple[int, int, str, str]] = []
        self.aliases: dict[str, NameUse | str] = {}
        self.typing_names: dict[str, str] = {}
        self.star_imports: list[str] = []
        # First byte of a dotted name with space in it: the end of each of its parts.
        self.part_ends: dict[int, list[int]] = {}
        self.is_dotted: dict[str, bool] = {}  # of an attribute as written: is it a dotted name

    def scope(
        self, kind: ScopeKind, parent: Scope, head: Span, definition: int, is_flowing: bool
    ) -> Scope:
        """Open a scope."""
        opened = Scope(kind, parent, head, definition, is_flowing)
        self.scopes.append(opened)
        return opened

    def text(self, node: Node) -> str:
        return self.slice(node.start_byte, node.end_byte)

    def slice(self, start: int, end: int) -> str:
        """Return what is written there; names come up again and again, so one string each."""
        if self.ascii is not None:
            return intern(self.ascii[start:end])
        return intern(self.utf8[start:end].decode(errors="replace"))

    def span(self, node: Node) -> Span:
        start, end = node.start_byte, node.end_byte
        return self.slice(start, end), start, end

    def visit(self, node: Node, scope: Scope, uses: Uses) -> None:
        handler = self.handlers.get(node.kind_id)
        if handler is not None:
            handler(self, node, scope, uses)

    def visit_children(self, node: Node, scope: Scope, uses: Uses) -> None:
        """Visit what is in `node`, in source order, without recursion over plain operators."""
        handlers = self.handlers
        pending = node.named_children[::-1]
        while pending:
            child = pending.pop()
            handler = handlers.get(child.kind_id)
            if handler is descend:
                pending.extend(child.named_children[::-1])
            elif handler is not None:
                handler(self, child, scope, uses)

    def state(
        self,
        relation: int,
        head: Span,
        tail: Span,
        site: int,
        definition: int | None = None,
        is_reversed: bool = False,
    ) -> None:
        """Note a triple, and that it says something about `definition` (None: about none).

        Broken code has names that are not there: the parser supposes them, with no text.
        """
        if not (head[0] and tail[0]):
            return
        if definition is not None:
            self.statements.append((definition, len(self.triples), is_reversed))
        self.triples.append(
            (head[0], relation, tail[0], head[1], head[2], tail[1], tail[2], site, False)
        )

    def restate(self, definition: int) -> None:
        """Note that the last triple, just stated, is about `definition` too, as its head."""
        self.statements.append((definition, len(self.triples) - 1, False))

    def use(self, scope: Scope, span: Span, uses: Uses) -> None:
        """Note a use of a name, also for whoever collects the names of an expression."""
        if not span[0]:  # see `state`
            return
        used = (scope, *span)
        self.uses.append(used)
        if uses is not None:
            uses.append(used)

    def part_end(self, name: str, start: int, num_parts: int) -> int:
        """Return one past the last byte of the first `num_parts` parts of the name at `start`."""
        if start in self.part_ends:
            return self.part_ends[start][num_parts - 1]
        prefix = ".".join(name.split(".", num_parts)[:num_parts])
        return start + (len(prefix) if self.ascii is not None else len(prefix.encode()))
