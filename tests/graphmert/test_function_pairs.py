"""Docstrings and the code without them, against Python's own `ast` on whole source files."""

import ast
from pathlib import Path

import blinker
import click
import pytest
from tokenizers import Tokenizer

from graphmert.data.cutting import cut_roots
from graphmert.data.windows import WindowTable
from graphmert.evaluation.function_pairs import (
    MAX_WINDOWS,
    FunctionPairs,
    docstring_span,
    first_paragraph,
    make_pairs,
)
from graphmert.evaluation.window_text import function_windows, spelled_bytes, window_text

FILES = [
    path
    for package in (blinker, click)
    for path in sorted(Path(str(package.__file__)).parent.glob("*.py"))
]


def functions(path: Path) -> list[tuple[ast.FunctionDef | ast.AsyncFunctionDef, str]]:
    """Return every function of a file with its source, decorators included."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            found.append((node, "".join(lines[first - 1 : node.end_lineno])))
    return found


def test_docstrings_are_those_of_ast() -> None:
    num_found = 0
    for path in FILES:
        for node, source in functions(path):
            span = docstring_span(source.encode())
            docstring = ast.get_docstring(node)
            assert (span is None) == (docstring is None), source
            if span is not None and docstring:
                literal = source.encode()[slice(*span)]
                assert ast.literal_eval(literal.decode()) == ast.get_docstring(node, clean=False)
                if b"\\" not in literal:
                    expected = " ".join(docstring.strip().split("\n\n")[0].split())
                    assert first_paragraph(literal) == expected
                num_found += 1
    assert num_found > 200


@pytest.mark.parametrize(
    ("code", "docstring"),
    [
        ('def f(a: dict[str, int] = {"x": 1}) -> "F":\n    r"""Do it."""\n', 'r"""Do it."""'),
        ("@d(lambda x: 'no')\ndef f():  # 'no'\n    # no\n    'Do it.'\n", "'Do it.'"),
        ("def f(): 'Do it.'", "'Do it.'"),
        ("def f():\n    x = 'no'\n", None),
        ("def f():\n    pass; 'no'\n", None),
        ("def f():\n    return 'no'\n", None),
        ("x = 'no'\n", None),
    ],
)
def test_a_docstring_is_the_first_statement_alone(code: str, docstring: str | None) -> None:
    span = docstring_span(code.encode())
    assert (code[slice(*span)] if span else None) == docstring


@pytest.fixture(scope="module")
def pairs(train_windows: WindowTable, tokenizer: Tokenizer) -> FunctionPairs:
    return make_pairs(train_windows, tokenizer, num_pairs=100)


def test_cut_windows_spell_the_code_without_its_docstring(
    pairs: FunctionPairs, train_windows: WindowTable, tokenizer: Tokenizer
) -> None:
    spelled = spelled_bytes(tokenizer)
    by_window = {at: windows for windows in function_windows(train_windows) for at in windows}
    assert len(pairs) > 10
    assert {len(pair.windows) for pair in pairs.pairs} == {1, 2, MAX_WINDOWS}
    for pair in pairs.pairs:
        code = b""
        for window, cut in zip(pair.windows, pair.cuts, strict=True):
            batch = train_windows.batch([window])
            is_cut = (batch.root_index >= cut.start) & (batch.root_index < cut.stop)
            left = cut_roots(batch, is_cut)
            code += b"".join(spelled[token] for token in left.root_ids[left.root_bytes > 0])
        spelled_code, all_code = ("".join(text.split()) for text in (code.decode(), pair.code))
        is_all = len(pair.windows) < MAX_WINDOWS
        assert spelled_code == all_code if is_all else all_code.startswith(spelled_code)
        assert all(window in by_window[pair.windows[0]] for window in pair.windows)
        function = by_window[pair.windows[0]]
        whole = b"".join(window_text(train_windows, at, spelled).text for at in function)
        assert pair.query in " ".join(whole.decode().split())
        assert pair.query not in " ".join(pair.code.split())
        assert len(pair.query.split()) >= 3


def test_pairs_are_distinct(pairs: FunctionPairs) -> None:
    assert len({pair.query for pair in pairs.pairs}) == len(pairs)
    assert len({pair.code for pair in pairs.pairs}) == len(pairs)


def test_fewer_pairs_are_some_of_those_of_more(
    train_windows: WindowTable, tokenizer: Tokenizer
) -> None:
    few, more = (make_pairs(train_windows, tokenizer, num_pairs=number) for number in (5, 9))
    assert len(few) == 5
    assert set(few.pairs) < set(more.pairs)
