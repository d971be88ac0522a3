"""What binding statements bind, and what flows into it: assignments, loops, `with`, walrus.

A pattern is the shape of a target: a Span, a list of patterns, a Starred one, or None where it
can hold nothing that flows. Sources have the matching shape, so that tuples pair up.
"""

from typing import Final, NamedTuple

from tree_sitter import Node

from graph_builder.extract_bindings import UNDECLARED, Bound, Scope, ScopeKind, Span
from graph_builder.extract_names import elements, note_classes, root_name, unwrap, written
from graph_builder.extract_types import annotate
from graph_builder.extract_walk import NameUse, Uses, Walk
from graph_builder.relations import DECLARES, HAS_FIELD, HAS_TYPE

SEQUENCES: Final = frozenset(
    {"pattern_list", "tuple_pattern", "list_pattern", "tuple", "list", "expression_list"}
)
STARRED: Final = frozenset({"list_splat_pattern", "list_splat", "splat_pattern"})
SPLAT: Final = ord("*")
# Calls of these give classes.
CLASS_FACTORIES: Final = frozenset(
    [
        "namedtuple",
        "NamedTuple",
        "TypedDict",
        "make_dataclass",
        "new_class",
        "Enum",
        "IntEnum",
        "StrEnum",
        "Flag",
        "IntFlag",
    ]
)
OPAQUE_CLASS: Final = "class"  # an alias of this is a class that no `class` statement makes


class Starred(NamedTuple):
    inner: "Pattern"


class Parts(NamedTuple):
    """The elements of a tuple or list that is a source."""

    items: "list[Sources]"
    is_exact: bool  # no element is a splat


class Each(NamedTuple):
    """Patterns that all match the same thing, such as the alternatives of `a | b`."""

    patterns: "list[Pattern]"


Pattern = Span | list["Pattern"] | Starred | Each | None
Sources = list[NameUse] | Parts


def bind_name(walk: Walk, scope: Scope, span: Span) -> None:
    """Bind a variable, or a field in a class body; state what that declares."""
    name = span[0]
    binder = scope.binder(name)
    if binder is None or not name:
        return
    if name in binder.names:
        walk.aliases.pop(name, None)
    first = binder.names.setdefault(name, Bound.VARIABLE)
    if binder.kind == ScopeKind.CLASS:
        add_field(walk, binder, span)
    elif (
        binder.kind <= ScopeKind.FUNCTION
        and first not in UNDECLARED
        and name not in binder.declared
    ):
        binder.declared.add(name)
        walk.state(DECLARES, binder.head, span, span[1])


def add_field(walk: Walk, owner: Scope, span: Span) -> None:
    """State a field of the class `owner`, once; `__slots__` itself is none."""
    if span[0] not in owner.declared and span[0] != "__slots__":
        owner.declared.add(span[0])
        walk.state(HAS_FIELD, owner.head, span, span[1], owner.definition)


def bind_target(walk: Walk, node: Node, scope: Scope, makes_field: bool = True) -> Pattern:
    """Bind what the target `node` binds and visit what it uses; return its pattern.

    `makes_field` is False where `receiver.x` is augmented or gets no value.
    """
    node = unwrap(node)
    kind = node.type
    if kind == "identifier":
        span = walk.span(node)
        bind_name(walk, scope, span)
        return span
    if kind in ("attribute", "subscript"):
        root = _bind_member(walk, node, scope, makes_field)
        return Starred(root) if walk.utf8[node.start_byte] == SPLAT else root
    if kind in SEQUENCES:
        return [bind_target(walk, child, scope, makes_field) for child in elements(node)]
    if kind in STARRED:
        inner = [bind_target(walk, child, scope, makes_field) for child in elements(node)]
        return Starred(inner[0]) if inner else None
    if kind == "as_pattern_target":
        inner = [bind_target(walk, child, scope, makes_field) for child in elements(node)]
        return inner[0] if inner else None
    walk.visit(node, scope, None)
    return None


def _bind_member(walk: Walk, node: Node, scope: Scope, makes_field: bool) -> Pattern:
    """Bind `o.x` or `o[k]`; return what of it is a target."""
    if node.type == "subscript":
        walk.visit_children(node, scope, None)
        return root_name(walk, node, scope)
    walk.visit(node.children[0], scope, None)
    name = written(walk, node)
    if makes_field and name is not None and name.base is None and name.name.count(".") == 1:
        receiver, _, field = name.name.partition(".")
        owner = scope.receiver_class(receiver)
        if owner is not None:
            add_field(walk, owner, (field, node.children[-1].start_byte, name.end))
    return root_name(walk, node, scope)


def gather(walk: Walk, node: Node, scope: Scope) -> Sources:
    """Visit a source expression; return the names used in it, in its shape."""
    if not scope.is_flowing:
        walk.visit(node, scope, None)
        return []
    node = unwrap(node)
    if node.type in SEQUENCES:
        items = elements(node)
        is_exact = not any(walk.utf8[item.start_byte] == SPLAT for item in items)
        return Parts([gather(walk, item, scope) for item in items], is_exact)
    uses: list[NameUse] = []
    walk.visit(node, scope, uses)
    return uses


def flat(sources: Sources) -> list[NameUse]:
    if isinstance(sources, list):
        return sources
    return [used for item in sources.items for used in flat(item)]


def leaves(pattern: Pattern) -> list[Span]:
    if pattern is None:
        return []
    if isinstance(pattern, Starred):
        return leaves(pattern.inner)
    if isinstance(pattern, Each):
        pattern = pattern.patterns
    if isinstance(pattern, list):
        return [leaf for item in pattern for leaf in leaves(item)]
    return [pattern]


def flow(walk: Walk, pattern: Pattern, sources: Sources) -> None:
    """Note what flows from `sources` to `pattern`: paired where shapes match, else all to all."""
    if isinstance(pattern, Each):
        for item in pattern.patterns:
            flow(walk, item, sources)
        return
    if isinstance(pattern, list) and isinstance(sources, Parts) and sources.is_exact:
        stars = [at for at, item in enumerate(pattern) if isinstance(item, Starred)]
        if not stars and len(pattern) == len(sources.items):
            for target, source in zip(pattern, sources.items, strict=True):
                flow(walk, target, source)
            return
        if len(stars) == 1 and len(pattern) <= len(sources.items) + 1:
            _flow_with_rest(walk, pattern, sources, stars[0])
            return
    used, targets = flat(sources), leaves(pattern)
    if used and targets:
        walk.flows.append((used, targets))


def _flow_with_rest(walk: Walk, pattern: list[Pattern], sources: Parts, star: int) -> None:
    after = len(pattern) - star - 1
    rest_end = len(sources.items) - after
    for target, source in zip(pattern[:star], sources.items, strict=False):
        flow(walk, target, source)
    for source in sources.items[star:rest_end]:
        flow(walk, pattern[star], flat(source))
    for target, source in zip(pattern[star + 1 :], sources.items[rest_end:], strict=True):
        flow(walk, target, source)


def visit_assignment(walk: Walk, node: Node, scope: Scope, uses: Uses) -> None:
    """Handle `a = b = value`, with or without an annotation on a single target."""
    targets: list[Node] = []
    value: Node | None = node
    while value is not None and value.type == "assignment":
        left = value.child_by_field_name("left")
        annotation = value.child_by_field_name("type")
        if left is not None:
            targets.append(left)
        if annotation is not None and left is not None:
            _annotate_target(walk, left, annotation, scope)
        value = value.child_by_field_name("right")
    if value is not None and value.type == "augmented_assignment":  # a syntax error's leftover
        walk.visit(value, scope, uses)
        value = None
    sources: Sources = [] if value is None else gather(walk, value, scope)
    for target in targets:
        is_first = target.type == "identifier" and walk.text(target) not in scope.names
        pattern = bind_target(walk, target, scope, makes_field=value is not None)
        if scope.is_flowing:
            flow(walk, pattern, sources)
        elif target.type == "identifier" and value is not None:
            _note_meaning(walk, walk.text(target), unwrap(value), scope, is_first)


def _annotate_target(walk: Walk, target: Node, annotation: Node, scope: Scope) -> None:
    """State the types of an annotated variable or field."""
    walk.visit(annotation, scope, None)
    name = written(walk, unwrap(target))
    if name is None:
        return
    head = name[:3]
    receiver, _, member = name.name.partition(".")
    if (
        name.base is None
        and member
        and "." not in member
        and scope.receiver_class(receiver) is not None
    ):
        head = (member, name.end - len(member.encode()), name.end)
    annotate(walk, HAS_TYPE, head, annotation, scope, None)


def _note_meaning(walk: Walk, name: str, value: Node, scope: Scope, is_first: bool) -> None:
    """Note the entries of `__slots__`, and module-level names that are another name of a class."""
    if scope.kind == ScopeKind.CLASS and name == "__slots__":
        _add_slots(walk, value, scope)
    elif scope.kind == ScopeKind.MODULE and is_first:
        meaning = _meaning(walk, value, scope)
        if meaning is not None:
            walk.aliases[name] = meaning


def _meaning(walk: Walk, value: Node, scope: Scope) -> NameUse | str | None:
    if value.type == "call":
        callee = written(walk, value.children[0])
        arguments = elements(value.children[-1])
        last = "" if callee is None else callee.name.rpartition(".")[2]
        is_class = last in CLASS_FACTORIES or (last == "type" and len(arguments) == 3)
        return OPAQUE_CLASS if is_class else None
    name = written(walk, value)
    return None if name is None or name.base is not None else (scope, *name[:3])


def _add_slots(walk: Walk, value: Node, scope: Scope) -> None:
    if value.type == "string":
        entries = [value]
    elif value.type == "dictionary":
        keys = [pair.child_by_field_name("key") for pair in elements(value)]
        entries = [key for key in keys if key is not None]
    elif value.type in ("tuple", "list", "set", "expression_list"):
        entries = elements(value)
    else:
        return
    for entry in entries:
        contents = [part for part in entry.children if part.type == "string_content"]
        if entry.type == "string" and len(contents) == 1:
            span = walk.span(contents[0])
            if span[0].isidentifier():
                add_field(walk, scope, span)


def visit_augmented(walk: Walk, node: Node, scope: Scope, uses: Uses) -> None:
    left, right = node.children[0], node.children[-1]
    sources = gather(walk, right, scope)
    if left.type == "identifier":
        _note_meaning(walk, walk.text(left), unwrap(right), scope, is_first=False)
    pattern = bind_target(walk, left, scope, makes_field=False)
    if scope.is_flowing:
        flow(walk, pattern, sources)


def visit_for(walk: Walk, node: Node, scope: Scope, uses: Uses) -> None:
    left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
    if left is None or right is None:
        walk.visit_children(node, scope, None)
        return
    bind_loop(walk, left, right, scope, scope)
    is_after = False
    for child in node.children:
        if is_after:
            walk.visit(child, scope, None)
        is_after = is_after or child.end_byte >= right.end_byte


def bind_loop(walk: Walk, left: Node, right: Node, outer: Scope, inner: Scope) -> list[NameUse]:
    """Bind a loop's targets in `inner` to what it runs over in `outer`; return the names used."""
    used = flat(gather(walk, right, outer))
    pattern = bind_target(walk, left, inner, makes_field=inner.kind != ScopeKind.COMPREHENSION)
    if inner.is_flowing:
        flow(walk, pattern, used)
    return used


def visit_walrus(walk: Walk, node: Node, scope: Scope, uses: Uses) -> None:
    name, value = node.children[0], node.children[-1]
    if node.parent is not None and node.parent.type == "interpolation":
        # `f"{x:=9}"`: to the grammar a walrus, to Python the format "=9".
        walk.visit(name, scope, uses)
        walk.visit(value, scope, uses)
        return
    used: list[NameUse] = []
    walk.visit(value, scope, used)
    if uses is not None:
        uses.extend(used)
    binder = scope
    while binder.kind == ScopeKind.COMPREHENSION and binder.parent is not None:
        binder = binder.parent
    span = walk.span(name)
    bind_name(walk, binder, span)
    if scope.is_flowing:
        flow(walk, span, used)


def visit_as(walk: Walk, node: Node, scope: Scope, uses: Uses) -> None:
    """Handle `value as target` of a `with` statement."""
    value, target = node.children[0], node.children[-1]
    sources = gather(walk, value, scope)
    pattern = bind_target(walk, target, scope)
    if scope.is_flowing:
        flow(walk, pattern, sources)


def visit_except(walk: Walk, node: Node, scope: Scope, uses: Uses) -> None:
    """Handle an `except` clause: its name is bound, but nothing flows to it."""
    for child in node.children:
        if child.type == "as_pattern":
            walk.visit(child.children[0], scope, None)
            note_classes(walk, child.children[0], scope)
            bind_target(walk, child.children[-1], scope)
        else:
            walk.visit(child, scope, None)
            note_classes(walk, child, scope)


def visit_type_alias(walk: Walk, node: Node, scope: Scope, uses: Uses) -> None:
    """Handle `type X = ...`: a declaration, and no field of a class."""
    left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
    if left is None or right is None:
        return
    if walk.utf8[left.start_byte] == ord("("):
        _visit_type_call(walk, node, left, scope)
    else:
        name = left
        while name.type != "identifier" and name.named_children:
            name = name.named_children[0]
        span = walk.span(name)
        if scope.kind == ScopeKind.CLASS:
            scope.names.setdefault(span[0], Bound.VARIABLE)
        else:
            bind_name(walk, scope, span)
    walk.visit(right, scope, None)


def _visit_type_call(walk: Walk, node: Node, left: Node, scope: Scope) -> None:
    """Handle `type(x).y = ...`, which the grammar takes for a type alias."""
    start = node.start_byte
    span = "type", start, start + len("type")
    arguments = left
    while arguments.type in ("type", "constrained_type", "attribute", "subscript"):
        arguments = arguments.children[0]
    is_type_of = arguments.type == "parenthesized_expression"
    walk.use(scope, span, None)
    walk.calls.append((scope, *span, True, [], "" if is_type_of else None))
    walk.visit(left, scope, None)
