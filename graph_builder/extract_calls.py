"""Calls: what is called, whether a name is that of a class, and which arguments are passed on."""

from typing import Final

from tree_sitter import Node

from graph_builder.extract_bindings import Scope
from graph_builder.extract_names import (
    NAMES,
    SPLATS,
    Written,
    elements,
    note_classes,
    unsplat,
    unwrap,
    written,
)
from graph_builder.extract_syntax import kinds
from graph_builder.extract_walk import NameUse, Uses, Walk

SPREAD: Final = -1  # slot of `*xs`
UNKNOWN_SLOT: Final = -2  # a position after `*xs`
_ARGUMENT_LISTS: Final = kinds("argument_list")
_KEYWORDS: Final = kinds("keyword_argument")
_COMMENTS: Final = kinds("comment")
CLASS_TESTS: Final = frozenset({"isinstance", "issubclass"})  # the second argument is a class

# Exceptions and warnings of Python 3.8 to 3.14 are types too, whichever version runs this.
BUILTIN_TYPES: Final = frozenset(
    [
        "bool",
        "bytearray",
        "bytes",
        "classmethod",
        "complex",
        "dict",
        "enumerate",
        "filter",
        "float",
        "frozenset",
        "int",
        "list",
        "map",
        "memoryview",
        "object",
        "property",
        "range",
        "reversed",
        "set",
        "slice",
        "staticmethod",
        "str",
        "tuple",
        "type",
        "zip",
        "ArithmeticError",
        "AssertionError",
        "AttributeError",
        "BaseException",
        "BaseExceptionGroup",
        "BlockingIOError",
        "BrokenPipeError",
        "BufferError",
        "BytesWarning",
        "ChildProcessError",
        "ConnectionAbortedError",
        "ConnectionError",
        "ConnectionRefusedError",
        "ConnectionResetError",
        "DeprecationWarning",
        "EOFError",
        "EncodingWarning",
        "EnvironmentError",
        "Exception",
        "ExceptionGroup",
        "FileExistsError",
        "FileNotFoundError",
        "FloatingPointError",
        "FutureWarning",
        "GeneratorExit",
        "IOError",
        "ImportError",
        "ImportWarning",
        "IndentationError",
        "IndexError",
        "InterruptedError",
        "IsADirectoryError",
        "KeyError",
        "KeyboardInterrupt",
        "LookupError",
        "MemoryError",
        "ModuleNotFoundError",
        "NameError",
        "NotADirectoryError",
        "NotImplementedError",
        "OSError",
        "OverflowError",
        "PendingDeprecationWarning",
        "PermissionError",
        "ProcessLookupError",
        "PythonFinalizationError",
        "RecursionError",
        "ReferenceError",
        "ResourceWarning",
        "RuntimeError",
        "RuntimeWarning",
        "StopAsyncIteration",
        "StopIteration",
        "SyntaxError",
        "SyntaxWarning",
        "SystemError",
        "SystemExit",
        "TabError",
        "TimeoutError",
        "TypeError",
        "UnboundLocalError",
        "UnicodeDecodeError",
        "UnicodeEncodeError",
        "UnicodeError",
        "UnicodeTranslateError",
        "UnicodeWarning",
        "UserWarning",
        "ValueError",
        "Warning",
        "WindowsError",
        "ZeroDivisionError",
    ]
)


def is_capwords(name: str) -> bool:
    """Tell whether the last part of a dotted name is written like a class."""
    last = name.rpartition(".")[2].lstrip("_")
    return last[:1].isupper() and not last.isupper() and any(map(str.islower, last))


def visit_call(walk: Walk, node: Node, scope: Scope, uses: Uses) -> None:
    children = node.children
    function, arguments = children[0], children[-1]
    if function.kind_id not in NAMES:
        function = unwrap(unsplat(function))
    name = written(walk, function)
    if name is None:
        target = _called_type(walk, function, scope)
        if target is None:
            walk.visit(function, scope, uses)
    else:
        target = _called_receiver(name, scope)
        if name.base is not None:
            walk.visit(name.base, scope, uses)
        else:
            walk.use(scope, name[:3], None)
            if uses is not None and "." in name.name:
                uses.append((scope, name.name.rpartition(".")[0], name.start, name.end))
    passed = _visit_arguments(walk, arguments, scope, uses)
    if name is not None and name.name in CLASS_TESTS and name.base is None:
        tested = elements(arguments)
        if len(tested) == 2:
            note_classes(walk, tested[1], scope)
    if target is not None:
        callee = walk.definitions[int(target[2:])][1]
        span = function.start_byte, function.end_byte
        walk.calls.append((scope, callee, *span, True, passed, target))
    elif name is not None:
        is_type_of = name.name == "type" and _is_single(arguments)
        walk.calls.append((scope, *name[:3], name.base is None, passed, "" if is_type_of else None))


def _called_receiver(name: Written, scope: Scope) -> str | None:
    """Return the target of `cls()` and `self.__class__()`: the receiver's class."""
    receiver, _, member = name.name.partition(".")
    if name.base is not None or member not in ("", "__class__"):
        return None
    method = scope.receiver(receiver)
    if method is None or method.class_scope is None or method.is_class_receiver == bool(member):
        return None
    return f":#{method.class_scope.definition}"


def _called_type(walk: Walk, function: Node, scope: Scope) -> str | None:
    """Return the target of `type(self)()`; None: the callee is something else."""
    if function.type != "call" or walk.text(function.children[0]) != "type":
        return None
    arguments = function.children[-1]
    if not _is_single(arguments) or scope.find("type") is not None:
        return None
    method = scope.receiver(walk.text(arguments.named_children[0]))
    if method is None or method.class_scope is None or method.is_class_receiver:
        return None
    return f":#{method.class_scope.definition}"


def _is_single(arguments: Node) -> bool:
    """Tell whether a call has one positional argument and no other."""
    if arguments.type == "generator_expression":
        return True
    found = [child for child in arguments.named_children if child.type != "comment"]
    others = ("keyword_argument", "list_splat", "dictionary_splat")
    return len(found) == 1 and found[0].type not in others


def _visit_arguments(
    walk: Walk, node: Node, scope: Scope, uses: Uses
) -> list[tuple[int | str, NameUse]]:
    """Visit the arguments of a call; return those that are a bare name or `receiver.x`."""
    if node.kind_id not in _ARGUMENT_LISTS:
        walk.visit(node, scope, uses)
        return []
    passed: list[tuple[int | str, NameUse]] = []
    position, handlers = 0, walk.handlers
    for child in node.children:
        kind = child.kind_id
        if kind not in handlers:
            position += child.is_named and kind not in _COMMENTS
            continue
        slot: int | str
        value = child
        if kind in _KEYWORDS:
            slot, value = walk.text(child.children[0]), child.children[-1]
        elif kind in SPLATS:
            slot, value = SPREAD, child.children[-1]
            position = -(2**30)  # whatever follows has no known position
        else:
            slot = position if position >= 0 else UNKNOWN_SLOT
            position += 1
        walk.visit(value, scope, uses)
        if not scope.is_flowing:
            continue
        bare = unwrap(value)
        if bare.kind_id in NAMES:
            used = walk.uses[-1]
            if used[3] == bare.end_byte and used[2] == bare.start_byte:
                passed.append((slot, used))
    return passed


def visit_keyword(walk: Walk, node: Node, scope: Scope, uses: Uses) -> None:
    """Visit the value of a keyword argument; its name is no use of a name."""
    walk.visit(node.children[-1], scope, uses)


def visit_yield(walk: Walk, node: Node, scope: Scope, uses: Uses) -> None:
    """Visit what is yielded; it does not flow to what the expression is assigned to."""
    walk.visit_children(node, scope, None)
