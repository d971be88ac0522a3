"""Parsed files kept from build to build: a file with the same content is not parsed again.

Files that were parsed together are one pack, since a file of its own for each takes longer to make
than to fill. An entry has two parts: the outline of a file, which is what other files of its source
need to know of it, and the rest; a pack has its index first, then all outlines, then all rests.
They are typed data (MessagePack, so nothing in them can run) with checksums: what a power failure
damaged counts as absent.
"""

import hashlib
import os
import platform
import zlib
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from struct import Struct
from typing import BinaryIO, Final, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from graph_builder.entities import CallSite, FileFacts, Statement, Triple, Use
from graph_builder.whole_file import TEMPORARY_SUFFIX

_CODEC: Final = "lz4"
PACK_SUFFIX: Final = ".pack"
_HEAD: Final = Struct("<II")  # checksum of the index, and the number of its rows
# The key of an entry; of its outline and of its rest: first byte in the pack, packed bytes,
# unpacked bytes, checksum of the packed ones.
_ROW: Final = Struct("<16s4I4I")


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


class Part(NamedTuple):
    """Where the outline or the rest of an entry is."""

    pack: str
    first: int
    num_packed: int
    num_bytes: int
    checksum: int


class ParsedCache:
    """The packs of one folder, as this process knows them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._packs: set[str] = set()
        self._entries: dict[bytes, tuple[Part, Part]] = {}
        self._opened: tuple[str, BinaryIO] | None = None  # the last pack that was read

    def look_again(self) -> None:
        """Take note of packs that came or went."""
        try:
            packs = {name for name in os.listdir(self._folder) if name.endswith(PACK_SUFFIX)}
        except FileNotFoundError:
            packs = set()
        if self._packs - packs:
            self._packs, self._entries = set(), {}
        for pack in sorted(packs - self._packs):
            self._entries |= _index(self._folder / pack)
        self._packs, self._opened = packs, None

    def __contains__(self, key: bytes) -> bool:
        return key in self._entries

    def save(self, outcomes: Mapping[bytes, Outcome]) -> None:
        """Write the entries of some files, by key."""
        if not outcomes:
            return
        pack = hashlib.sha256(b"".join(outcomes)).hexdigest()[:32] + PACK_SUFFIX
        path = self._folder / pack
        temporary = path.with_name(f".{pack}.{platform.node()}.{os.getpid()}{TEMPORARY_SUFFIX}")
        self._folder.mkdir(parents=True, exist_ok=True)
        # Not forced to the disk, which takes long: the checksums tell damage.
        temporary.write_bytes(_packed(outcomes))
        temporary.replace(path)
        self._packs.discard(pack)  # to be read again: a damaged one may have had this name

    def load_outline(self, key: bytes) -> Outcome | None:
        """Return the outline of a file: None where there is no entry, or a damaged one."""
        parts = self._entries.get(key)
        data = None if parts is None else self._read(parts[0])
        return None if data is None else _OUTLINES.decode(data)

    def load_parsed(self, key: bytes) -> Outcome | None:
        """Return all that a file says: None where there is no entry, or a damaged one."""
        outline, parts = self.load_outline(key), self._entries.get(key)
        data = None if outline is None or parts is None else self._read(parts[1])
        if data is None:
            return None
        rest = _RESTS.decode(data)
        return replace(outline, **rest._asdict()) if isinstance(outline, FileFacts) else outline

    def _read(self, part: Part) -> bytes | None:
        if self._opened is None or self._opened[0] != part.pack:
            try:
                self._opened = part.pack, (self._folder / part.pack).open("rb", buffering=0)
            except FileNotFoundError:
                return None
        packed = os.pread(self._opened[1].fileno(), part.num_packed, part.first)
        if len(packed) < part.num_packed or zlib.crc32(packed) != part.checksum:
            return None
        data: bytes = pa.decompress(packed, part.num_bytes, _CODEC, asbytes=True)
        return data


@lru_cache(maxsize=1)
def parsed_cache(folder: Path) -> ParsedCache:
    """Return the cache in a folder, the same one each time."""
    return ParsedCache(folder)


def _index(path: Path) -> dict[bytes, tuple[Part, Part]]:
    """Return the entries of a pack; none where it is damaged."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD.size)
            checksum, num_rows = _HEAD.unpack(head) if len(head) == _HEAD.size else (0, 0)
            rows = file.read(num_rows * _ROW.size)
    except FileNotFoundError:
        return {}
    if len(rows) < num_rows * _ROW.size or zlib.crc32(rows) != checksum:
        return {}
    return {
        key: (Part(path.name, *row[:4]), Part(path.name, *row[4:]))
        for key, *row in _ROW.iter_unpack(rows)
    }


def _packed(outcomes: Mapping[bytes, Outcome]) -> bytes:
    """Return a pack with the outcomes of some files, by key."""
    entries = [_entry(outcome) for outcome in outcomes.values()]
    packed = [[pa.compress(part, _CODEC, asbytes=True) for part in entry] for entry in entries]
    first = _HEAD.size + _ROW.size * len(entries)
    ends = np.cumsum([first, *(len(parts[which]) for which in (0, 1) for parts in packed)])
    rows = []
    for at, (key, entry, parts) in enumerate(zip(outcomes, entries, packed, strict=True)):
        row: list[int] = []
        for which, (data, part) in enumerate(zip(entry, parts, strict=True)):
            row += int(ends[at + which * len(entries)]), len(part), len(data), zlib.crc32(part)
        rows.append(_ROW.pack(key, *row))
    index = b"".join(rows)
    head = _HEAD.pack(zlib.crc32(index), len(rows))
    return b"".join([head, index, *(parts[which] for which in (0, 1) for parts in packed)])


def _entry(outcome: Outcome) -> tuple[bytes, bytes]:
    """Return the outline of a file, and the rest."""
    if not isinstance(outcome, FileFacts):
        return _ENCODER.encode(outcome), _ENCODER.encode(None)
    rest = Rest(outcome.triples, outcome.statements, outcome.calls, outcome.uses)
    return _ENCODER.encode(_outline(outcome)), _ENCODER.encode(rest)


def _outline(facts: FileFacts) -> FileFacts:
    """Return the facts without what is in Rest, but for the triples of its statements."""
    stated = list(dict.fromkeys(statement.triple for statement in facts.statements))
    places = {triple: place for place, triple in enumerate(stated)}
    statements = tuple(Statement(d, places[triple], r) for d, triple, r in facts.statements)
    triples = tuple(facts.triples[triple] for triple in stated)
    return replace(facts, triples=triples, statements=statements, calls=(), uses=())
