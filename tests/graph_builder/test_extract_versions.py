"""The syntax that each Python from 3.8 to 3.14 brought, whichever version runs the tests.

One table for all relations: the oracle on `ast` reads only what its own Python can parse.
"""

import pytest
from relation_cases import Case, check

from graph_builder.extract import extract
from graph_builder.source_text import decode_source

# Python, relation, case
VERSIONS = [
    ("3.8", "has_parameter", Case("positional-only", "def f(a, /, b): pass", "f -> a\nf -> b")),
    ("3.8", "declares", Case("a walrus as an argument", "f(a := 1, b=(c := 2))", "m -> a\nm -> c")),
    (
        "3.8",
        "calls",
        Case("f-strings that print the expression", "f'{a()=} {b() = !r:>9}'", "m -> a\nm -> b"),
    ),
    (
        "3.8",
        "flows_to",
        Case("unpacking in return and yield", "def f(p):\n    yield *p, 1\n    return *p, 2", ""),
    ),
    (
        "3.9",
        "calls",
        Case(
            "any expression as a decorator",
            "@(f() if a else g())\n@b[h()].c\n@d.e(1)\ndef k(): pass",
            "m -> f\nm -> g\nm -> h\nm -> d.e",
        ),
    ),
    (
        "3.9",
        "has_type",
        Case("builtin generics", "a: list[int]\nb: dict[str, int] = {}", "a -> list\nb -> dict"),
    ),
    (
        "3.10",
        "declares",
        Case(
            "with items in parentheses",
            "with (a() as b, c(), d() as (e, f)): pass\nwith (g as h): pass",
            "m -> b\nm -> e\nm -> f\nm -> h",
        ),
    ),
    (
        "3.10",
        "declares",
        Case(
            "patterns of every kind",
            """
        match x:
            case {"k": a, **b} if (c := d): pass
            case str() | None as e: pass
            case [A(f, g=h), *i]: pass
            case -1 | 2 + 3j | "x" "y" | True: pass
            case x.Y | _: pass
            case (j): pass
        """,
            "\n".join(f"m -> {name}" for name in "abcefhij"),
            "m -> d\nm -> g\nm -> _",
        ),
    ),
    (
        "3.10",
        "has_type",
        Case("unions", "a: int | None\nb: 'A | B[C]'", "a -> int\na -> None\nb -> A\nb -> B"),
    ),
    (
        "3.10",
        "calls",
        Case(
            "soft keywords as functions",
            "match(a)\nmatch (b)\ncase(c)\n_(d)\ntype(e)",
            "m -> match\nm -> match\nm -> case\nm -> _\nm -> type",
        ),
    ),
    (
        "3.11",
        "declares",
        Case(
            "except*",
            "try: pass\nexcept* (A, b.C) as d: pass\nexcept* E as f: pass",
            "m -> d\nm -> f",
        ),
    ),
    (
        "3.11",
        "calls",
        Case(
            "inside except*",
            "try: a()\nexcept* E: b()\nelse: c()\nfinally: d()",
            "m -> a\nm -> b\nm -> c\nm -> d",
        ),
    ),
    (
        "3.11",
        "has_type",
        Case("starred types", "def f(*a: *Ts, **b: Unpack[T]): pass", "a -> Ts\nb -> T"),
    ),
    ("3.11", "calls", Case("starred subscripts", "a[*f(), g()]\nb[*c]", "m -> f\nm -> g")),
    (
        "3.12",
        "contains",
        Case(
            "type parameters",
            "class A[T: (int, str), *Ts, **P]:\n    async def f[U](self): pass",
            "m -> A\nA -> f",
        ),
    ),
    (
        "3.12",
        "declares",
        Case(
            "type aliases",
            "type A = int\ntype B[T: int, **P] = C[T, P]\ntype type = str",
            "m -> A\nm -> B\nm -> type",
            "m -> T",
        ),
    ),
    (
        "3.12",
        "inherits",
        Case("of a generic", "class A[T](B[T], metaclass=M, **k): pass", "A -> B"),
    ),
    (
        "3.12",
        "calls",
        Case(
            "f-strings with quotes, strings and comments inside",
            """
        f"{f"{a()}"} {b["x"]()} {"\\n".join(c())}"
        f'''{
            d()  # not e()
        }'''
        f"{(lambda x: g(x))(1)} {[h(y) for y in z]}"
        """,
            "m -> a\nm -> join\nm -> c\nm -> d\nm -> g\nm -> h",
            "m -> e",
        ),
    ),
    (
        "3.12",
        "flows_to",
        Case(
            "f-strings in f-strings",
            """
        def f(p, q):
            a = f"{f"{p}" + f'{q:>{p}}'}"
        """,
            "p -> a\np -> a\nq -> a",
        ),
    ),
    (
        "3.12",
        "declares",
        Case(
            "a format that begins with = is no walrus",
            """
        f"{a:=^9} {b!r:=9} {c:=+5} {(d := 1)} {e:={f}}"
        """,
            "m -> d",
        ),
    ),
    ("3.12", "flows_to", Case("and its name is used", "def f(p):\n    a = f'{p:=^9}'", "p -> a")),
    (
        "3.13",
        "contains",
        Case(
            "defaults of type parameters",
            "class A[T = int]:\n    def f[U = str](self): pass",
            "m -> A\nA -> f",
        ),
    ),
    (
        "3.13",
        "has_parameter",
        Case(
            "beside defaults of type parameters", "def f[T = int](a: T, *b): pass", "f -> a\nf -> b"
        ),
    ),
    (
        "3.13",
        "declares",
        Case("aliases with defaults", "type A[T = int] = list[T]", "m -> A", "m -> T"),
    ),
    (
        "3.14",
        "calls",
        Case(
            "except without parentheses",
            "try: pass\nexcept A, B: f()\nexcept* C, D: g()",
            "m -> f\nm -> g",
        ),
    ),
    (
        "3.14",
        "declares",
        Case("which binds nothing", "try: pass\nexcept A, B: pass\nexcept* C, D: pass", ""),
    ),
    (
        "3.14",
        "calls",
        Case(
            "t-strings of every form",
            """
        t"{a()} {b():>{c()}}" rt'{d()}' tR"{e()}" T'''{
        g()}'''
        f"{t'{h()}'}" "{i()}"
        """,
            "\n".join(f"m -> {name}" for name in "abcdegh"),
            "m -> i",
        ),
    ),
    ("3.14", "flows_to", Case("t-strings", "def f(p, q):\n    a = t'{p!r:{q}}'", "p -> a\nq -> a")),
    (
        "3.14",
        "has_type",
        Case("annotations of what comes later", "def f(a: B) -> C: pass\nclass B: pass", "a -> B"),
    ),
]


@pytest.mark.parametrize(
    ("relation", "case"),
    [row[1:] for row in VERSIONS],
    ids=[f"{python}: {case.clause} ({relation})" for python, relation, case in VERSIONS],
)
def test_syntax_of_each_python(relation: str, case: Case) -> None:
    check(relation, case)


def test_classes_of_an_except_without_parentheses_are_classes() -> None:
    code = b"from m import a, b\ntry: pass\nexcept a, b: pass"
    assert extract("x.py", "x", decode_source(code)).class_uses == (":a", ":b")
