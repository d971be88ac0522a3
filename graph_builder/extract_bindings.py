"""Scopes and what their names are bound to, as Python's own rules of scoping see them.

A scope is filled while the file is walked and asked only once the walk is over, since a name is
local to its whole function. Two things may be asked at once: receivers and other parameters are
bound before anything of the body.
"""

from enum import IntEnum
from typing import Final

Span = tuple[str, int, int]  # a name as printed, and its first and one-past-last UTF-8 byte

# How the path of a target in this file may open, before the index of a definition: with that
# definition, or with the receiver of a method of that class.
DEFINITION: Final = "#"
INSTANCE_RECEIVER: Final = "@"
CLASS_RECEIVER: Final = "%"


class ScopeKind(IntEnum):
    MODULE = 0
    CLASS = 1
    FUNCTION = 2
    LAMBDA = 3
    COMPREHENSION = 4


class Bound(IntEnum):
    """What the first binding of a name in its scope was."""

    VARIABLE = 0
    PARAMETER = 1
    RECEIVER = 2
    FUNCTION = 3
    CLASS = 4
    IMPORT = 5
    TYPE_PARAMETER = 6


# What a value can flow from; receivers only through an attribute.
VALUES: Final = frozenset({Bound.VARIABLE, Bound.PARAMETER})
# Later bindings of these by assignment declare nothing.
UNDECLARED: Final = frozenset({Bound.PARAMETER, Bound.RECEIVER, Bound.IMPORT})


class Scope:
    """The names bound in one module, class, function, lambda or comprehension."""

    __slots__ = (
        "cache",
        "class_scope",
        "declared",
        "definition",
        "definitions",
        "globals",
        "head",
        "imports",
        "is_class_receiver",
        "is_flowing",
        "kind",
        "names",
        "nonlocals",
        "parent",
        "prefixes",
        "sources",
        "targets",
    )

    def __init__(
        self,
        kind: ScopeKind,
        parent: "Scope | None",
        head: Span,
        definition: int,
        is_flowing: bool = False,
    ) -> None:
        self.kind = kind
        self.parent = parent
        self.head = head  # the entity that the code in here belongs to
        self.definition = definition  # index of that entity's definition
        self.is_flowing = is_flowing  # inside a function and not in a lambda's body
        self.names: dict[str, Bound] = {}
        self.definitions: dict[str, int] = {}  # functions and classes, the last of each name
        self.imports: dict[str, list[str]] = {}  # targets, alternatives in source order
        self.declared: set[str] = set()  # variables (fields in a class) stated so far
        self.globals: frozenset[str] | set[str] = frozenset()
        self.nonlocals: frozenset[str] | set[str] = frozenset()
        self.class_scope: Scope | None = None  # of a method: the class that its receiver is of
        self.is_class_receiver = False  # the receiver is the class, not an instance
        self.cache: dict[str, Scope | None] = {}  # its cycles end with `forget`
        self.prefixes: dict[str, str | None] = {}
        self.targets: dict[str, str | None] = {}  # of dotted names used here, once complete
        self.sources: dict[str, tuple[str, int] | None] = {}  # likewise

    @property
    def module(self) -> "Scope":
        scope = self
        while scope.parent is not None:
            scope = scope.parent
        return scope

    def find(self, name: str) -> "Scope | None":
        """Return the scope in which a use of `name` here finds its binding; None: nowhere."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names and (scope.kind != ScopeKind.CLASS or scope is self):
                return scope
            if name in scope.globals:
                module = scope.module
                return module if name in module.names else None
            scope = scope.parent
        return None

    def settled(self, name: str) -> "Scope | None":
        """Return `find(name)`, remembered: only for scopes that are complete."""
        try:
            return self.cache[name]
        except KeyError:
            found = self.cache[name] = self.find(name)
            return found

    def forget(self) -> None:
        """Drop what is remembered, so that no scope holds itself alive."""
        self.cache.clear()

    def binder(self, name: str) -> "Scope | None":
        """Return the scope that an assignment to `name` here binds it in; None: a nonlocal."""
        if name in self.globals:
            return self.module
        return None if name in self.nonlocals else self

    def receiver(self, name: str) -> "Scope | None":
        """Return the method whose receiver `name` is here; None: it is no receiver."""
        found = self.find(name)
        if found is None or found.names[name] != Bound.RECEIVER:
            return None
        return found

    def receiver_class(self, name: str) -> "Scope | None":
        method = self.receiver(name)
        return None if method is None else method.class_scope

    def prefix(self, name: str) -> str | None:
        """Return the target of `name` used here, None where it leads nowhere; once complete."""
        try:
            return self.prefixes[name]
        except KeyError:
            found = self.prefixes[name] = self._prefix(name)
            return found

    def _prefix(self, name: str) -> str | None:
        found = self.settled(name)
        if found is None:
            return None
        if name in found.definitions:
            return f":{DEFINITION}{found.definitions[name]}"
        if found.kind == ScopeKind.MODULE:
            return f":{name}"
        if name in found.imports:
            return next(iter(found.imports[name]), None)
        if found.names[name] == Bound.RECEIVER and found.class_scope is not None:
            marker = CLASS_RECEIVER if found.is_class_receiver else INSTANCE_RECEIVER
            return f":{marker}{found.class_scope.definition}"
        return None


def join(target: str, path: str) -> str:
    """Return the target of `path` (dotted, may be empty) below `target`."""
    if not path:
        return target
    return f"{target}{path}" if target.endswith(":") else f"{target}.{path}"
