"""The syntactic relations against an independent reading with `ast`, over real code.

`benchmarks/extract_oracle.py` runs the same over the whole standard library.
"""

import sysconfig
from pathlib import Path

import click
import pytest
from oracle_comparison import Agreement, compare

STDLIB = Path(sysconfig.get_path("stdlib"))
MODULES = [
    "__future__",
    "_collections_abc",
    "argparse",
    "ast",
    "asyncio/__init__",
    "asyncio/base_events",
    "asyncio/tasks",
    "bdb",
    "calendar",
    "codecs",
    "collections/__init__",
    "concurrent/futures/_base",
    "configparser",
    "contextlib",
    "copy",
    "ctypes/__init__",
    "dataclasses",
    "decimal",
    "dis",
    "email/message",
    "fractions",
    "functools",
    "graphlib",
    "heapq",
    "html/parser",
    "http/cookies",
    "importlib/_bootstrap",
    "inspect",
    "json/decoder",
    "logging/handlers",
    "numbers",
    "operator",
    "pickle",
    "selectors",
    "string",
    "tomllib/_parser",
    "types",
    "unittest/case",
    "uuid",
    "weakref",
    "xml/etree/ElementTree",
]


@pytest.fixture(scope="module")
def agreement() -> Agreement:
    files = [path for name in MODULES if (path := STDLIB / f"{name}.py").exists()]
    assert len(files) > 30
    return compare(files, STDLIB) + compare(
        sorted(Path(click.__file__).parent.glob("*.py")), Path(click.__file__).parents[1]
    )


def test_syntactic_relations_agree_with_ast(agreement: Agreement) -> None:
    assert agreement.precision >= 0.999, agreement.extra
    assert agreement.recall >= 0.999, agreement.missing


def test_sample_has_every_relation(agreement: Agreement) -> None:
    assert set(agreement.num_agreed) == {
        *("callee", "contains", "declares", "has_field", "has_parameter", "has_type"),
        *("imported_from", "imports", "inherits", "returns"),
    }
    assert min(agreement.num_agreed.values()) > 100


def test_spans_hold_the_printed_names(agreement: Agreement) -> None:
    assert agreement.inexact == []
