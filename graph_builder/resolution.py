"""Where the names of a repository lead: through imports, re-exports, classes and their bases.

Everything is plain dictionaries over `FileFacts`; an entity is a file's index and the index of a
definition in it, or a name: of a module-level variable, or of what lies outside the repository.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from functools import cached_property
from typing import Final, NamedTuple

from graph_builder.entities import FileFacts, Signature
from graph_builder.extract_bindings import CLASS_RECEIVER, DEFINITION, INSTANCE_RECEIVER
from graph_builder.extract_targets import OPAQUE_CLASS
from graph_builder.stdlib_names import stdlib_names

MARKERS: Final = DEFINITION + INSTANCE_RECEIVER + CLASS_RECEIVER
# A name that is another name of another name, or imported from where it is imported, so many times
# over is generated code; following it further would take a file's number of names squared.
MAX_CHAIN: Final = 200


class EntityKind(IntEnum):
    MODULE = 0
    CLASS = 1
    FUNCTION = 2
    VARIABLE = 3  # of a module, its value unknown
    OPAQUE_CLASS = 4  # a variable whose value is a class that no `class` statement makes
    OUTSIDE = 5  # not of this repository, or of no Python file of it


class Entity(NamedTuple):
    kind: EntityKind
    file: int  # -1: outside
    definition: int  # index of a class or function, else -1
    name: str = ""  # dotted and absolute, of what has no definition here


class FileIndex:
    """The dictionaries of one file."""

    def __init__(self, facts: FileFacts) -> None:
        self.facts = facts
        self.names = dict(facts.names)
        self.imports = dict(facts.imports)
        self.variables = dict(facts.variables)
        self.members: dict[int, dict[str, int]] = defaultdict(dict)
        for owner, name, index in facts.members:
            self.members[owner][name] = index
        self.bases: dict[int, list[str]] = defaultdict(list)
        for owner, target in facts.bases:
            self.bases[owner].append(target)
        self.targets: dict[str, Entity | None] = {}  # resolved so far

    @cached_property
    def signatures(self) -> dict[int, Signature]:
        return {each.definition: each for each in self.facts.signatures}

    @cached_property
    def root(self) -> str:
        """The folder that the module's name counts from."""
        depth = self.facts.module.count(".") + 1 + self.facts.path.endswith("__init__.py")
        return "/".join(self.facts.path.split("/")[:-depth])


class Resolver:
    """Resolves targets (see `entities.py`) over all files of a source."""

    def __init__(self, files: Sequence[FileFacts]) -> None:
        self.files = [FileIndex(facts) for facts in files]
        self._modules: dict[str, list[int]] = defaultdict(list)
        for at, facts in enumerate(files):
            self._modules[facts.module].append(at)
        for module, at in self._in_namespaces():
            self._modules[module].append(at)
        self._orders: dict[tuple[int, int], list[Entity]] = {}
        self._under_way: set[tuple[int, str]] = set()

    def _in_namespaces(self) -> Iterator[tuple[str, int]]:
        """Yield the names by which files below a folder without `__init__.py` are imported too.

        Such a folder in a package, or beside one, is a namespace package: what other modules count
        from, its files count from as well.
        """
        roots = {index.root for index in self.files}
        for at, index in enumerate(self.files):
            folders = index.root.split("/") if index.root else []
            for depth in range(len(folders)):
                if "/".join(folders[:depth]) in roots:
                    module = ".".join([*folders[depth:], index.facts.module])
                    if module not in self._modules:
                        yield module, at

    def resolve(self, file: int, target: str) -> Entity | None:
        """Return what `target`, as used in `file`, leads to; None: nothing that is known."""
        known = self.files[file].targets
        try:
            return known[target]
        except KeyError:
            known[target] = self._resolve(file, target)
            return known[target]

    def _resolve(self, file: int, target: str) -> Entity | None:
        module, _, path = target.partition(":")
        parts = path.split(".") if path else []
        entity: Entity | None
        if module == "*":
            entity = self._from_stars(file, parts.pop(0))
        elif module:
            entity = self._module(file, module)
        elif parts[0][0] in MARKERS:
            first = parts.pop(0)
            if first[0] != DEFINITION and not parts:
                return None
            entity = self._definition(file, int(first[1:]))
        else:
            entity = self._name(file, parts.pop(0))
        for part in parts:
            if entity is None:
                return None
            entity = self.member(entity, part)
        return entity

    def member(self, entity: Entity, name: str) -> Entity | None:
        """Return what the attribute `name` of a module or class is."""
        if entity.kind == EntityKind.MODULE:
            return self._attribute(entity.file, name)
        if entity.kind == EntityKind.OUTSIDE:
            return _outside(f"{entity.name}.{name}")
        if entity.kind != EntityKind.CLASS:
            return None
        for owner in self.linearized(entity):
            index = self.files[owner.file].members[owner.definition].get(name)
            if index is not None:
                return self._definition(owner.file, index)
        return None

    def linearized(self, entity: Entity) -> list[Entity]:
        """Return a class and its bases in the repository, in the order of method lookup.

        Depth first, the last visit counts: for sound hierarchies that is Python's order.
        """
        key = entity.file, entity.definition
        if key not in self._orders:
            self._orders[key] = [entity]  # what a class that is its own base gets
            visited = list(self._ancestors(entity))
            last = {each: at for at, each in enumerate(visited)}
            self._orders[key] = [each for at, each in enumerate(visited) if last[each] == at]
        return self._orders[key]

    def _ancestors(self, entity: Entity) -> Iterator[Entity]:
        yield entity
        for target in self.files[entity.file].bases[entity.definition]:
            base = self.resolve(entity.file, target)
            if base is not None and base.kind == EntityKind.CLASS:
                yield from self.linearized(base)

    def _definition(self, file: int, index: int) -> Entity:
        is_class = self.files[file].facts.definitions[index].kind == "class"
        return Entity(EntityKind.CLASS if is_class else EntityKind.FUNCTION, file, index)

    def _module(self, file: int, module: str) -> Entity:
        """Return the module of that name, of the importing file's own root where several are."""
        found = self._modules.get(module)
        if not found:
            return _outside(module)
        root = self.files[file].root
        nearest = next((each for each in found if self.files[each].root == root), found[0])
        return Entity(EntityKind.MODULE, nearest, -1)

    def _attribute(self, file: int, name: str) -> Entity | None:
        """Return what `name` is in a module, its submodules included."""
        found = self._name(file, name)
        if found is not None and found.kind != EntityKind.OUTSIDE:
            return found
        submodule = self._module(file, f"{self.files[file].facts.module}.{name}")
        return found if found is not None and submodule.kind == EntityKind.OUTSIDE else submodule

    def _name(self, file: int, name: str) -> Entity | None:
        """Return what the module-level `name` is: defined, imported, or another name."""
        key = file, name
        if key in self._under_way or len(self._under_way) >= MAX_CHAIN:
            return None
        self._under_way.add(key)
        try:
            return self._bound(file, name)
        finally:
            self._under_way.discard(key)

    def _bound(self, file: int, name: str) -> Entity | None:
        index = self.files[file]
        if name in index.names:
            return self._definition(file, index.names[name])
        targets = index.imports.get(name, ())
        found = _first_inside(self._resolve(file, target) for target in targets)
        if found is not None or name in index.imports:
            return found
        if name in index.variables:
            return self._variable(file, name, index.variables[name])
        return self._from_stars(file, name)

    def _variable(self, file: int, name: str, meaning: str) -> Entity:
        qualified = f"{self.files[file].facts.module}.{name}"
        if meaning == OPAQUE_CLASS:
            return Entity(EntityKind.OPAQUE_CLASS, file, -1, qualified)
        found = self._resolve(file, meaning) if meaning else None
        return found or Entity(EntityKind.VARIABLE, file, -1, qualified)

    def _from_stars(self, file: int, name: str) -> Entity | None:
        """Return what the star imports of a file give under `name`; private names they do not.

        Of modules outside only the standard library's are known by their names.
        """
        if name.startswith("_"):
            return None
        modules = (self._module(file, each) for each in self.files[file].facts.star_imports)
        return _first_inside(
            self._from_star(module, name) for module in modules if module.file != file
        )

    def _from_star(self, module: Entity, name: str) -> Entity | None:
        if module.kind != EntityKind.OUTSIDE:
            return self._name(module.file, name)
        outside = f"{module.name}.{name}"
        return _outside(outside) if outside in stdlib_names() else None


def _first_inside(alternatives: Iterable[Entity | None]) -> Entity | None:
    """Return the first of the repository, else the first that lies outside."""
    outside: Entity | None = None
    for found in alternatives:
        if found is not None and found.kind != EntityKind.OUTSIDE:
            return found
        outside = outside or found
    return outside


def _outside(name: str) -> Entity:
    return Entity(EntityKind.OUTSIDE, -1, -1, name)
