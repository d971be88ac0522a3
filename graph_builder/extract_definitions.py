"""Functions, classes and the other scopes: what they contain, inherit, take and return."""

from typing import Final

from tree_sitter import Node

from graph_builder.entities import Parameter
from graph_builder.extract_bindings import Bound, Scope, ScopeKind, Span
from graph_builder.extract_names import elements, unwrap, written
from graph_builder.extract_targets import bind_loop, bind_target
from graph_builder.extract_types import annotate
from graph_builder.extract_walk import Uses, Walk
from graph_builder.relations import CONTAINS, HAS_PARAMETER, HAS_TYPE, INHERITS, RETURNS

RECEIVER: Final = "receiver"
POSITIONAL_ONLY: Final = "positional-only"
ORDINARY: Final = "ordinary"
KEYWORD_ONLY: Final = "keyword-only"
VAR_ARGS: Final = "*args"
VAR_KEYWORDS: Final = "**kwargs"

# Methods that get the class, with or without the decorator.
CLASS_METHODS: Final = frozenset({"__new__", "__init_subclass__", "__class_getitem__"})
PROPERTIES: Final = frozenset({"property", "cached_property", "setter", "getter", "deleter"})


def visit_decorated(walk: Walk, node: Node, scope: Scope, uses: Uses) -> None:
    decorators: list[str] = []
    for child in node.children:
        if child.type == "decorator":
            walk.visit_children(child, scope, None)
            decorators.extend(_decorator_names(walk, child))
        elif child.type == "function_definition":
            define_function(walk, child, scope, node.start_byte, decorators)
        elif child.type == "class_definition":
            define_class(walk, child, scope, node.start_byte)


def _decorator_names(walk: Walk, decorator: Node) -> list[str]:
    """Return the last part of a decorator's name."""
    for child in decorator.named_children:
        node = unwrap(child)
        name = written(walk, node.children[0] if node.type == "call" else node)
        if name is not None:
            return [name.name.rpartition(".")[2]]
    return []


def visit_function(walk: Walk, node: Node, scope: Scope, uses: Uses) -> None:
    define_function(walk, node, scope, node.start_byte, [])


def visit_class(walk: Walk, node: Node, scope: Scope, uses: Uses) -> None:
    define_class(walk, node, scope, node.start_byte)


def _define(
    walk: Walk, kind: Bound, name: Span, node: Node, scope: Scope, start: int, binds: bool
) -> int:
    """Add a definition, bind its name and state what contains it; return its index."""
    index = len(walk.definitions)
    parent = scope.definition
    outer = walk.module if parent < 0 else walk.definitions[parent][2]
    word = "class" if kind == Bound.CLASS else "function"
    walk.definitions.append(
        (word, name[0], f"{outer}.{name[0]}", parent, start, node.end_byte, name[1], name[2])
    )
    walk.state(CONTAINS, scope.head, name, name[1], index, is_reversed=True)
    walk.restate(parent)
    binder = scope.binder(name[0])
    if binder is not None:
        walk.aliases.pop(name[0], None)
        binder.names.setdefault(name[0], kind)
        if binds or name[0] not in binder.definitions:
            binder.definitions[name[0]] = index
    if scope.kind == ScopeKind.CLASS and binder is scope and binds:
        walk.members.append((parent, name[0], index))
    return index


def define_class(walk: Walk, node: Node, scope: Scope, start: int) -> None:
    name_node, body = node.child_by_field_name("name"), node.child_by_field_name("body")
    if name_node is None or name_node.start_byte == name_node.end_byte:
        walk.visit_children(node, scope, None)
        return
    name = walk.span(name_node)
    index = _define(walk, Bound.CLASS, name, node, scope, start, binds=True)
    inner = walk.scope(ScopeKind.CLASS, scope, name, index, is_flowing=False)
    _bind_type_parameters(walk, node, scope, inner)
    bases = node.child_by_field_name("superclasses")
    if bases is not None:
        walk.visit_children(bases, scope, None)
        for base in elements(bases):
            _inherit(walk, base, scope, name, index)
    if body is not None:
        walk.visit_children(body, inner, None)


def _inherit(walk: Walk, node: Node, scope: Scope, head: Span, index: int) -> None:
    base = unwrap(node)
    while base.type in ("subscript", "call"):
        base = unwrap(base.children[0])
    name = written(walk, base)
    if name is None:
        return
    walk.state(INHERITS, head, name[:3], name.start, index)
    if name.base is None and unwrap(node).type != "call":
        walk.bases.append((index, (scope, *name[:3])))


def define_function(
    walk: Walk, node: Node, scope: Scope, start: int, decorators: list[str]
) -> None:
    name_node, body = node.child_by_field_name("name"), node.child_by_field_name("body")
    if name_node is None or name_node.start_byte == name_node.end_byte:
        walk.visit_children(node, scope, None)
        return
    name = walk.span(name_node)
    is_overload = "overload" in decorators
    index = _define(walk, Bound.FUNCTION, name, node, scope, start, binds=not is_overload)
    inner = walk.scope(ScopeKind.FUNCTION, scope, name, index, is_flowing=True)
    _bind_type_parameters(walk, node, scope, inner)
    if scope.kind == ScopeKind.CLASS and ("staticmethod" not in decorators or name[0] == "__new__"):
        inner.class_scope = scope
        inner.is_class_receiver = name[0] in CLASS_METHODS or "classmethod" in decorators
    parameters = node.child_by_field_name("parameters")
    if parameters is not None:
        found = _take_parameters(walk, parameters, scope, inner)
        is_property = not PROPERTIES.isdisjoint(decorators)
        is_method = scope.kind == ScopeKind.CLASS
        row = (index, tuple(found), is_method, inner.is_class_receiver, is_property)
        walk.signatures.append(row)
    returned = node.child_by_field_name("return_type")
    if returned is not None:
        walk.visit(returned, scope, None)
        annotate(walk, RETURNS, name, returned, scope, index)
    if body is not None:
        walk.visit_children(body, inner, None)


def _bind_type_parameters(walk: Walk, node: Node, scope: Scope, inner: Scope) -> None:
    """Bind `[T: bound]` inside; the bounds belong outside."""
    parameters = node.child_by_field_name("type_parameters")
    if parameters is None:
        return
    for parameter in elements(parameters):
        first, *rest = _type_parameter(parameter)
        inner.names.setdefault(walk.text(first), Bound.TYPE_PARAMETER)
        for bound in rest:
            walk.visit(bound, scope, None)


def _type_parameter(node: Node) -> list[Node]:
    """Return the identifier of a type parameter, then what bounds it."""
    rest: list[Node] = []
    while node.type != "identifier" and node.named_children:
        node, *more = elements(node)
        rest.extend(more)
    return [node, *rest]


def _take_parameters(walk: Walk, node: Node, scope: Scope, inner: Scope) -> list[Parameter]:
    """Bind and state the parameters of a function; visit their defaults and annotations."""
    found: list[Parameter] = []
    kind = ORDINARY
    for child in node.children:
        if child.type == "positional_separator":
            found = [
                each._replace(kind=POSITIONAL_ONLY) if each.kind == ORDINARY else each
                for each in found
            ]
        elif child.type == "keyword_separator":
            kind = KEYWORD_ONLY
        elif child.type in _PARAMETERS:
            taken = _take_parameter(walk, child, scope, inner, kind, is_first=not found)
            if taken is not None:
                found.append(taken)
                kind = KEYWORD_ONLY if taken.kind == VAR_ARGS else kind
        elif child.type == "tuple_pattern":
            bind_target(walk, child, inner)
    return found


_PARAMETERS: Final = frozenset(
    {
        "identifier",
        "default_parameter",
        "typed_parameter",
        "typed_default_parameter",
        "list_splat_pattern",
        "dictionary_splat_pattern",
    }
)


def _take_parameter(
    walk: Walk, node: Node, scope: Scope, inner: Scope, kind: str, is_first: bool
) -> Parameter | None:
    name_node, kind = _parameter_name(node, kind)
    span = walk.span(name_node)
    if not span[0]:
        return None
    if is_first and kind == ORDINARY and inner.class_scope is not None:
        kind = RECEIVER
        if span[0] == "cls":
            inner.is_class_receiver = True
    else:
        walk.state(HAS_PARAMETER, inner.head, span, span[1], inner.definition)
    inner.names[span[0]] = Bound.RECEIVER if kind == RECEIVER else Bound.PARAMETER
    annotation, value = node.child_by_field_name("type"), node.child_by_field_name("value")
    if annotation is not None:
        walk.visit(annotation, scope, None)
        annotate(walk, HAS_TYPE, span, annotation, scope, None)
    if value is not None:
        walk.visit(value, scope, None)
    return Parameter(span[0], kind, span[1], span[2])


def _parameter_name(node: Node, kind: str) -> tuple[Node, str]:
    """Return the identifier of a parameter, and its kind."""
    if node.type in ("typed_parameter", "default_parameter", "typed_default_parameter"):
        node = node.children[0]
    if node.type == "list_splat_pattern":
        return node.children[-1], VAR_ARGS
    if node.type == "dictionary_splat_pattern":
        return node.children[-1], VAR_KEYWORDS
    return node, kind


def visit_lambda(walk: Walk, node: Node, scope: Scope, uses: Uses) -> None:
    head, definition = scope.head, scope.definition
    inner = walk.scope(ScopeKind.LAMBDA, scope, head, definition, is_flowing=False)
    parameters = node.child_by_field_name("parameters")
    for child in parameters.children if parameters is not None else []:
        if child.type in _PARAMETERS:
            name, _ = _parameter_name(child, ORDINARY)
            inner.names[walk.text(name)] = Bound.PARAMETER
            value = child.child_by_field_name("value")
            if value is not None:
                walk.visit(value, scope, uses)
        elif child.type == "tuple_pattern":
            bind_target(walk, child, inner)
    body = node.child_by_field_name("body")
    if body is not None:
        walk.visit(body, inner, None)


def visit_comprehension(walk: Walk, node: Node, scope: Scope, uses: Uses) -> None:
    """Visit the clauses in order, then the element, as they are evaluated."""
    inner = walk.scope(
        ScopeKind.COMPREHENSION, scope, scope.head, scope.definition, scope.is_flowing
    )
    outer = scope
    element, *clauses = elements(node)
    for clause in clauses:
        if clause.type == "for_in_clause":
            left = clause.child_by_field_name("left")
            right = clause.child_by_field_name("right")
            if left is None or right is None:
                continue
            used = bind_loop(walk, left, right, outer, inner)
            if uses is not None:
                uses.extend(used)
            outer = inner
        else:
            walk.visit(clause, inner, uses)
    walk.visit(element, inner, uses)


def visit_global(walk: Walk, node: Node, scope: Scope, uses: Uses) -> None:
    if scope.kind != ScopeKind.MODULE:
        scope.globals = scope.globals | {walk.text(child) for child in elements(node)}


def visit_nonlocal(walk: Walk, node: Node, scope: Scope, uses: Uses) -> None:
    if scope.kind != ScopeKind.MODULE:
        scope.nonlocals = scope.nonlocals | {walk.text(child) for child in elements(node)}
