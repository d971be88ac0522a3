"""The repository graph: all files of a source together, their names settled.

Built from what `extract.py` says of each file; asked by `linking.py` for the triples, references
and facts of a window, and by `graph_export.py` for the whole graph.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from functools import cached_property, partial
from operator import itemgetter
from typing import NamedTuple

from graph_builder.argument_binding import Slots, passed_to, slots_of
from graph_builder.entities import (
    NO_SPAN,
    CallSite,
    Fact,
    FileFacts,
    Reference,
    Statement,
    Triple,
)
from graph_builder.extract_bindings import CLASS_RECEIVER, INSTANCE_RECEIVER
from graph_builder.extract_calls import BUILTIN_TYPES, is_capwords
from graph_builder.extract_settle import STARS
from graph_builder.relations import CALLS, FLOWS_TO, INSTANTIATES
from graph_builder.resolution import Entity, EntityKind, Resolver
from graph_builder.stdlib_names import stdlib_names

# site, relation, spans, names: no two triples of a file agree in all of them.
RECEIVERS = INSTANCE_RECEIVER + CLASS_RECEIVER
_IN_ORDER = itemgetter(7, 1, 3, 5, 4, 6, 0, 2)


class Callee(NamedTuple):
    """A function of the repository as one kind of call reaches it."""

    function: Entity
    slots: Slots


class Repository:
    """The files of one source as one graph."""

    def __init__(self, files: Sequence[FileFacts]) -> None:
        self.files = tuple(files)
        self._resolver = Resolver(self.files)
        self._at = {facts.path: at for at, facts in enumerate(self.files)}
        self._statements: dict[int, dict[int, list[Statement]]] = {}

    def with_files(self, files: Iterable[FileFacts]) -> "Repository":
        """Return the repository with more of some files, of which it has the outline so far."""
        _ = self._places  # for all of them, the same
        fuller = copy(self)
        replaced = {self._at[facts.path]: facts for facts in files}
        fuller.files = tuple(replaced.get(at, facts) for at, facts in enumerate(self.files))
        fuller._statements = {}
        return fuller

    def file(self, path: str) -> FileFacts:
        return self.files[self._at[path]]

    def resolve(self, path: str, target: str) -> Entity | None:
        """Return what a target of the file leads to; None: nothing that is known."""
        return self._resolver.resolve(self._at[path], target)

    def linearized(self, path: str, definition: int) -> list[tuple[str, int]]:
        """Return a class of the file and its bases here, in the order of method lookup."""
        classes = self._resolver.linearized(Entity(EntityKind.CLASS, self._at[path], definition))
        return [(self.files[each.file].path, each.definition) for each in classes]

    def triples(self, path: str) -> list[Triple]:
        """Return all triples that the file states, in the order of their sites."""
        at = self._at[path]
        found = list(self.files[at].triples)
        relations: dict[tuple[str, str], tuple[int, bool]] = {}
        callees: dict[str, Callee | None] = {}  # by target
        stated: list[tuple] = []
        for call in self.files[at].calls:
            head, head_start, head_end, callee, start, end, target, arguments = call
            known = relations.get((target, callee))
            if known is None:
                entity = self._resolver.resolve(at, target)
                known = relations[target, callee] = self._relation(call, entity)
            span = head_start, head_end, start, end, start
            stated.append((head, known[0], callee, *span, known[1]))
            if arguments and target not in callees:
                callees[target] = self._callee(at, target)
            called = callees[target] if arguments else None
            if called is not None:
                found.extend(_flows(at, call, called))
        found += map(partial(tuple.__new__, Triple), stated)
        found.sort(key=_IN_ORDER)
        return found

    def _relation(self, call: CallSite, entity: Entity | None) -> tuple[int, bool]:
        """Return the relation of a call to what its callee leads to, and whether it is a guess."""
        if entity is None:
            if call.target.startswith(STARS) and call.callee in BUILTIN_TYPES:
                return INSTANTIATES, False
        elif entity.kind in (EntityKind.CLASS, EntityKind.OPAQUE_CLASS):
            return INSTANTIATES, False
        elif entity.kind == EntityKind.FUNCTION:
            return CALLS, False
        elif entity.name and (is_class := self.is_class(entity.name)) is not None:
            return (INSTANTIATES if is_class else CALLS), False
        is_class = is_capwords(call.callee)
        return (INSTANTIATES if is_class else CALLS), is_class

    def is_class(self, name: str) -> bool | None:
        """Tell whether a name of which no definition is here is a class; None: nobody says."""
        return stdlib_names().get(name, True if name in self._used_as_classes else None)

    @cached_property
    def _used_as_classes(self) -> frozenset[str]:
        """The names without a definition here that some file uses as only a class can be."""
        found = (
            self._resolver.resolve(at, target)
            for at, facts in enumerate(self.files)
            for target in (*facts.class_uses, *(base for _, base in facts.bases))
        )
        return frozenset(entity.name for entity in found if entity is not None and entity.name)

    def passed_on(self, path: str) -> Iterator[tuple[Triple, Entity]]:
        """Yield each flow from an argument to a parameter, and the function that has it."""
        at = self._at[path]
        for call in self.files[at].calls:
            called = self._callee(at, call.target) if call.arguments else None
            if called is not None:
                yield from ((flow, called.function) for flow in _flows(at, call, called))

    def _callee(self, at: int, target: str) -> Callee | None:
        """Return what the arguments of a call in file `at` bind to, if that is known."""
        entity = self._resolver.resolve(at, target)
        function = None if entity is None else self._called_function(entity)
        if entity is None or function is None:
            return None
        signature = self._resolver.files[function.file].signatures.get(function.definition)
        if signature is None or signature.is_property:
            return None
        is_made = entity.kind == EntityKind.CLASS
        on_receiver = target[1] in RECEIVERS and target.count(".") == 1
        if signature.is_method and not (is_made or on_receiver):
            return None
        is_bound = is_made or target[1] == INSTANCE_RECEIVER or signature.is_class_method
        return Callee(function, slots_of(signature, is_bound))

    def _called_function(self, entity: Entity) -> Entity | None:
        """Return the function that a call of `entity` runs: for a class its `__init__`."""
        called: Entity | None = entity
        if entity.kind == EntityKind.CLASS:
            called = self._resolver.member(entity, "__init__")
        return called if called is not None and called.kind == EntityKind.FUNCTION else None

    def references(self, path: str) -> list[Reference]:
        """Return the uses of names in a file that lead to a function, class or module of these.

        The receiver of `self.x` leads to its class and the bases of that.
        """
        at = self._at[path]
        known: dict[tuple[str, str, bool], tuple[int, str] | None] = {}
        classes: dict[str, list[str]] = {}  # by the target of their receiver
        found: list[tuple[int, int, str]] = []
        for start, end, name, target in self.files[at].uses:
            is_spread = end - start != len(name.encode())
            key = name, target, is_spread
            if key not in known:
                known[key] = self._led_to(at, name, target, is_spread)
            led_to = known[key]
            if led_to is not None:
                found.append((start, end - led_to[0], led_to[1]))
            if target[:1] == ":" and target[1] in RECEIVERS:
                end_of_receiver = start + len(name.partition(".")[0].encode())
                receiver = target.partition(".")[0]
                if receiver not in classes:
                    classes[receiver] = self._receiver_classes(at, receiver)
                found += [(start, end_of_receiver, each) for each in classes[receiver]]
        found.sort()
        return list(map(partial(tuple.__new__, Reference), found))

    def _receiver_classes(self, at: int, receiver: str) -> list[str]:
        """Return the class of the receiver with that target, and its bases here."""
        own = Entity(EntityKind.CLASS, at, int(receiver[2:]))
        return [self.qualified_name(each) for each in self._resolver.linearized(own)]

    def _led_to(self, at: int, name: str, target: str, is_spread: bool) -> tuple[int, str] | None:
        """Follow the longest part of a dotted name that leads somewhere.

        Returns the number of bytes after that part, and what it leads to. Of a name with space
        around its dots only the whole is followed.
        """
        num_left = 0
        while True:
            entity = self._resolver.resolve(at, target)
            if entity is not None and entity.kind <= EntityKind.FUNCTION:
                return num_left, self.qualified_name(entity)
            name, _, last = name.rpartition(".")
            target = target[: -len(last) - 1]
            num_left += len(last.encode()) + 1
            if not name or is_spread or target[-1:] in ("", ":") or ":" not in target:
                return None

    def qualified_name(self, entity: Entity) -> str:
        """Return the name of a module, class or function of this repository."""
        facts = self.files[entity.file]
        if entity.definition < 0:
            return facts.module
        return facts.definitions[entity.definition].qualified_name

    def facts(self, entity: str) -> list[Fact]:
        """Return what the repository states about the entity of that qualified name.

        Of a function: parameters, what it returns and what contains it; of a class: bases, fields,
        what it contains and what contains it; of a module: what it contains. Types of parameters
        are none: their head is the parameter, and a mention of the function does not name that.
        """
        found: dict[tuple[str, int, str, bool], Fact] = {}
        for at, definition in self._places.get(entity, ()):
            facts = self.files[at]
            for _, triple, is_reversed in self._stated(at).get(definition, ()):
                head, relation, tail, *spans, site, _ = facts.triples[triple]
                start, end = spans[:2] if is_reversed else spans[2:]
                key = head, relation, tail, is_reversed
                fact = Fact(head, relation, tail, facts.path, site, start, end, entity, is_reversed)
                found.setdefault(key, fact)
        return list(found.values())

    @cached_property
    def _places(self) -> dict[str, list[tuple[int, int]]]:
        """Qualified name: the files and indices of the definitions that have it."""
        places: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for at, facts in enumerate(self.files):
            places[facts.module].append((at, -1))
            for index, definition in enumerate(facts.definitions):
                places[definition.qualified_name].append((at, index))
        return places

    def _stated(self, at: int) -> dict[int, list[Statement]]:
        """Statements of a file by the definition that they are about."""
        if at not in self._statements:
            by_definition: dict[int, list[Statement]] = defaultdict(list)
            for statement in self.files[at].statements:
                by_definition[statement.definition].append(statement)
            self._statements[at] = by_definition
        return self._statements[at]


def _flows(at: int, call: CallSite, called: Callee) -> Iterator[Triple]:
    """Yield a flow from each argument of a call in file `at` to the parameter that it binds to."""
    is_here = called.function.file == at
    for argument, parameter in passed_to(call.arguments, called.slots):
        if argument.name != parameter.name:
            tail = (parameter.start, parameter.end) if is_here else (NO_SPAN, NO_SPAN)
            head = argument.start, argument.end
            yield Triple(argument.name, FLOWS_TO, parameter.name, *head, *tail, argument.start)
