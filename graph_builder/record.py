"""The record: one chain graph, ragged, as it is linked, stored and read back.

Legend: R real roots (<= num_roots, <s> and </s> included), F leaves, T placed triples; all arrays
are one-dimensional numpy arrays.
The leaves of a root fill its slots 0, 1, .. in array order, so slots are not stored; a triple's
leaves are one run of consecutive leaves. Equal (head, relation, tail) triples of a window are one
triple.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

FORMAT_VERSION = 1

Int32 = npt.NDArray[np.int32]
Int16 = npt.NDArray[np.int16]
Int8 = npt.NDArray[np.int8]
Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ChainGraph:
    """One window of code with the triples that were linked to it."""

    window_id: int  # signed 64-bit hash of (source, path, window_index): what masks are seeded by
    source: str  # source spec as given, e.g. "installed:click"
    revision: str  # resolved revision or content hash of the source
    path: str  # file, relative to the source's root, with forward slashes
    qualified_name: str  # dotted name of the entity that the window follows, module included
    kind: str  # "function", "class" (header and fields) or "module" (module-level code)
    window_index: int  # 0-based, over the windows of the file
    start_line: int  # 1-based, first line of the window's code
    end_line: int  # 1-based, last line, inclusive

    root_ids: Int32  # (R,) token ids; <s> first, </s> last
    root_starts: Int32  # (R,) byte offset in the file; -1 for <s>, </s> and the synthetic name
    root_ends: Int32  # (R,) one past the last byte; -1 likewise
    root_names: Int16  # (R,) id of the name (identifier word) a root is part of; -1 none

    leaf_ids: Int32  # (F,) token ids, sorted by root
    leaf_roots: Int16  # (F,) index of the owning root
    leaf_names: Int16  # (F,) as root_names: the same word has the same id; -1 not in the window
    leaf_triples: Int16  # (F,) index into the triple arrays

    triple_relations: Int8  # (T,) 0 .. 11
    triple_head_starts: Int16  # (T,) first root of the mention that the triple hangs on
    triple_head_lengths: Int16  # (T,) number of roots of that mention
    triple_is_reversed: Bool  # (T,) True: hangs on its tail's mention, the leaves spell the head
    triple_is_knowledge: Bool  # (T,) True: the evidence lies outside the window
    triple_heads: tuple[str, ...]  # (T,) names, as `graph-builder triples` prints them
    triple_tails: tuple[str, ...]


SCHEMA = pa.schema(
    [
        pa.field("window_id", pa.int64(), nullable=False),
        pa.field("source", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("revision", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("path", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("qualified_name", pa.string(), nullable=False),
        pa.field("kind", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("window_index", pa.int32(), nullable=False),
        pa.field("start_line", pa.int32(), nullable=False),
        pa.field("end_line", pa.int32(), nullable=False),
        pa.field("root_ids", pa.list_(pa.int32()), nullable=False),
        pa.field("root_starts", pa.list_(pa.int32()), nullable=False),
        pa.field("root_ends", pa.list_(pa.int32()), nullable=False),
        pa.field("root_names", pa.list_(pa.int16()), nullable=False),
        pa.field("leaf_ids", pa.list_(pa.int32()), nullable=False),
        pa.field("leaf_roots", pa.list_(pa.int16()), nullable=False),
        pa.field("leaf_names", pa.list_(pa.int16()), nullable=False),
        pa.field("leaf_triples", pa.list_(pa.int16()), nullable=False),
        pa.field("triple_relations", pa.list_(pa.int8()), nullable=False),
        pa.field("triple_head_starts", pa.list_(pa.int16()), nullable=False),
        pa.field("triple_head_lengths", pa.list_(pa.int16()), nullable=False),
        pa.field("triple_is_reversed", pa.list_(pa.bool_()), nullable=False),
        pa.field("triple_is_knowledge", pa.list_(pa.bool_()), nullable=False),
        pa.field("triple_heads", pa.list_(pa.string()), nullable=False),
        pa.field("triple_tails", pa.list_(pa.string()), nullable=False),
    ]
)
