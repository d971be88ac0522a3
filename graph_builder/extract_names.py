"""Names as they are written: identifiers, dotted names, and the attribute part of the rest."""

from functools import partial
from typing import Final, NamedTuple

from tree_sitter import Node

from graph_builder.extract_bindings import Scope, Span
from graph_builder.extract_syntax import kinds
from graph_builder.extract_walk import DOTTED, Uses, Walk

IDENTIFIERS: Final = kinds("identifier")
ATTRIBUTES: Final = kinds("attribute")
NAMES: Final = IDENTIFIERS | ATTRIBUTES
SPLATS: Final = kinds("list_splat")
_GROUPS: Final = kinds("parenthesized_expression", "tuple_pattern")
_QUOTES: Final = frozenset(b"'\"")
CONSTANTS: Final = frozenset({"None", "True", "False"})


class Written(NamedTuple):
    """A dotted name, or the attribute part that follows something else."""

    name: str
    start: int
    end: int
    base: Node | None  # what the attributes follow, if that is not a name


_as_written: Final = partial(tuple.__new__, Written)  # in a third of the time of Written(...)


def elements(node: Node) -> list[Node]:
    return [child for child in node.named_children if child.type != "comment"]


def is_group(node: Node) -> bool:
    """Tell whether `node` only puts parentheses around something."""
    if node.type == "tuple_pattern":
        return not any(child.type == "," for child in node.children)
    return node.type == "parenthesized_expression"


def unwrap(node: Node) -> Node:
    """Return what is inside any parentheses around an expression or target."""
    while node.kind_id in _GROUPS and is_group(node):
        inner = elements(node)
        if len(inner) != 1:
            return node
        node = inner[0]
    return node


def unsplat(node: Node) -> Node:
    """Return what is inside a `*`, which the grammar binds tighter than `.`, `[]` and `()`."""
    return node.named_children[-1] if node.kind_id in SPLATS else node


def written(walk: Walk, node: Node) -> Written | None:
    """Read `node` as a dotted name or attribute part; None: it is neither."""
    kind = node.kind_id
    if kind not in ATTRIBUTES:
        return _as_written((*walk.span(node), None)) if kind in IDENTIFIERS else None
    start, end = node.start_byte, node.end_byte
    name = walk.slice(start, end)
    is_dotted = walk.is_dotted.get(name)
    if is_dotted is None:
        is_dotted = bool(DOTTED(name)) and name.partition(".")[0] not in CONSTANTS
        walk.is_dotted[name] = is_dotted
    return _as_written((name, start, end, None)) if is_dotted else _unwound(walk, node)


def _unwound(walk: Walk, node: Node) -> Written:
    """Read an attribute chain that has more in it than names and dots."""
    parts: list[Node] = []
    base = node
    while base.type == "attribute":
        children = base.children
        parts.append(children[-1])
        base = unsplat(children[0])
    is_full = base.type == "identifier"
    if is_full:
        parts.append(base)
    parts.reverse()
    start, end = parts[0].start_byte, parts[-1].end_byte
    name = ".".join(walk.text(part) for part in parts)
    if end - start != len(name.encode()):
        walk.part_ends[start] = [part.end_byte for part in parts]
    return Written(name, start, end, None if is_full else base)


def note_classes(walk: Walk, node: Node, scope: Scope) -> None:
    """Note the names in `node`, which stands where Python takes classes and nothing else."""
    inner = unwrap(node)
    if inner.type in ("tuple", "list", "binary_operator"):
        for child in elements(inner):
            note_classes(walk, child, scope)
        return
    name = written(walk, inner)
    if name is not None and name.base is None:
        walk.class_uses.append((scope, *name[:3]))


def visit_identifier(walk: Walk, node: Node, scope: Scope, uses: Uses) -> None:
    start, end = node.start_byte, node.end_byte
    walk.use(scope, (walk.slice(start, end), start, end), uses)


def visit_attribute(walk: Walk, node: Node, scope: Scope, uses: Uses) -> None:
    name = written(walk, node)
    assert name is not None
    if name.base is not None:
        walk.visit(name.base, scope, uses)
    else:
        walk.use(scope, name[:3], uses)


def visit_string(walk: Walk, node: Node, scope: Scope, uses: Uses) -> None:
    """Visit the interpolations of an f-string or t-string."""
    start = node.start_byte
    if walk.utf8[start] in _QUOTES:
        return
    prefix = walk.utf8[start : start + 3].partition(b'"')[0].partition(b"'")[0]
    if any(letter in b"fFtT" for letter in prefix):
        walk.visit_children(node, scope, uses)


def root_name(walk: Walk, node: Node, scope: Scope) -> Span | None:
    """Return the base name of an attribute or subscript target, or its `receiver.x`.

    None: it is on no name, or on the bare receiver.
    """
    first: Node | None = None
    while node.type in ("attribute", "subscript"):
        first = node
        node = unwrap(unsplat(node.children[0]))
    if node.type != "identifier":
        return None
    base = walk.span(node)
    if scope.receiver_class(base[0]) is None:
        return base
    if first is None or first.type != "attribute":
        return None
    member = first.children[-1]
    return f"{base[0]}.{walk.text(member)}", base[1], member.end_byte
