"""The standard library's classes, and its functions that are written like classes.

What a call of `Path(...)` or `deque()` makes is known by these names alone; no file of the library
is read, so the outcome is the same under every Python. The list is `stdlib_names.txt`, one module
a line (a function has parentheses), made from typeshed by `stdlib_stubs.py`.
"""

from functools import cache
from pathlib import Path
from typing import Final

STDLIB_NAMES: Final = Path(__file__).with_suffix(".txt")
FUNCTION_MARK: Final = "()"


@cache
def stdlib_names() -> dict[str, bool]:
    """Return every name, dotted with its module, and whether it is a class."""
    found: dict[str, bool] = {}
    for line in STDLIB_NAMES.read_text(encoding="ascii").splitlines():
        module, *names = line.split()
        for name in names:
            bare = name.removesuffix(FUNCTION_MARK)
            found[f"{module}.{bare}"] = bare == name
    return found
