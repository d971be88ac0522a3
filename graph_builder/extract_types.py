"""Annotations: which types they name, strings and wrappers of `typing` looked through."""

from typing import Final, NamedTuple

from tree_sitter import Node

from graph_builder.entities import NO_SPAN
from graph_builder.extract_bindings import Scope, Span
from graph_builder.extract_calls import is_capwords
from graph_builder.extract_names import elements, unsplat, unwrap, written
from graph_builder.extract_syntax import parse
from graph_builder.extract_walk import DOTTED, Walk

# What these wrap is the type.
WRAPPERS: Final = frozenset(
    ["Annotated", "ClassVar", "Final", "Required", "NotRequired", "ReadOnly", "InitVar", "Unpack"]
)
BARE_WRAPPERS: Final = frozenset({"ClassVar", "Final"})  # by themselves they name no type
TYPING_MODULES: Final = frozenset({"typing", "typing_extensions", "dataclasses"})


class _Reader(NamedTuple):
    """Where the nodes of an annotation have their text: the file, or a string in it."""

    walk: Walk  # of the bytes that the nodes count
    shift: int  # from there to the file's UTF-8 text


def annotate(
    walk: Walk, relation: int, head: Span, node: Node, scope: Scope, definition: int | None
) -> None:
    """State one triple from `head` for each type that the annotation `node` names.

    The None of an `Optional` is left out where None is written too.
    """
    members = dict.fromkeys(_members(_Reader(walk, 0), node, walk, scope))
    written_names = {name for name, start, _ in members if start != NO_SPAN}
    site = node.start_byte if head[1] == NO_SPAN else head[1]
    for member in members:
        if member[1] != NO_SPAN or member[0] not in written_names:
            walk.state(relation, head, member, site, definition)
        if is_capwords(member[0]):
            walk.class_uses.append((scope, *member))


def _members(reader: _Reader, node: Node, walk: Walk, scope: Scope) -> list[Span]:
    """Return the types of a union, or the one type, that `node` names."""
    kind = node.type
    if kind in ("identifier", "attribute"):
        return _named(reader, node)
    if kind in ("subscript", "generic_type"):
        return _generic(reader, node, walk, scope)
    if kind == "none":
        return [("None", node.start_byte + reader.shift, node.end_byte + reader.shift)]
    if kind == "string":
        return _quoted(reader, node, walk, scope)
    is_union = kind == "binary_operator" and node.children[1].type == "|"
    if is_union or kind in _TRANSPARENT:
        return [
            member for child in elements(node) for member in _members(reader, child, walk, scope)
        ]
    if kind == "member_type":
        return [_moved(reader, reader.walk.span(node.children[-1]))]
    return []


_TRANSPARENT: Final = frozenset(
    {"type", "parenthesized_expression", "union_type", "splat_type", "list_splat"}
)


def _moved(reader: _Reader, span: Span) -> Span:
    return span[0], span[1] + reader.shift, span[2] + reader.shift


def _named(reader: _Reader, node: Node) -> list[Span]:
    name = written(reader.walk, node)
    if name is None or _original(reader, name.name) in BARE_WRAPPERS:
        return []
    return [_moved(reader, name[:3])]


def _original(reader: _Reader, name: str) -> str:
    """Return the last part of a dotted name, or what it is called in `typing`."""
    last = name.rpartition(".")[2]
    return reader.walk.typing_names.get(last, last) if last == name else last


def _generic(reader: _Reader, node: Node, walk: Walk, scope: Scope) -> list[Span]:
    base, arguments = _subscripted(node)
    if base.type in ("subscript", "generic_type"):
        return _generic(reader, base, walk, scope)
    name = written(reader.walk, base)
    if name is None:
        return []
    original = _original(reader, name.name)
    if original in WRAPPERS or original == "Optional":
        found = _members(reader, arguments[0], walk, scope) if arguments else []
        return [*found, ("None", NO_SPAN, NO_SPAN)] if original == "Optional" else found
    if original == "Union":
        return [span for each in arguments for span in _members(reader, each, walk, scope)]
    return [_moved(reader, name[:3])]


def _subscripted(node: Node) -> tuple[Node, list[Node]]:
    """Return what is subscripted, and the subscripts, one tuple spread out."""
    base, *arguments = elements(node)
    if arguments and arguments[0].type == "type_parameter":
        arguments = elements(arguments[0])
    if len(arguments) == 1 and unwrap(arguments[0]).type == "tuple":
        arguments = elements(unwrap(arguments[0]))
    return unwrap(unsplat(base)), arguments


def _quoted(reader: _Reader, node: Node, walk: Walk, scope: Scope) -> list[Span]:
    """Read a string annotation; names in it count as used."""
    parts = node.children
    if len(parts) != 3 or parts[1].type != "string_content":
        return []
    if reader.walk.text(parts[0]).rstrip("\"'").lower() not in ("", "r", "u"):
        return []
    content, start, end = reader.walk.span(parts[1])
    if DOTTED(content):
        if content == "None":
            return [_moved(reader, (content, start, end))]
        found = [] if _original(reader, content) in BARE_WRAPPERS else [(content, start, end)]
        moved = [_moved(reader, span) for span in found]
    else:
        moved = _parsed(reader, content, start, walk, scope)
    for span in moved:
        if span[1] != NO_SPAN:
            walk.use(scope, span, None)
    return moved


def _parsed(reader: _Reader, content: str, start: int, walk: Walk, scope: Scope) -> list[Span]:
    """Parse the text of a string annotation, which may span lines."""
    utf8 = f"({content})".encode()
    tree = parse(utf8)
    if tree.root_node.has_error or tree.root_node.named_child_count != 1:
        return []
    inner = Walk(walk.module, walk.is_package, utf8, walk.handlers)
    inner.typing_names = walk.typing_names
    statement = tree.root_node.named_children[0]
    if statement.named_child_count != 1:
        return []
    nested = _Reader(inner, reader.shift + start - 1)
    return _members(nested, statement.named_children[0], walk, scope)
