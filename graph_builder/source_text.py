"""One source file as text: decoded as Python would, with the way back to the file's own bytes.

The parser and the tokenizer see UTF-8 and characters; every span of this project counts bytes of
the file as it is. `SourceText` maps the first two to the last.
"""

import codecs
import io
import stat
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from graph_builder.errors import UserError

BINARY: Final = "binary"
NOT_DECODABLE: Final = "not decodable"
UNKNOWN_ENCODING: Final = "unknown encoding"
TOO_LARGE: Final = "too large"
TOO_DEEP: Final = "nested too deeply"
UNREADABLE: Final = "unreadable"

# Written by hand, a file of this size does not exist: these are tables and generated code.
MAX_SOURCE_BYTES: Final = 2 * 2**20

Offsets = npt.NDArray[np.int64]


class Rejected(UserError):
    """A file that is left out; `reason` is one of those above, `detail` says more."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


@dataclass(frozen=True)
class SourceText:
    """A decoded file; `utf8` and `text` leave out a byte order mark, `data` keeps it."""

    data: bytes  # the file as it is
    text: str
    utf8: bytes  # the text as UTF-8, what the parser reads
    encoding: str  # codec that decoded it

    @property
    def utf8_shift(self) -> int | None:
        """What to add to a UTF-8 offset to get the file's; None: only `file_offsets` knows."""
        if not self.is_utf8:
            return None
        return len(self.data) - len(self.utf8)

    @property
    def is_utf8(self) -> bool:
        return self.encoding in ("utf-8", "utf-8-sig")

    def file_offsets(self, utf8_offsets: Sequence[int] | Offsets) -> Offsets:
        """Return the file's byte offsets of `utf8_offsets` (0 .. len(utf8))."""
        offsets = np.asarray(utf8_offsets, dtype=np.int64)
        if self.utf8_shift is None:
            return self._utf8_table[offsets]
        return offsets + self.utf8_shift

    @cached_property
    def _utf8_lengths(self) -> Offsets:
        """Bytes of each character in UTF-8."""
        code_points = np.frombuffer(self.text.encode("utf-32-le"), dtype="<u4")
        return (
            1
            + (code_points >= 0x80).astype(np.int64)
            + (code_points >= 0x800)
            + (code_points >= 0x10000)
        )

    @cached_property
    def _char_table(self) -> Offsets:
        """File offset of each character, and the file's length at the end."""
        if self.is_utf8:
            starts = np.concatenate([[0], np.cumsum(self._utf8_lengths)])
            return starts + (len(self.data) - len(self.utf8))
        if len(self.text) == len(self.data):
            return np.arange(len(self.data) + 1)
        return np.array(_char_starts(self.data, self.encoding), dtype=np.int64)

    @cached_property
    def _utf8_table(self) -> Offsets:
        """File offset of each UTF-8 byte (that of its character), and the length at the end."""
        inside = np.repeat(self._char_table[:-1], self._utf8_lengths)
        return np.append(inside, len(self.data))


def read_source(path: Path, max_bytes: int = MAX_SOURCE_BYTES) -> bytes:
    """Return the bytes of `path`; raise Rejected where it cannot be read or is too large."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise Rejected(UNREADABLE, "not a regular file")
        if status.st_size > max_bytes:
            raise Rejected(TOO_LARGE, f"{status.st_size:,} bytes, the limit is {max_bytes:,}")
        return path.read_bytes()
    except OSError as error:
        raise Rejected(UNREADABLE, error.strerror or type(error).__name__) from error


def decode_source(data: bytes, max_bytes: int = MAX_SOURCE_BYTES) -> SourceText:
    """Decode a file as Python would: byte order mark, PEP 263 declaration, else UTF-8.

    Raises Rejected for what is binary, too large, or not text in its encoding.
    """
    if len(data) > max_bytes:
        raise Rejected(TOO_LARGE, f"{len(data):,} bytes, the limit is {max_bytes:,}")
    if b"\0" in data:
        raise Rejected(BINARY, f"a NUL byte at offset {data.index(0)}")
    encoding = _declared_encoding(data)
    try:
        text = data.decode(encoding)
        utf8 = text.encode("utf-8")
    except (UnicodeError, LookupError) as error:
        # LookupError: a codec that is none of text, such as "hex".
        raise Rejected(NOT_DECODABLE, f"as {encoding}: {error}") from error
    source = SourceText(data, text, utf8, encoding)
    if not source.is_utf8:
        _check_alignment(source)
    return source


def _declared_encoding(data: bytes) -> str:
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    except SyntaxError as error:
        is_unknown = "unknown encoding" in str(error)
        raise Rejected(UNKNOWN_ENCODING if is_unknown else NOT_DECODABLE, str(error)) from error
    return codecs.lookup(encoding).name  # "utf-8" for "utf8" and all its other names


def _check_alignment(source: SourceText) -> None:
    """Refuse codecs whose characters cannot be traced back to bytes, one after the other."""
    try:
        is_aligned = len(source._char_table) == len(source.text) + 1
    except UnicodeError:  # UTF-16 wants its byte order mark only where it reads byte after byte
        is_aligned = False
    if not is_aligned:
        raise Rejected(NOT_DECODABLE, f"{source.encoding} cannot be traced back to bytes")


def _char_starts(data: bytes, encoding: str) -> list[int]:
    """Return the first byte of each character by decoding byte after byte, then the length.

    Shift sequences of a stateful codec count towards the character after them.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    starts: list[int] = []
    start = 0
    for index in range(len(data)):
        characters = decoder.decode(data[index : index + 1])
        if characters:
            starts.extend([start] * len(characters))
            start = index + 1
    starts.extend([start] * len(decoder.decode(b"", final=True)))
    return [*starts, len(data)]
