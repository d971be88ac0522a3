"""Names settled across the files of small repositories: triples, references and facts."""

import json
from dataclasses import asdict

import pytest
from extracted_rows import repository_of, said

from graph_builder.entities import FileFacts
from graph_builder.relations import RELATION_NAMES
from graph_builder.repository import Repository


def calls_in(repository: Repository, path: str) -> dict[str, str]:
    """Return callee: relation, with "?" after a guess."""
    return {
        each.tail: RELATION_NAMES[each.relation] + "?" * each.is_guess
        for each in repository.triples(path)
        if RELATION_NAMES[each.relation] in ("calls", "instantiates")
    }


def flows_in(repository: Repository, path: str) -> list[str]:
    return [said(each) for each in repository.triples(path) if each.relation == 11]


PACKAGE = {
    "src/pkg/__init__.py": """
        from .core import url, Make as make
        from . import sub
        from .stars import *
        from .glob import glob
        """,
    "src/pkg/core.py": """
        class url:
            def __init__(self, text): pass
            def join(self, part): pass

        def Make(kind): pass
        """,
    "src/pkg/sub/__init__.py": "from ..core import url as link\n",
    "src/pkg/sub/deep.py": "class node:\n    class leaf: pass\n",
    "src/pkg/stars.py": "class star: pass\nclass _hidden: pass\ndef Shine(): pass\n",
    "src/pkg/glob.py": "def glob(pattern): pass\ndef other(x): pass\n",
}


def test_classes_and_functions_are_known_however_written_and_imported() -> None:
    code = """
import pkg
import pkg.sub.deep as deep
import pkg.glob
from pkg import url, make, star, Shine, sub
from pkg.sub import link
from pkg.core import *
from elsewhere import Foo, bar

url(); make(); star(); Shine(); sub.link(); link(); Make()
pkg.url(); pkg.make(); pkg.sub.deep.node(); pkg.core.Make(); deep.node.leaf()
pkg._hidden(); Foo(); bar(); pkg.Nothing(); pkg.glob(); range(3)
"""
    assert calls_in(repository_of(PACKAGE | {"src/use.py": code}), "src/use.py") == {
        "url": "instantiates",
        "make": "calls",
        "star": "instantiates",
        "Shine": "calls",
        "sub.link": "instantiates",
        "link": "instantiates",
        "Make": "calls",
        "pkg.url": "instantiates",
        "pkg.make": "calls",
        "pkg.sub.deep.node": "instantiates",
        "pkg.core.Make": "calls",
        "deep.node.leaf": "instantiates",
        "pkg._hidden": "calls",
        "Foo": "instantiates?",
        "bar": "calls",
        "pkg.Nothing": "instantiates?",
        "pkg.glob": "calls",
        "range": "instantiates",
    }


def test_star_import_hides_a_builtin() -> None:
    files = {"a.py": "def range(): pass", "b.py": "from a import *\nrange()\nlist()"}
    assert calls_in(repository_of(files), "b.py") == {"range": "calls", "list": "instantiates"}


def test_other_names_of_classes_are_followed() -> None:
    files = {
        "compat.py": "from a import thing\nitem = thing\ntext_type = str\nbytes = bytes",
        "a.py": "class thing: pass",
        "use.py": "from compat import *\nitem()\ntext_type()\nbytes()",
    }
    assert calls_in(repository_of(files), "use.py") == {
        "item": "instantiates",
        "text_type": "instantiates",
        "bytes": "instantiates",
    }


def test_alternatives_of_a_conditional_import() -> None:
    files = {
        "slow.py": "class thing: pass",
        "use.py": """
            try:
                from fast import thing
            except ImportError:
                from slow import thing
            thing()
            """,
    }
    assert calls_in(repository_of(files), "use.py") == {"thing": "instantiates"}


def test_classes_of_the_standard_library_are_known_by_name() -> None:
    code = """
        import xml.etree.ElementTree as ET
        import collections.abc, datetime, tempfile
        from collections import deque, namedtuple
        from pathlib import Path
        from tkinter import *

        def f(Path2):
            from io import StringIO
            StringIO(); Path(); deque(); namedtuple(); ET.Element(); ET.SubElement()
            datetime.datetime(); datetime.datetime.now(); tempfile.NamedTemporaryFile()
            collections.abc.Sized(); Frame(); Nowhere(); Path2(); range()
        """
    assert calls_in(repository_of({"m.py": code}), "m.py") == {
        "StringIO": "instantiates",
        "Path": "instantiates",
        "deque": "instantiates",
        "namedtuple": "calls",
        "ET.Element": "instantiates",
        "ET.SubElement": "calls",
        "datetime.datetime": "instantiates",
        "datetime.datetime.now": "calls",
        "tempfile.NamedTemporaryFile": "calls",
        "collections.abc.Sized": "instantiates",
        "Frame": "instantiates",
        "Nowhere": "instantiates?",
        "Path2": "calls",
        "range": "instantiates",
    }


def test_the_repository_comes_before_the_standard_library() -> None:
    files = {
        "collections.py": "def Counter(): pass",
        "m.py": "import collections as c\nc.Counter()",
    }
    assert calls_in(repository_of(files), "m.py") == {"c.Counter": "calls"}


# What uses a name of another package as only a class can be used, and what only looks like it.
CLASS_USES = [
    "class A(m.thing): pass",
    "try: pass\nexcept m.thing: pass",
    "try: pass\nexcept (KeyError, m.thing) as e: pass",
    "try: pass\nexcept* m.thing: pass",
    "isinstance(1, m.thing)",
    "def f(x): return not issubclass(x, (int, (m.thing)))",
    "isinstance(1, int | m.thing)",
    "match 1:\n    case m.thing(x=1): pass",
    "from m import thing as other\nisinstance(1, other)",
]
NO_CLASS_USES = [
    "x: m.thing",
    "def f(x: m.thing): pass",
    "isinstance(m.thing, int)",
    "other.isinstance(1, m.thing)",
    "class A(m.thing()): pass",
    "try: pass\nexcept m.thing(): pass",
    "def f(m): isinstance(1, m.thing)",
    "isinstance(1, m.thing.part)",
]


@pytest.mark.parametrize("use", CLASS_USES)
def test_a_name_that_is_used_as_a_class_is_one_however_written(use: str) -> None:
    files = {"use.py": f"import m\n{use}\n", "call.py": "from m import thing\nthing()"}
    assert calls_in(repository_of(files), "call.py") == {"thing": "instantiates"}


@pytest.mark.parametrize("use", NO_CLASS_USES)
def test_a_name_that_is_not_used_as_a_class_is_none(use: str) -> None:
    files = {"use.py": f"import m\n{use}\n", "call.py": "from m import thing\nthing()"}
    assert calls_in(repository_of(files), "call.py") == {"thing": "calls"}


def test_an_annotation_confirms_only_a_name_that_looks_like_a_class() -> None:
    code = """
        from m import Foo, Bar, Meta, foo
        def f(x: Foo | None, y: "Bar", z: foo, t: Annotated[int, Meta()]): ...
        Foo(); Bar(); Meta(); foo()
        """
    assert calls_in(repository_of({"a.py": code}), "a.py") == {
        "Foo": "instantiates",
        "Bar": "instantiates",
        "Meta": "instantiates?",
        "foo": "calls",
    }


def test_a_class_without_a_python_file_is_the_same_by_all_its_names() -> None:
    files = {
        "pkg/__init__.py": "from pkg.api import Stamp, Other",
        "pkg/api.py": "from pkg._native import Stamp\nfrom pkg._native import Other",
        "pkg/check.py": "from pkg._native import Stamp\ndef f(x): return isinstance(x, Stamp)",
        "use.py": "import pkg as p\nfrom pkg.api import Stamp as S\np.Stamp(); S(); p.Other()",
    }
    assert calls_in(repository_of(files), "use.py") == {
        "p.Stamp": "instantiates",
        "S": "instantiates",
        "p.Other": "instantiates?",
    }


def test_a_module_variable_that_is_used_as_a_class_is_one() -> None:
    files = {"a.py": "Made = make()\nisinstance(1, Made)", "b.py": "import a\na.Made(); a.made()"}
    assert calls_in(repository_of(files), "b.py") == {"a.Made": "instantiates", "a.made": "calls"}


def test_an_alternative_in_the_repository_comes_before_one_outside() -> None:
    code = "try:\n    from m import X\nexcept ImportError:\n    from own import X\nX()"
    files = {"own.py": "def X(): pass", "use.py": code, "b.py": "import m\nisinstance(1, m.X)"}
    assert calls_in(repository_of(files), "use.py") == {"X": "calls"}


def test_imports_that_go_in_circles_lead_nowhere() -> None:
    files = {
        "a.py": "from b import *\nfrom b import x\nx()",
        "b.py": "from a import *\nfrom a import x",
    }
    repository = repository_of(files)
    assert calls_in(repository, "a.py") == {"x": "calls"}
    files = {"c.py": "class A(B): pass\nclass B(A):\n    def f(self): self.g()\n"}
    assert calls_in(repository_of(files), "c.py") == {"self.g": "calls"}


def test_the_longest_chains_lead_nowhere_rather_than_too_deep() -> None:
    lines = [f"x{number} = x{number + 1}" for number in range(30_000)]
    chain = repository_of({"chain.py": "\n".join([*lines, "def f(): x0()", "def x9(): pass"])})
    assert calls_in(chain, "chain.py") == {"x0": "calls"}
    short = [f"x{number} = x{number + 1}" for number in range(100)]
    text = "\n".join([*short, "class x100: pass", "def f(): x0()"])
    assert calls_in(repository_of({"short.py": text}), "short.py") == {"x0": "instantiates"}


def test_names_that_broken_code_lacks_are_no_names() -> None:
    broken = {
        "a.py": "al[locks.Event]) -> None:\n        if previous is not None:\n",
        "b.py": "if a:\n  :\n    e = 1\n",
        "c.py": "D:\n        if future._exception is not None:\n",
    }
    files = {path: f"from stars import *\n{text}" for path, text in broken.items()}
    repository = repository_of(files)
    for path in files:
        assert repository.files[list(files).index(path)].num_syntax_errors
        assert all(triple.head and triple.tail for triple in repository.triples(path))
        assert repository.references(path) == []


def test_functions_of_the_same_name_in_an_importing_function() -> None:
    files = {
        "a.py": "def f(x): pass",
        "b.py": "def g(y):\n    from a import f\n    f(y)\ndef f(z): pass",
    }
    assert flows_in(repository_of(files), "b.py") == ["y flows_to x"]


def test_arguments_flow_to_parameters_of_other_files() -> None:
    code = """
import pkg
from pkg.core import url

class page(url):
    def show(self, p, q):
        self.join(q)
        url(p)
        pkg.make(p)
        pkg.url.join(self, p)
        page(q)
        super().join(p)
"""
    repository = repository_of(PACKAGE | {"src/use.py": code})
    assert flows_in(repository, "src/use.py") == [
        "q flows_to part",
        "p flows_to text",
        "p flows_to kind",
        "q flows_to text",
    ]
    flows = [each for each in repository.triples("src/use.py") if each.relation == 11]
    assert {(each.tail_start, each.tail_end) for each in flows} == {(-1, -1)}


def test_methods_are_looked_up_in_the_order_of_python() -> None:
    code = """
class A:
    def m(self, a): pass
class B(A): pass
class C(A):
    def m(self, c): pass
class D(B, C):
    def f(self, p): self.m(p)
"""
    assert flows_in(repository_of({"m.py": code}), "m.py") == ["p flows_to c"]


def test_modules_of_the_same_name_are_those_of_the_same_folder() -> None:
    files = {
        "one/names.py": "class thing: pass",
        "two/names.py": "def thing(): pass",
        "one/use.py": "from names import thing\nthing()",
        "two/use.py": "from names import thing\nthing()",
    }
    repository = repository_of(files)
    assert calls_in(repository, "one/use.py") == {"thing": "instantiates"}
    assert calls_in(repository, "two/use.py") == {"thing": "calls"}


def references_in(files: dict[str, str], path: str) -> dict[str, str]:
    """Return what is written: the entity it leads to."""
    data = files[path].encode()
    found = repository_of(files).references(path)
    assert found == sorted(found)
    return {data[each.start : each.end].decode(): each.entity for each in found}


def test_references_lead_to_functions_classes_and_modules() -> None:
    code = """
import pkg.sub.deep as deep
import pkg, os
from pkg import url as u, make
from .nothing import x

@make
def f(a: "deep.node", b: u = u.join) -> pkg.url:
    os.path.join(x, deep.node.leaf.attribute)
    pkg.core.Make(len(a))
    f(pkg.VERSION)
"""
    assert references_in(PACKAGE | {"src/use.py": code}, "src/use.py") == {
        "pkg.sub.deep": "pkg.sub.deep",
        "pkg": "pkg",
        "url": "pkg.core.url",
        "make": "pkg.core.Make",
        "u": "pkg.core.url",
        "u.join": "pkg.core.url.join",
        "deep.node": "pkg.sub.deep.node",
        "pkg.url": "pkg.core.url",
        "deep.node.leaf": "pkg.sub.deep.node.leaf",
        "pkg.core.Make": "pkg.core.Make",
        "f": "use.f",
    }


def test_references_go_through_receivers_but_not_through_shadowed_names() -> None:
    code = """
def g(): pass
class A:
    def m(self): pass
class B(A):
    def f(self, h):
        self.m(); self.m.x; self.unknown; self
        g = 1
        g
        [m for m in h]
    @classmethod
    def c(cls, A): cls.m; A; B
def k(): g
lambda g: g
"""
    assert references_in({"m.py": code}, "m.py") == {
        "A": "m.A",
        "self": "m.B",
        "self.m": "m.A.m",
        "cls": "m.B",
        "cls.m": "m.A.m",
        "B": "m.B",
        "g": "m.g",
    }
    found = repository_of({"m.py": code}).references("m.py")
    starts = [each.start for each in found if each.entity == "m.g"]
    assert starts == [code.index("def k(): g") + len("def k(): ")]


def test_a_receiver_leads_to_its_class_and_the_bases_of_it() -> None:
    code = "class A(X): ...\nclass B(A):\n    def f(self):\n        return self . x\n"
    start = code.index("self . x")
    found = repository_of({"m.py": code}).references("m.py")
    assert [(r.start, r.end, r.entity) for r in found if r.start == start] == [
        (start, start + 4, "m.A"),
        (start, start + 4, "m.B"),
    ]


def test_facts_of_a_function_a_class_and_a_module() -> None:
    code = """
class A(B):
    x: int
    def f(self, a: int, *b) -> str: pass
    def f(self, c): pass
"""
    repository = repository_of({"pkg/__init__.py": "", "pkg/m.py": code})

    def facts(entity: str) -> set[str]:
        return {
            f"{fact.head} {RELATION_NAMES[fact.relation]} {fact.tail}" + " <-" * fact.is_reversed
            for fact in repository.facts(entity)
        }

    assert facts("pkg.m.A.f") == {
        "A contains f <-",
        "f has_parameter a",
        "f has_parameter b",
        "f returns str",
        "f has_parameter c",
    }
    assert facts("pkg.m.A") == {
        "pkg.m contains A <-",
        "A inherits B",
        "A has_field x",
        "A contains f",
    }
    assert facts("pkg.m") == {"pkg.m contains A"}
    assert facts("pkg.nothing") == set()
    [fact] = [each for each in repository.facts("pkg.m.A.f") if each.tail == "c"]
    assert (fact.path, fact.entity, code[fact.site]) == ("pkg/m.py", "pkg.m.A.f", "c")


def test_triples_are_in_the_order_of_their_sites() -> None:
    triples = repository_of(PACKAGE).triples("src/pkg/core.py")
    assert [each.site for each in triples] == sorted(each.site for each in triples)


def test_file_facts_are_plain_data() -> None:
    """What is cached by content must survive a trip through JSON."""
    facts = repository_of(PACKAGE).file("src/pkg/core.py")
    assert isinstance(facts, FileFacts)

    def listed(value: object) -> object:
        return [listed(each) for each in value] if isinstance(value, tuple | list) else value

    plain = {name: listed(value) for name, value in asdict(facts).items() if name != "definitions"}
    assert json.loads(json.dumps(plain)) == plain
