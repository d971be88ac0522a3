"""Spans in files as they are: line ends, marks, encodings, odd names, and syntax errors."""

import codecs

import pytest
from extracted_rows import is_exact, repository_of, rows_of, triples_of

from graph_builder.entities import FileFacts
from graph_builder.extract import extract
from graph_builder.source_text import decode_source

CODE = """# äöü: text before shifts the bytes
from typing import Optional
class Größe(Basis):
    größe: 'Optional[Wärme]' = 1
    def messen(self, ä, *é: int) -> str:
        self.ñ = f"{ä}" + rufen(é)
        return Größe(self.ñ)
"""
EXPECTED = {
    "Optional imported_from typing",
    "m contains Größe",
    "Größe inherits Basis",
    "Größe has_field größe",
    "größe has_type Wärme",
    "größe has_type None",
    "Größe contains messen",
    "messen has_parameter ä",
    "messen has_parameter é",
    "é has_type int",
    "messen returns str",
    "Größe has_field ñ",
    "ä flows_to self.ñ",
    "é flows_to self.ñ",
    "messen calls rufen",
    "messen instantiates Größe",
}


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (CODE.encode(), "utf-8"),
        (CODE.replace("\n", "\r\n").encode(), "utf-8"),
        (codecs.BOM_UTF8 + CODE.encode(), "utf-8"),
        (codecs.BOM_UTF8 + CODE.replace("\n", "\r\n").encode(), "utf-8"),
        (CODE.replace("    ", "\t").encode(), "utf-8"),
        (b"# -*- coding: latin-1 -*-\n" + CODE.encode("latin-1"), "latin-1"),
        (b"# vim: set fileencoding=cp1252 :\r\n" + CODE.encode("cp1252"), "cp1252"),
        (("# \N{SNAKE}\n" + CODE).encode(), "utf-8"),
        (CODE.encode().rstrip(b"\n"), "utf-8"),
    ],
    ids=["plain", "crlf", "bom", "bom-crlf", "tabs", "latin-1", "cp1252", "astral", "no-newline"],
)
def test_spans_count_bytes_of_the_file(data: bytes, encoding: str) -> None:
    assert rows_of(data) == EXPECTED
    for triple in triples_of(data):
        assert is_exact(triple, data, encoding), triple
    for definition in repository_of({"m.py": data}).file("m.py").definitions:
        assert data[definition.name_start : definition.name_end].decode(encoding) == definition.name
        assert data[definition.start : definition.end].startswith((b"class", b"def"))


def facts_of(code: str) -> FileFacts:
    return extract("m.py", "m", decode_source(code.encode()))


def test_definitions_cover_decorators_and_name_their_parents() -> None:
    code = """
@deco(1)
class A:
    @property
    def f(self):
        async def g(): pass
    if x:
        class B: pass
"""
    facts = facts_of(code)
    assert [(each.kind, each.qualified_name, each.parent) for each in facts.definitions] == [
        ("class", "m.A", -1),
        ("function", "m.A.f", 0),
        ("function", "m.A.f.g", 1),
        ("class", "m.A.B", 0),
    ]
    texts = [code[each.start : each.end] for each in facts.definitions]
    assert texts[0] == code.strip()
    assert texts[1].startswith("@property")
    assert texts[2] == "async def g(): pass"


SOUND = """
'''Text that
def says(nothing): code()
'''
import a

def f(x):
    return g(x)

@deco()
# a comment between
class A(B):
    def m(self, y):
        self.z = y

if x:
    h()
else:
    i()
"""


@pytest.mark.parametrize(
    "broken",
    [
        "x = [1, 2",
        "def broken(:\n    pass",
        "class C(:\n    def m(self): pass",
        "def broken():\n    return (y",
        "x = )",
        "for in x: pass",
        "print 'old', x",
        "def f(x):\n    y = = x",
    ],
)
def test_sound_parts_of_broken_files_speak(broken: str) -> None:
    """Whatever is broken, before or after it, the sound statements say what they say alone."""
    alone = rows_of(SOUND)
    for code in (SOUND + broken + "\n", broken + "\n" + SOUND, SOUND + broken + SOUND):
        assert alone <= rows_of(code)
    assert facts_of(broken + "\n" + SOUND).num_syntax_errors > 0 or broken.startswith("print")


def test_spans_are_exact_in_broken_files() -> None:
    data = ("\ufeffé = [1, 2\n" + SOUND).encode()
    for triple in triples_of(data):
        assert is_exact(triple, data), triple


@pytest.mark.parametrize(
    "code", ["", "\n", "# only a comment", '"""text"""', "pass", "\ufeff", "x"]
)
def test_files_with_nothing_in_them(code: str) -> None:
    assert triples_of(code) == []


def test_deep_nesting_is_read() -> None:
    chain = "x = " + "a" + ".b()" * 2000
    assert len(triples_of(chain)) == 2001
    total = "def f(p):\n    x = " + " + ".join(["p"] * 5000)
    assert sum(each.relation == 11 for each in triples_of(total)) == 5000
    brackets = "x = " + "[" * 1500 + "f()" + "]" * 1500
    assert "m calls f" in rows_of(brackets)
