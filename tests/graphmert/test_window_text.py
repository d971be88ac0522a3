"""The text of windows and the names in it, against the source files themselves."""

import io
import keyword
import tokenize
from importlib.metadata import distribution
from pathlib import Path

import pyarrow as pa
import pytest
from tokenizers import Tokenizer

from graph_builder.dataset import open_dataset
from graphmert.data.windows import WindowTable
from graphmert.evaluation.window_text import (
    code_names,
    first_windows,
    function_windows,
    in_drawn_order,
    spelled_bytes,
    window_text,
)


@pytest.fixture(scope="module")
def rows(small_dataset: Path) -> pa.Table:
    return pa.concat_tables(open_dataset(small_dataset).tables("train"))


def source_file(path: str) -> bytes:
    return Path(str(distribution("itsdangerous").locate_file(path))).read_bytes()


def own_spans(rows: pa.Table, index: int) -> list[tuple[int, int]]:
    row = rows.slice(index, 1).to_pylist()[0]
    return [
        (start, end)
        for start, end in zip(row["root_starts"], row["root_ends"], strict=True)
        if start >= 0
    ]


def test_the_text_and_the_place_of_every_token_are_those_of_the_file(
    rows: pa.Table, train_windows: WindowTable, tokenizer: Tokenizer
) -> None:
    for index in range(train_windows.num_windows):
        data = source_file(str(train_windows.describe(index)["path"]))
        spans = own_spans(rows, index)
        window = window_text(train_windows, index, spelled_bytes(tokenizer))
        assert window.text == data[spans[0][0] : spans[-1][1]]
        assert [bound + spans[0][0] for bound in window.bounds[:-1]] == [s for s, _ in spans]
        num_roots = len(rows["root_ids"][index])
        assert window.first_root == num_roots - 1 - len(spans)


def test_names_are_those_that_python_s_own_tokenizer_finds(
    rows: pa.Table, train_windows: WindowTable, tokenizer: Tokenizer
) -> None:
    num_names = 0
    spelled = spelled_bytes(tokenizer)
    for windows in function_windows(train_windows):
        before = b""
        for index in windows:
            data = source_file(str(train_windows.describe(index)["path"]))
            spans = own_spans(rows, index)
            window = window_text(train_windows, index, spelled)
            start, end = spans[0][0], spans[-1][1]
            names = code_names(window, before)
            found = {(start + name.start, name.text.decode()) for name in names}
            expected = names_of_file(data)
            assert found == {each for each in expected if start <= each[0] and ends(each) < end}
            for name in names:
                assert window.roots(name.start, name.end) == name.roots
                first, last = name.roots[0] - window.first_root, name.roots[-1] - window.first_root
                text = window.text[window.bounds[first] : window.bounds[last + 1]]
                assert text.lstrip(b" ") == name.text
            num_names += len(found)
            before += window.text
    assert num_names > 500


def ends(name: tuple[int, str]) -> int:
    return name[0] + len(name[1])


def names_of_file(data: bytes) -> set[tuple[int, str]]:
    """Return (byte, name) of every identifier of a file that is ASCII."""
    line_starts = [0]
    for line in data.splitlines(keepends=True):
        line_starts.append(line_starts[-1] + len(line))
    return {
        (line_starts[token.start[0] - 1] + token.start[1], token.string)
        for token in tokenize.tokenize(io.BytesIO(data).readline)
        if token.type == tokenize.NAME and not keyword.iskeyword(token.string)
    }


def test_first_windows_begin_functions(train_windows: WindowTable, tokenizer: Tokenizer) -> None:
    begins = first_windows(train_windows)
    for index in range(train_windows.num_windows):
        text = window_text(train_windows, index, spelled_bytes(tokenizer)).text.lstrip()
        is_function = train_windows.describe(index)["kind"] == "function"
        if index in begins:
            assert is_function
            assert text.startswith((b"def ", b"async def ", b"@"))
        elif is_function:
            assert not text.startswith((b"def ", b"async def "))
    assert [windows[0] for windows in function_windows(train_windows)] == begins
    assert sorted(in_drawn_order(train_windows, begins, 3)) == begins
    assert in_drawn_order(train_windows, begins, 3) == in_drawn_order(train_windows, begins, 3)
    assert in_drawn_order(train_windows, begins, 3) != in_drawn_order(train_windows, begins, 4)
