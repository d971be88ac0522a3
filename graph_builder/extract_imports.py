"""Import statements: what they name, what they bind, and where each name leads."""

from tree_sitter import Node

from graph_builder.extract_bindings import Bound, Scope, Span
from graph_builder.extract_types import TYPING_MODULES
from graph_builder.extract_walk import Uses, Walk
from graph_builder.modules import absolute_module
from graph_builder.relations import IMPORTED_FROM, IMPORTS


def _module_span(walk: Walk, node: Node) -> Span:
    """Return a dotted name; spaces around its dots are not part of it."""
    name, start, end = walk.span(node)
    return "".join(name.split()) if not name.isidentifier() else name, start, end


def _bind(walk: Walk, scope: Scope, name: str, target: str | None) -> None:
    binder = scope.binder(name)
    if binder is None or not name:
        return
    if name in binder.names:
        walk.aliases.pop(name, None)
    binder.names.setdefault(name, Bound.IMPORT)
    targets = binder.imports.setdefault(name, [])
    if target is not None and target not in targets:
        targets.append(target)


def _alias(walk: Walk, node: Node) -> tuple[Node, str | None]:
    """Return the imported name's node, and what it is called here if it has an alias."""
    if node.type != "aliased_import":
        return node, None
    return node.children[0], walk.text(node.children[-1])


def visit_import(walk: Walk, node: Node, scope: Scope, uses: Uses) -> None:
    for child in node.named_children:
        if child.type not in ("dotted_name", "aliased_import"):
            continue
        named, alias = _alias(walk, child)
        span = _module_span(walk, named)
        walk.state(IMPORTS, scope.head, span, span[1])
        walk.import_uses.append((span[1], span[2], span[0], f"{span[0]}:"))
        if alias is not None:
            _bind(walk, scope, alias, f"{span[0]}:")
        else:
            top = span[0].partition(".")[0]
            _bind(walk, scope, top, f"{top}:")


def visit_import_from(walk: Walk, node: Node, scope: Scope, uses: Uses) -> None:
    named = node.named_children
    module_node = node.child_by_field_name("module_name")
    if module_node is None:
        return
    module, target = _from_module(walk, module_node)
    if target is not None:
        walk.import_uses.append((*module[1:], module[0], f"{target}:"))
    for child in named:
        if child.type == "wildcard_import":
            walk.state(IMPORTS, scope.head, module, module[1])
            if target is not None:
                walk.star_imports.append(target)
        elif child != module_node and child.type in ("dotted_name", "aliased_import"):
            _import_name(walk, child, scope, module, target)


def visit_future_import(walk: Walk, node: Node, scope: Scope, uses: Uses) -> None:
    start = walk.utf8.index(b"__future__", node.start_byte)
    module = ("__future__", start, start + len("__future__"))
    for child in node.named_children:
        if child.type == "wildcard_import":
            walk.state(IMPORTS, scope.head, module, start)
        elif child.type in ("dotted_name", "aliased_import"):
            _import_name(walk, child, scope, module, "__future__")


def _from_module(walk: Walk, node: Node) -> tuple[Span, str | None]:
    """Return the module as printed with its span, and its absolute name if it has one."""
    span = _module_span(walk, node)
    if node.type != "relative_import":
        return span, span[0]
    name = span[0].lstrip(".")
    absolute = absolute_module(walk.module, walk.is_package, len(span[0]) - len(name), name)
    return (span[0] if absolute is None else absolute, *span[1:]), absolute


def _import_name(walk: Walk, node: Node, scope: Scope, module: Span, target: str | None) -> None:
    original, alias = _alias(walk, node)
    span = walk.span(original)
    if not span[0]:
        return
    walk.state(IMPORTED_FROM, span, module, span[1])
    name = span[0] if alias is None else alias
    if target is None:
        _bind(walk, scope, name, None)
        return
    if target in TYPING_MODULES:
        walk.typing_names[name] = span[0]
    walk.import_uses.append((span[1], span[2], span[0], f"{target}:{span[0]}"))
    _bind(walk, scope, name, f"{target}:{span[0]}")
