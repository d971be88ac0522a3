"""Match statements: what their patterns capture, and from which part of the subject."""

from tree_sitter import Node

from graph_builder.extract_bindings import Scope
from graph_builder.extract_names import elements, is_group
from graph_builder.extract_targets import (
    SPLAT,
    Each,
    Parts,
    Pattern,
    Sources,
    Starred,
    bind_name,
    flow,
    gather,
)
from graph_builder.extract_walk import Uses, Walk


def visit_match(walk: Walk, node: Node, scope: Scope, uses: Uses) -> None:
    subjects = node.children_by_field_name("subject")
    is_tuple = any(child.type == "," for child in node.children)
    sources: Sources = [] if not subjects else gather(walk, subjects[0], scope)
    if is_tuple:
        rest = [gather(walk, subject, scope) for subject in subjects[1:]]
        is_exact = not any(walk.utf8[subject.start_byte] == SPLAT for subject in subjects)
        sources = Parts([sources, *rest], is_exact)
    body = node.child_by_field_name("body")
    for clause in body.children if body is not None else []:
        if clause.type == "case_clause":
            _visit_case(walk, clause, scope, sources)
        else:
            walk.visit(clause, scope, None)


def _visit_case(walk: Walk, node: Node, scope: Scope, sources: Sources) -> None:
    patterns = [child for child in node.children if child.type == "case_pattern"]
    is_sequence = any(child.type == "," for child in node.children)
    captured = [_capture(walk, pattern, scope) for pattern in patterns]
    if scope.is_flowing and captured:
        flow(walk, captured if is_sequence else captured[0], sources)
    for child in node.children:
        if child.type != "case_pattern":
            walk.visit(child, scope, None)


def _capture(walk: Walk, node: Node, scope: Scope) -> Pattern:
    """Bind the names that a pattern captures; return its shape."""
    kind = node.type
    children = elements(node)
    if kind == "case_pattern":
        return _capture(walk, children[0], scope) if len(children) == 1 else None
    if kind in ("dotted_name", "identifier"):
        return _capture_name(walk, node, scope)
    if kind in ("list_pattern", "tuple_pattern"):
        items = [_capture(walk, child, scope) for child in children]
        return items[0] if is_group(node) and len(items) == 1 else items
    if kind == "splat_pattern":
        inner = _capture(walk, children[0], scope) if children else None
        return Starred(inner) if node.children[0].type == "*" else inner
    if kind == "keyword_pattern":
        return _capture(walk, children[-1], scope)
    if kind == "class_pattern":
        span = _dotted(walk, children[0])
        walk.use(scope, span, None)
        walk.class_uses.append((scope, *span))
        return Each([_capture(walk, child, scope) for child in children[1:]])
    if kind in ("as_pattern", "union_pattern", "dict_pattern", "ERROR"):
        return Each([_capture(walk, child, scope) for child in children])
    walk.visit(node, scope, None)
    return None


def _dotted(walk: Walk, node: Node) -> tuple[str, int, int]:
    name, start, end = walk.span(node)
    return "".join(name.split()), start, end


def _capture_name(walk: Walk, node: Node, scope: Scope) -> Pattern:
    """Capture a simple name; a dotted one is a value to compare with."""
    span = _dotted(walk, node)
    if "." in span[0]:
        walk.use(scope, span, None)
        return None
    if span[0] == "_":
        return None
    bind_name(walk, scope, span)
    return span
