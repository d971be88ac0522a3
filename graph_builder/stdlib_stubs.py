"""Write `stdlib_names.txt` from the stubs of typeshed, which mypy brings along.

    python -m graph_builder.stdlib_stubs

Stubs say of every module of Python 3.8 to 3.14, those written in C too, what its names are; all
branches of their version checks are read. A stub gives what it defines, what its `__all__` lists
and what it imports under its own name.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from graph_builder.extract import extract
from graph_builder.extract_calls import is_capwords
from graph_builder.modules import module_name
from graph_builder.resolution import Entity, EntityKind, Resolver
from graph_builder.source_text import decode_source
from graph_builder.stdlib_names import FUNCTION_MARK, STDLIB_NAMES


@dataclass(frozen=True)
class _Stubs:
    resolver: Resolver
    texts: tuple[str, ...]  # in the order of the resolver's files
    by_module: dict[str, int]


def index_lines(folder: Path) -> Iterator[str]:
    """Yield a line for each module below `folder` that has names to tell."""
    stubs = _read(folder)
    for module, at in stubs.by_module.items():
        names = sorted(_told(stubs, at))
        if names and not module.startswith("_typeshed"):
            yield " ".join([module, *names])


def _read(folder: Path) -> _Stubs:
    data = {
        path.relative_to(folder).with_suffix(".py").as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*.pyi"))
    }
    modules = {path: module_name(path, data.keys()) for path in data}
    facts = [extract(path, modules[path], decode_source(data[path])) for path in data]
    texts = tuple(data[path].decode() for path in data)
    by_module = {module: at for at, module in enumerate(modules.values())}
    return _Stubs(Resolver(facts), texts, by_module)


def _told(stubs: _Stubs, at: int) -> Iterator[str]:
    for name in _exported(stubs, at):
        found = stubs.resolver.member(Entity(EntityKind.MODULE, at, -1), name)
        if found is None:
            continue
        if found.kind in (EntityKind.CLASS, EntityKind.OPAQUE_CLASS):
            yield name
        elif found.kind == EntityKind.FUNCTION and is_capwords(name):
            yield name + FUNCTION_MARK


def _exported(stubs: _Stubs, at: int) -> set[str]:
    """Return the public names of a stub."""
    file, text = stubs.resolver.files[at], stubs.texts[at]
    named = {name for name in file.imports if f'"{name}"' in text or f"{name} as {name}" in text}
    public = {name for name in (*file.names, *file.variables, *named) if not name.startswith("_")}
    stars = (stubs.by_module[module] for module in file.facts.star_imports)
    return public.union(*(_exported(stubs, star) for star in stars))


def typeshed() -> Path:
    """Return the folder of the standard library's stubs in the installed mypy."""
    mypy = find_spec("mypy")
    if mypy is None or mypy.origin is None:
        raise SystemExit("mypy, which has the stubs, is not installed: make setup")
    return Path(mypy.origin).parent / "typeshed" / "stdlib"


def main() -> None:
    lines = list(index_lines(typeshed()))
    STDLIB_NAMES.write_text("\n".join(lines) + "\n", encoding="ascii")
    print(f"{STDLIB_NAMES}: {len(lines)} modules", file=sys.stderr)


if __name__ == "__main__":
    main()
