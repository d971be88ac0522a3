"""Entities: what the two ends of a triple are in the whole repository, by qualified name.

Where a name leads to a definition, a module, a variable or a parameter, the entity has that one's
qualified name, whatever the file calls it. What lies outside the repository has the name that it is
imported by; what nothing is known of keeps the name that is written (`append` of a method call).
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping
from typing import Final, NamedTuple

from graph_builder.entities import FileFacts, Triple
from graph_builder.relations import (
    CALLS,
    CONTAINS,
    DECLARES,
    FLOWS_TO,
    HAS_FIELD,
    HAS_PARAMETER,
    HAS_TYPE,
    IMPORTED_FROM,
    IMPORTS,
    INHERITS,
    INSTANTIATES,
    RETURNS,
)
from graph_builder.repository import Repository
from graph_builder.resolution import Entity, EntityKind

# A name that is several of these is the first of them.
KINDS: Final = ("module", "class", "function", "field", "parameter", "variable", "type")

# What a tail is where nothing but the relation says it.
_TAIL_KINDS: Final = {
    CALLS: "function",
    DECLARES: "variable",
    INSTANTIATES: "class",
    HAS_TYPE: "type",
    HAS_FIELD: "field",
    INHERITS: "class",
    HAS_PARAMETER: "parameter",
    RETURNS: "type",
    IMPORTED_FROM: "module",
    IMPORTS: "module",
    FLOWS_TO: "variable",
}
# Of a file: names bound in each definition, with their kind.
Bound = dict[int, dict[str, str]]
_MEMBERS: Final = (DECLARES, HAS_FIELD, HAS_PARAMETER)  # the tail's name is bound in the head


class GraphEntity(NamedTuple):
    """One end of an edge."""

    name: str  # qualified where that is known
    kind: str  # one of KINDS
    path: str = ""  # the file that defines it; empty: none of this repository


def bound_names(facts: FileFacts) -> Bound:
    """Return the names that each definition of a file (-1: the module) binds, with their kind."""
    by_name_start = {each.name_start: at for at, each in enumerate(facts.definitions)}
    bound: Bound = defaultdict(dict)
    for triple in facts.triples:
        if triple.relation in _MEMBERS:
            at = by_name_start.get(triple.head_start, -1)
            bound[at].setdefault(triple.tail, _TAIL_KINDS[triple.relation])
    return bound


class FileEntities:
    """The entities of one file's triples."""

    def __init__(self, repository: Repository, path: str, bound: Mapping[str, Bound]) -> None:
        self._repository, self._bound = repository, bound
        self._facts = facts = repository.file(path)
        self._by_name_start = {each.name_start: i for i, each in enumerate(facts.definitions)}
        self._passed_to = dict(repository.passed_on(path))
        self._starts = [each.start for each in facts.definitions]
        self._targets = {(use.start, use.end): use.target for use in facts.uses}
        self._targets |= {(call.start, call.end): call.target for call in facts.calls}

    def ends(self, triple: Triple) -> tuple[GraphEntity, GraphEntity]:
        """Return head and tail of a triple of this file."""
        if triple.relation == FLOWS_TO:
            head = self._value(triple.head, triple.site)
            if triple in self._passed_to:
                function = self._passed_to[triple]
                name = f"{self._repository.qualified_name(function)}.{triple.tail}"
                return head, GraphEntity(name, "parameter", self._path_of(function))
            return head, self._value(triple.tail, triple.site)
        return self._head(triple), self._tail(triple)

    def _head(self, triple: Triple) -> GraphEntity:
        if triple.relation == HAS_TYPE:
            return self._typed(triple)
        if triple.relation == IMPORTED_FROM:
            return self._led_to(triple.head, triple.head_start, triple.head_end, "variable")
        return self._definition(self._by_name_start.get(triple.head_start, -1))

    def _tail(self, triple: Triple) -> GraphEntity:
        if triple.relation == CONTAINS:
            return self._definition(self._by_name_start[triple.tail_start])
        kind = _TAIL_KINDS[triple.relation]
        if triple.relation in _MEMBERS:
            owner = self._by_name_start.get(triple.head_start, -1)
            owned = f"{self._definition(owner).name}.{triple.tail}"
            return GraphEntity(owned, kind, self._facts.path)
        return self._led_to(triple.tail, triple.tail_start, triple.tail_end, kind)

    def _led_to(self, name: str, start: int, end: int, kind: str) -> GraphEntity:
        """Return what the name at a span leads to; `kind`: what it is if nothing is known."""
        target = self._targets.get((start, end))
        found = None if target is None else self._repository.resolve(self._facts.path, target)
        if found is None:
            return GraphEntity(name, kind)
        if found.kind == EntityKind.OUTSIDE:
            is_class = self._repository.is_class(found.name)
            return GraphEntity(found.name, "class" if is_class else kind)
        path = self._path_of(found)
        if found.kind in (EntityKind.VARIABLE, EntityKind.OPAQUE_CLASS):
            kind = "variable" if found.kind == EntityKind.VARIABLE else "class"
            return GraphEntity(found.name, kind, path)
        kind = ("module", "class", "function")[found.kind]
        return GraphEntity(self._repository.qualified_name(found), kind, path)

    def _path_of(self, entity: Entity) -> str:
        return self._repository.files[entity.file].path

    def _definition(self, index: int) -> GraphEntity:
        if index < 0:
            return GraphEntity(self._facts.module, "module", self._facts.path)
        definition = self._facts.definitions[index]
        return GraphEntity(definition.qualified_name, definition.kind, self._facts.path)

    def _typed(self, triple: Triple) -> GraphEntity:
        """Return the head of a `has_type`: of `self.x: T` it is `x` alone."""
        at = self._enclosing(triple.site)
        while at >= 0:
            if triple.head in self._bound[self._facts.path][at]:
                return self._binding(self._facts.path, at, triple.head)
            at = self._facts.definitions[at].parent
        return self._visible(triple.head, -1)

    def _value(self, name: str, site: int) -> GraphEntity:
        """Return the variable, parameter or `receiver.x` that `name` is in the code at `site`."""
        innermost = self._enclosing(site)
        _, dot, member = name.rpartition(".")
        return self._field(innermost, member) if dot else self._visible(name, innermost)

    def _field(self, at: int, member: str) -> GraphEntity:
        """Return the field `member` of the class around the definition `at`, or of a base of it."""
        while at >= 0 and self._facts.definitions[at].kind != "class":
            at = self._facts.definitions[at].parent
        for path, definition in self._repository.linearized(self._facts.path, at):
            if member in self._bound[path][definition]:
                return self._binding(path, definition, member)
        return GraphEntity(f"{self._definition(at).name}.{member}", "field")

    def _visible(self, name: str, innermost: int) -> GraphEntity:
        """Return what `name` is bound to where the code of a definition looks for it."""
        at = innermost
        while at >= 0:
            is_looked_at = at == innermost or self._facts.definitions[at].kind == "function"
            if is_looked_at and name in self._bound[self._facts.path][at]:
                break
            at = self._facts.definitions[at].parent
        if name in self._bound[self._facts.path][at]:
            return self._binding(self._facts.path, at, name)
        return GraphEntity(name, "variable")

    def _binding(self, path: str, definition: int, name: str) -> GraphEntity:
        facts = self._repository.file(path)
        owner = facts.definitions[definition].qualified_name if definition >= 0 else facts.module
        return GraphEntity(f"{owner}.{name}", self._bound[path][definition][name], path)

    def _enclosing(self, site: int) -> int:
        """Return the innermost definition that holds the byte `site`; -1: the module."""
        at = bisect_right(self._starts, site) - 1
        while at >= 0 and self._facts.definitions[at].end <= site:
            at = self._facts.definitions[at].parent
        return at
