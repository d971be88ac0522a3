"""What the parser says of a file, and the repository of all files: plain records.

Made by `extract.py` (one file) and `repository.py` (all files of a source); read by `windows.py`
and `linking.py`. Every offset counts bytes of the file as it is on disk.
"""

from dataclasses import dataclass
from typing import NamedTuple

NO_SPAN = -1


class Triple(NamedTuple):
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


class Definition(NamedTuple):
    """One `def` or `class`, nested ones too, in source order."""

    kind: str  # "function" or "class"
    name: str
    qualified_name: str  # dotted, module included: "pkg.mod.Class.method"
    parent: int  # index of the enclosing definition in the file's list; -1: the module
    start: int  # first byte of the whole definition, decorators included
    end: int  # one past its last byte
    name_start: int
    name_end: int


class Reference(NamedTuple):
    """One use of a name (dotted as written) that leads to an entity of this repository."""

    start: int  # byte span of what is written
    end: int
    entity: str  # qualified name of the entity it leads to


class Fact(NamedTuple):
    """One settled fact of the repository graph, with one place that states it."""

    head: str  # simple or dotted names, as the triple says them
    relation: int
    tail: str
    path: str  # file that states it
    site: int  # first byte of the syntax there
    start: int  # byte span there of the end that is not `entity`; NO_SPAN: no text
    end: int
    entity: str  # qualified name of the entity that the fact is about: its head, or for a
    # `contains` or `has_field` triple about the member, its tail
    is_reversed: bool  # True: `entity` is the tail, so what a leaf can add is the head


class Parameter(NamedTuple):
    """One parameter of a function, the receiver too."""

    name: str
    kind: str  # one of the kinds in `extract_definitions.py`
    start: int
    end: int


class Signature(NamedTuple):
    """The parameters of one function."""

    definition: int  # index of the function
    parameters: tuple[Parameter, ...]
    is_method: bool  # of a class, static ones too
    is_class_method: bool  # its receiver is the class
    is_property: bool  # what is called is then its value, not the function


class Argument(NamedTuple):
    """A bare name or `receiver.x` that a call passes on."""

    slot: int | str  # position (0-based), keyword, or SPREAD for `*xs`
    name: str
    start: int
    end: int


class CallSite(NamedTuple):
    """One call whose callee may lead to an entity of the repository: not yet settled.

    Targets, here and below, read `module:dotted.path`. An empty module is the file itself, where
    the path may open with `#3`, the definition of that index, or with `@3` or `%3`, an instance or
    the class as the receiver of a method of it; an empty path is the module. The module `*` stands
    for the star imports of the file.
    """

    head: str
    head_start: int
    head_end: int
    callee: str
    start: int
    end: int
    target: str
    arguments: tuple[Argument, ...]


class Use(NamedTuple):
    """One name as written that may lead to an entity of the repository: not yet settled."""

    start: int
    end: int
    name: str  # dotted
    target: str  # of the whole dotted name


class Statement(NamedTuple):
    """What a triple of the same file states about one of its definitions."""

    definition: int  # index; -1: the module
    triple: int  # index
    is_reversed: bool  # the definition is the triple's tail


@dataclass(frozen=True)
class FileFacts:
    """Everything that one file says by itself, before names are resolved across files."""

    path: str  # relative to the source's root, forward slashes
    module: str  # dotted module name
    definitions: tuple[Definition, ...]
    num_syntax_errors: int
    triples: tuple[Triple, ...]  # what needs no other file
    statements: tuple[Statement, ...]
    calls: tuple[CallSite, ...]
    uses: tuple[Use, ...]
    signatures: tuple[Signature, ...]
    bases: tuple[tuple[int, str], ...]  # class, target of one base; in order
    class_uses: tuple[str, ...]  # targets of names that are used as only a class can be
    names: tuple[tuple[str, int], ...]  # module-level functions and classes
    members: tuple[tuple[int, str, int], ...]  # class, name, method or nested class
    variables: tuple[tuple[str, str], ...]  # module-level variables: what each is another name of
    imports: tuple[tuple[str, tuple[str, ...]], ...]  # module-level names: targets, in order
    star_imports: tuple[str, ...]  # modules
