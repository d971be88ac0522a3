"""Decoding a file as Python would, and the way back to its bytes."""

import codecs
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph_builder.source_text import (
    BINARY,
    NOT_DECODABLE,
    TOO_LARGE,
    UNKNOWN_ENCODING,
    UNREADABLE,
    Rejected,
    decode_source,
    read_source,
)

CODECS = ["utf-8", "utf-8-sig", "latin-1", "cp1251", "gbk", "shift_jis", "iso2022_jp", "euc_kr"]


def declared(encoding: str, text: str) -> bytes:
    name = "utf-8" if encoding == "utf-8-sig" else encoding
    return f"# coding: {name}\n{text}".encode(encoding)


@pytest.mark.parametrize("encoding", CODECS)
@given(text=st.text(st.sampled_from("ab_= \r\n\té中文фы日本語かな한글😀"), max_size=40))
def test_every_offset_leads_back_to_the_file(encoding: str, text: str) -> None:
    text = text.encode(encoding, "ignore").decode(encoding)
    data = declared(encoding, text)
    source = decode_source(data)
    assert source.utf8.decode() == source.text == data.decode(encoding)
    starts = [len(source.text[:index].encode()) for index in range(len(source.text) + 1)]
    chars = source.file_offsets(starts)
    assert chars[-1] == len(data)
    assert (np.diff(chars) > 0).all()
    if encoding != "iso2022_jp":  # whose characters mean something else without their escapes
        for index, char in enumerate(source.text):
            piece = data[chars[index] : chars[index + 1]]
            assert piece.decode(encoding.removesuffix("-sig")) == char


def test_plain_utf8_needs_no_table() -> None:
    assert decode_source(b"x = 1\r\n").utf8_shift == 0
    assert decode_source(codecs.BOM_UTF8 + b"x").utf8_shift == 3
    assert decode_source(b"# coding: latin-1\n\xe9 = 1").utf8_shift is None


def test_the_second_line_may_declare() -> None:
    assert (
        decode_source(b"#!/usr/bin/python\n# -*- coding: cp1252 -*-\ns = '\x80'\n").text[-3] == "€"
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x7fELF\0\0\1", BINARY),
        ("x = 'é'\n".encode("utf-16"), BINARY),
        (b"x = '\xff'\n", NOT_DECODABLE),
        (b"# first\n\n\n\nx = '\xff'\n", NOT_DECODABLE),
        (b"# coding: klingon\nx = 1\n", UNKNOWN_ENCODING),
        (b"# coding: hex\nx = 1\n", NOT_DECODABLE),
        (b"# coding: utf-16\n# even\n", NOT_DECODABLE),
        (b"# coding: ascii\nx = '\xc3\xa9'\n", NOT_DECODABLE),
        (codecs.BOM_UTF8 + b"# coding: latin-1\n", NOT_DECODABLE),
        (b"#" * 101, TOO_LARGE),
    ],
)
def test_what_is_not_text_is_rejected(data: bytes, reason: str) -> None:
    with pytest.raises(Rejected) as rejected:
        decode_source(data, max_bytes=100)
    assert rejected.value.reason == reason
    assert "\n" not in str(rejected.value)


@pytest.mark.parametrize("name", ["utf8", "UTF-8", "u8", "utf_8"])
def test_all_names_of_utf8_are_one(name: str) -> None:
    source = decode_source(f"# coding: {name}\nx = 'é'\n".encode())
    assert source.is_utf8


def test_unreadable_and_huge_files(tmp_path: Path) -> None:
    with pytest.raises(Rejected) as missing:
        read_source(tmp_path / "gone.py")
    assert missing.value.reason == UNREADABLE
    (tmp_path / "huge.py").write_bytes(b"#" * 11)
    with pytest.raises(Rejected) as huge:
        read_source(tmp_path / "huge.py", max_bytes=10)
    assert huge.value.reason == TOO_LARGE
