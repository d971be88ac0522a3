"""The list of the standard library's names: what typeshed says, and what this Python says."""

import importlib
import inspect
import warnings

from graph_builder.stdlib_names import STDLIB_NAMES, stdlib_names
from graph_builder.stdlib_stubs import index_lines, typeshed

# Modules where this Python is as the stubs are: `typing`, `threading` and `multiprocessing` have
# classes there that are functions or aliases here.
MODULES = (
    *("argparse", "ast", "asyncio", "collections", "collections.abc", "concurrent.futures"),
    *("contextlib", "ctypes", "datetime", "decimal", "email.message", "enum", "fractions"),
    *("functools", "http.client", "inspect", "io", "itertools", "json", "logging", "pathlib"),
    *("queue", "random", "re", "shlex", "socket", "sqlite3", "subprocess", "tempfile", "types"),
    *("unittest", "unittest.mock", "uuid", "weakref", "zipfile"),
)

# Special forms in the stubs, hidden by one, or chosen by platform there.
NOT_TOLD = {
    "asyncio.DefaultEventLoopPolicy",
    "asyncio.Protocol",
    "collections.abc.ByteString",
    "collections.abc.Callable",
}


def test_the_list_is_what_the_stubs_say() -> None:
    assert STDLIB_NAMES.read_text().splitlines() == list(index_lines(typeshed()))


def test_the_list_agrees_with_this_python() -> None:
    wrong = []
    for name, is_class in stdlib_names().items():
        module, _, attribute = name.rpartition(".")
        if module in MODULES:
            found = getattr(importlib.import_module(module), attribute, None)
            if found is not None and inspect.isclass(found) != is_class:
                wrong.append(name)
    assert wrong == []


def test_no_class_of_a_module_is_missing() -> None:
    missing = []
    for module in MODULES:
        with warnings.catch_warnings(action="ignore"):
            loaded = importlib.import_module(module)
            public = {name: getattr(loaded, name) for name in getattr(loaded, "__all__", ())}
        names = (f"{module}.{name}" for name, value in public.items() if inspect.isclass(value))
        missing += [name for name in names if name not in stdlib_names()]
    assert set(missing) <= NOT_TOLD
