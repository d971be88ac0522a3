"""`imports` and `imported_from`, clause by clause; module names; relative imports."""

from importlib.util import resolve_name

import pytest
from extracted_rows import repository_of, rows_of, triples_of
from hypothesis import given
from hypothesis import strategies as st
from relation_cases import Case, check, parametrized

from graph_builder.modules import absolute_module, module_name

IMPORTS = [
    Case(
        "import, aliased and several",
        "import a.b as c, d\nimport e.f.g",
        "m -> a.b\nm -> d\nm -> e.f.g",
        "m -> c",
    ),
    Case(
        "the enclosing entity is the head",
        "def f():\n    import a\nclass A:\n    import b\n    def g(self):\n        from c import *",
        "f -> a\nA -> b\ng -> c",
    ),
    Case(
        "star imports, relative ones too",
        "from a.b import *\nfrom .c import *",
        "m -> a.b\nm -> .c",
    ),
    Case(
        "conditional imports",
        "try:\n    import a\nexcept ImportError:\n    import b\nif x: import c",
        "m -> a\nm -> b\nm -> c",
    ),
    Case("not from m import a", "from a import b", ""),
]

IMPORTED_FROM = [
    Case("the original name, not the alias", "from a import b as c, d", "b -> a\nd -> a", "c -> a"),
    Case(
        "in parentheses, over lines",
        "from a.b import (\n    c,  # why\n    d as e,\n)",
        "c -> a.b\nd -> a.b",
    ),
    Case(
        "__future__ too",
        "from __future__ import annotations, division",
        "annotations -> __future__\ndivision -> __future__",
    ),
    Case(
        "conditional imports and imports in functions",
        "try:\n    from a import b\nexcept E:\n    from c import b\ndef f():\n    from d import e",
        "b -> a\nb -> c\ne -> d",
    ),
    Case("not import m, nor stars", "import a\nimport b as c\nfrom d import *", ""),
    Case(
        "above the top package it stays as written",
        "from . import a\nfrom ..b import c\nfrom .. import d",
        "a -> .\nc -> ..b\nd -> ..",
    ),
]


@parametrized(IMPORTS)
def test_imports(case: Case) -> None:
    check("imports", case)


@parametrized(IMPORTED_FROM)
def test_imported_from(case: Case) -> None:
    check("imported_from", case)


@pytest.mark.parametrize(
    ("path", "line", "module"),
    [
        ("pkg/mod.py", "from . import a", "pkg"),
        ("pkg/mod.py", "from .b import a", "pkg.b"),
        ("pkg/mod.py", "from .. import a", ".."),
        ("pkg/__init__.py", "from . import a", "pkg"),
        ("pkg/__init__.py", "from .b.c import a", "pkg.b.c"),
        ("pkg/sub/mod.py", "from .. import a", "pkg"),
        ("pkg/sub/mod.py", "from ..b import a", "pkg.b"),
        ("pkg/sub/mod.py", "from ...b import a", "...b"),
        ("pkg/sub/__init__.py", "from ..b import a", "pkg.b"),
        ("pkg/sub/mod.py", "from . . b import a", "pkg.b"),
    ],
)
def test_relative_modules_are_made_absolute(path: str, line: str, module: str) -> None:
    files = {"pkg/__init__.py": "", "pkg/sub/__init__.py": ""} | {path: line}
    [triple] = [each for each in repository_of(files).triples(path) if each.relation == 9]
    assert (triple.head, triple.tail) == ("a", module)
    written = line.removeprefix("from ").partition(" import")[0]
    assert line[triple.tail_start : triple.tail_end] == written


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a.py", "a"),
        ("pkg/__init__.py", "pkg"),
        ("pkg/a.py", "pkg.a"),
        ("pkg/sub/__init__.py", "pkg.sub"),
        ("pkg/sub/a.py", "pkg.sub.a"),
        ("src/lib/__init__.py", "lib"),
        ("src/lib/a.py", "lib.a"),
        ("src/script.py", "script"),
        ("pkg/plain/a.py", "a"),
        ("pkg/plain/deep/__init__.py", "deep"),
        ("pkg/__main__.py", "pkg.__main__"),
    ],
)
def test_module_names(path: str, name: str) -> None:
    files = {"pkg/__init__.py", "pkg/sub/__init__.py", "src/lib/__init__.py"}
    assert module_name(path, files | {path, "pkg/plain/deep/__init__.py"}) == name


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=5), st.booleans(), st.integers(1, 6))
def test_absolute_module_is_what_python_resolves(
    parts: list[str], is_package: bool, level: int
) -> None:
    module = ".".join(parts)
    package = module if is_package else module.rpartition(".")[0]
    try:
        expected = resolve_name("." * level + "x", package)
    except ImportError:
        expected = None
    assert absolute_module(module, is_package, level, "x") == expected


def test_original_name_and_module_have_their_spans() -> None:
    code = "from a . b import (c as d)"
    [triple] = triples_of(code)
    assert code[triple.head_start : triple.head_end] == "c"
    assert code[triple.tail_start : triple.tail_end] == "a . b"
    assert triple.tail == "a.b"


def test_imports_by_themselves_say_nothing_else() -> None:
    assert rows_of("import a\nfrom b import c\nfrom d import *") == {
        "m imports a",
        "c imported_from b",
        "m imports d",
    }
