"""Module names: what a file is called when it is imported, and what a relative import means."""

from collections.abc import Set
from pathlib import PurePosixPath


def module_name(path: str, files: Set[str]) -> str:
    """Return the dotted module name of `path`, one of `files` (relative, forward slashes).

    It is the path below the nearest ancestor folder without `__init__.py`, dotted, without `.py`
    and `.__init__`. An `__init__.py` at the root of the source has no folder to be named after
    and keeps its own name.
    """
    pure = PurePosixPath(path)
    parts = [pure.name.removesuffix(".py").removesuffix(".pyi")]
    for folder in pure.parents:
        if not folder.name or f"{folder}/__init__.py" not in files:
            break
        parts.append(folder.name)
    if parts[0] == "__init__" and len(parts) > 1:
        del parts[0]
    return ".".join(reversed(parts))


def absolute_module(module: str, is_package: bool, level: int, name: str) -> str | None:
    """Return the absolute form of a relative import of `level` dots and `name` in `module`.

    None: it leads above the top package.
    """
    parts = module.split(".")
    num_kept = len(parts) - level + is_package
    if num_kept < 1:
        return None
    return ".".join(parts[:num_kept] + ([name] if name else []))
