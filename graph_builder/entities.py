"""What the parser says of a file, and the repository of all files: plain records, no parser in them.

Made by `extract.py` (one file) and `repository.py` (all files of a source); read by `windows.py`
and `linking.py`. Every offset counts bytes of the file as it is on disk.
"""

from dataclasses import dataclass

NO_SPAN = -1


@dataclass(frozen=True, slots=True)
class Triple:
    """One fact with its evidence in one file."""

    head: str
    relation: int  # id, see relations.py
    tail: str
    head_start: int  # NO_SPAN where the entity has no text in this file
    head_end: int
    tail_start: int
    tail_end: int
    site: int  # first byte of the syntax that states the fact: the window that holds it owns it
    is_guess: bool = False  # an instantiation that rests on a CapWords name alone


@dataclass(frozen=True, slots=True)
class Definition:
    """One `def` or `class`, nested ones too, in source order."""

    kind: str  # "function" or "class"
    name: str
    qualified_name: str  # dotted, module included: "pkg.mod.Class.method"
    parent: int  # index of the enclosing definition in the file's list; -1: the module
    start: int  # first byte of the whole definition, decorators included
    end: int  # one past its last byte
    name_start: int
    name_end: int


@dataclass(frozen=True, slots=True)
class Reference:
    """One use of a name (dotted as written) that leads to an entity of this repository."""

    start: int  # byte span of what is written
    end: int
    entity: str  # qualified name of the entity it leads to


@dataclass(frozen=True, slots=True)
class Fact:
    """One settled fact of the repository graph, with one place that states it."""

    head: str  # simple or dotted names, as the triple says them
    relation: int
    tail: str
    path: str  # file that states it
    site: int  # first byte of the syntax there
    entity: str  # qualified name of the entity that the fact is about: its head, or for a
    # `contains` or `has_field` triple about the member, its tail
    is_reversed: bool  # True: `entity` is the tail, so what a leaf can add is the head


@dataclass(frozen=True)
class FileFacts:
    """Everything that one file says by itself, before names are resolved across files."""

    path: str  # relative to the source's root, forward slashes
    module: str  # dotted module name
    definitions: tuple[Definition, ...]
