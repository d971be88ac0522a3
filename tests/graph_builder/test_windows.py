"""Windows follow the definitions of a file, and every byte of it is in exactly one of them."""

from pathlib import Path

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from syntax_definitions import syntax_definitions
from tokenizers import Tokenizer

from graph_builder.entities import Definition
from graph_builder.source_text import SourceText, decode_source
from graph_builder.tokenizer import encode
from graph_builder.windows import MODULE, Window, file_windows, owned_segments

NETWORKX = Path(networkx.__file__).parent
FILES = {
    "carriage returns": b"import os\r\n\r\n@deco\r\ndef f():\r\n\treturn 1\r\n",
    "byte order mark": b"\xef\xbb\xbfclass A:\n    def f(self): pass\n",
    "not ascii": "class Änderung:\n    größe = '€🐍'\n    def größer(self): pass\n".encode(),
    "no definitions": b"x = 1\n",
    "white space": b"\n\n   \n",
    "one giant line": b"x = [" + b"1, " * 3000 + b"]",
    "code after a definition on its line": b"def f(): return ()\nx = 1; y = 2\n",
    "nested classes": b"""class A:
    x = 1
    class B:
        y = 2
        @property
        def f(self):
            def g():
                class C: pass
            return g
    z = 3
async def h(): pass
""",
    "a long blank end": b"def f():\n    pass\n" + b"\n \t" * 300,
    "leading white space": b"\n\n\ndef f():\n    pass\n",
}


def cut(
    tokenizer: Tokenizer, data: bytes, num_tokens: int = 126, name_length: int = 2
) -> tuple[SourceText, list[Definition], list[Window], list[bytes]]:
    source = decode_source(data)
    definitions = syntax_definitions(source)
    encoded = encode(tokenizer, source)
    lengths = [name_length] * (len(definitions) + 1)
    windows = file_windows(data, encoded, definitions, lengths, num_tokens)
    pieces = [data[encoded.starts[w.first_token] : encoded.ends[w.end_token - 1]] for w in windows]
    tokens = [t for w in windows for t in range(w.first_token, w.end_token)]
    assert tokens == list(range(len(encoded.ids)))
    assert all(w.end_token - w.first_token + w.num_name_tokens <= num_tokens for w in windows)
    return source, definitions, windows, pieces


@pytest.mark.parametrize("data", FILES.values(), ids=FILES.keys())
@pytest.mark.parametrize("num_tokens", [8, 126])
def test_windows_cover_every_byte_once(tokenizer: Tokenizer, data: bytes, num_tokens: int) -> None:
    source, _, _, pieces = cut(tokenizer, data, num_tokens)
    assert b"".join(pieces) == source.utf8


def test_an_empty_file_has_no_window(tokenizer: Tokenizer) -> None:
    assert cut(tokenizer, b"")[2:] == ([], [])


def test_real_files_are_covered_and_no_window_is_blank(
    tokenizer: Tokenizer, click_files: dict[str, SourceText]
) -> None:
    own = [decode_source(p.read_bytes()) for p in sorted(NETWORKX.glob("classes/*.py"))]
    for source in [*click_files.values(), *own]:
        _, _, _, pieces = cut(tokenizer, source.data)
        assert b"".join(pieces) == source.data
        assert len(pieces) < 2 or not any(piece.isspace() for piece in pieces)


def test_windows_follow_functions_class_bodies_and_module_code(tokenizer: Tokenizer) -> None:
    _, definitions, windows, pieces = cut(tokenizer, FILES["nested classes"])
    owners = [
        "module" if w.owner == MODULE else definitions[w.owner].qualified_name for w in windows
    ]
    assert list(zip(owners, [piece.strip() for piece in pieces], strict=True)) == [
        ("module.A", b"class A:\n    x = 1"),
        ("module.A.B", b"class B:\n        y = 2"),
        (
            "module.A.B.f",
            b"@property\n        def f(self):\n            def g():\n"
            b"                class C: pass\n            return g",
        ),
        ("module.A", b"z = 3"),
        ("module.h", b"async def h(): pass"),
    ]
    # Only the first window of a function opens without a name.
    assert [w.num_name_tokens for w in windows] == [2, 2, 0, 2, 0]


def test_a_long_function_continues_and_ends_windows_with_lines(tokenizer: Tokenizer) -> None:
    data = b"def f():\n" + b"".join(b"    value_%d = call(%d)\n" % (i, i) for i in range(60))
    _, _, windows, pieces = cut(tokenizer, data)
    assert len(windows) > 3
    assert [w.num_name_tokens for w in windows] == [0] + [2] * (len(windows) - 1)
    assert all(piece.lstrip().startswith(b"value_") for piece in pieces[1:])


def test_a_name_longer_than_a_window_is_cut(tokenizer: Tokenizer) -> None:
    _, _, windows, _ = cut(tokenizer, b"x = 1\n" * 20, num_tokens=12, name_length=500)
    assert {w.num_name_tokens for w in windows} == {3}


@st.composite
def nested_definitions(draw: st.DrawFn) -> tuple[list[Definition], int]:
    """Draw definitions that nest or follow each other, in any way that brackets can."""
    found: list[Definition] = []

    def fill(start: int, parent: int, depth: int) -> int:
        for _ in range(draw(st.integers(0, 3 if depth < 3 else 0))):
            start += draw(st.integers(0, 3))
            index, kind = len(found), draw(st.sampled_from(["class", "function"]))
            found.append(Definition(kind, "n", "q", parent, start, -1, -1, -1))
            end = fill(start + 1, index, depth + 1) + draw(st.integers(1, 3))
            found[index] = Definition(kind, "n", "q", parent, start, end, -1, -1)
            start = end
        return start

    return found, fill(0, MODULE, 0) + draw(st.integers(0, 3))


def slow_owner(definitions: list[Definition], byte: int) -> int:
    """Climb from the innermost definition at `byte` to the outermost function above it."""
    around = [i for i, d in enumerate(definitions) if d.start <= byte < d.end]
    functions = [i for i in around if definitions[i].kind == "function"]
    return min(functions, default=max(around, default=MODULE))


@settings(max_examples=200)
@given(nested_definitions())
def test_the_owner_of_every_byte(drawn: tuple[list[Definition], int]) -> None:
    definitions, end = drawn
    owners = np.full(end, -9)
    for segment in owned_segments(definitions, end):
        assert (owners[segment.start : segment.end] == -9).all()
        owners[segment.start : segment.end] = segment.owner
    assert owners.tolist() == [slow_owner(definitions, byte) for byte in range(end)]
