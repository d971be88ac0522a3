"""Parsed files kept from build to build: a file with the same content is not parsed again.

An entry has two parts: the outline of a file, which is what other files of its source need to know
of it, and the rest. Its bytes are typed data (MessagePack, so nothing in them can run) with a
checksum: an entry that a power failure damaged counts as absent.
"""

import os
import platform
import zlib
from dataclasses import replace
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple

import msgspec
import pyarrow as pa

from graph_builder.entities import CallSite, FileFacts, Statement, Triple, Use
from graph_builder.whole_file import TEMPORARY_SUFFIX

_CODEC: Final = "lz4"
_CHECKSUM: Final = Struct("<I")  # of all that follows
_SIZES: Final = Struct("<4I")  # packed and unpacked bytes of the outline, and of the rest


class Rejection(NamedTuple):
    reason: str
    detail: str


class Rest(NamedTuple):
    """What only the linking of the file itself needs."""

    triples: tuple[Triple, ...]
    statements: tuple[Statement, ...]
    calls: tuple[CallSite, ...]
    uses: tuple[Use, ...]


Outcome = FileFacts | Rejection  # of a file that could be parsed, or could not

_ENCODER: Final = msgspec.msgpack.Encoder()
_OUTLINES: Final = msgspec.msgpack.Decoder(Outcome)
_RESTS: Final = msgspec.msgpack.Decoder(Rest | None)


def save_parsed(path: Path, outcome: Outcome) -> None:
    """Write the entry of one file."""
    outline, rest = outcome, None
    if isinstance(outcome, FileFacts):
        outline = _outline(outcome)
        rest = Rest(outcome.triples, outcome.statements, outcome.calls, outcome.uses)
    parts = [_ENCODER.encode(outline), _ENCODER.encode(rest)]
    packed = [pa.compress(part, codec=_CODEC, asbytes=True) for part in parts]
    sizes = len(packed[0]), len(parts[0]), len(packed[1]), len(parts[1])
    content = _SIZES.pack(*sizes) + b"".join(packed)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}{TEMPORARY_SUFFIX}")
    # Not forced to the disk, which would take longer than parsing: the checksum tells damage.
    temporary.write_bytes(_CHECKSUM.pack(zlib.crc32(content)) + content)
    temporary.replace(path)


def load_outline(path: Path) -> Outcome | None:
    """Return the outline of a file: None where there is no entry, or a damaged one."""
    parts = _read(path)
    return None if parts is None else _OUTLINES.decode(_unpack(*parts[0]))


def load_parsed(path: Path) -> Outcome | None:
    """Return all that a file says: None where there is no entry, or a damaged one."""
    parts = _read(path)
    if parts is None:
        return None
    outline, rest = _OUTLINES.decode(_unpack(*parts[0])), _RESTS.decode(_unpack(*parts[1]))
    return outline if rest is None else replace(outline, **rest._asdict())


def _read(path: Path) -> tuple[tuple[bytes, int], tuple[bytes, int]] | None:
    """Return the two parts of an entry, each packed and with its size when unpacked."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(data) < _CHECKSUM.size + _SIZES.size:
        return None
    content = data[_CHECKSUM.size :]
    if _CHECKSUM.unpack_from(data)[0] != zlib.crc32(content):
        return None
    packed, size, packed_rest, rest_size = _SIZES.unpack_from(content)
    first = _SIZES.size
    outline = content[first : first + packed]
    return (outline, size), (content[first + packed : first + packed + packed_rest], rest_size)


def _unpack(packed: bytes, size: int) -> bytes:
    data: bytes = pa.decompress(packed, decompressed_size=size, codec=_CODEC, asbytes=True)
    return data


def _outline(facts: FileFacts) -> FileFacts:
    """Return the facts without what is in Rest, but for the triples of its statements."""
    stated = list(dict.fromkeys(statement.triple for statement in facts.statements))
    places = {triple: place for place, triple in enumerate(stated)}
    statements = tuple(Statement(d, places[triple], r) for d, triple, r in facts.statements)
    triples = tuple(facts.triples[triple] for triple in stated)
    return replace(facts, triples=triples, statements=statements, calls=(), uses=())
