"""What linking works on: the texts, names, triples and facts of some files as arrays of records.

Texts (words, and parts of names) are numbers, equal where the text is; names and entities are
numbers too. Offsets of bytes count from the start of their own file, tokens and words from the
start of the first file. `first_x` and `end_x` are a run of x: first, and one past.
"""

from typing import Any, Final, NamedTuple

import numpy as np

from graph_builder.compiled import borrowing

Array = Any  # an array of one of these; inside compiled functions numba infers which
Number = Any  # an integer there, of whichever width


def _fields(names: str, **others: type) -> np.dtype:
    """Return a record of int32 fields, and `others`."""
    return np.dtype([*((name, np.int32) for name in names.split()), *others.items()])


TOKEN: Final = _fields("id start end first_word end_word")
WORD: Final = _fields("text start first_token end_token", is_dotted=np.bool_)
# is_dotted: a dot and nothing else lies between this word and the next.

NAME: Final = _fields(
    "first_byte end_byte first_part end_part first_token end_token first_leaf end_leaf",
    loss=np.int8,
)
# Bytes: UTF-8. Parts: texts between the dots. Tokens spell the whole name; leaves spell it too
# (loss 0), or as many of its last parts as fit on a root (1), or the start of its last part (2).
LEAF: Final = _fields("id first_word end_word")  # words that its token is a part of

KEY: Final = _fields("head relation tail")  # of a triple; head and tail are names
SPANS: Final = _fields("head_start head_end tail_start tail_end")  # bytes; -1: no text in the file
REFERENCE: Final = _fields("start end entity")
ENTITY: Final = _fields("first_fact end_fact", hash=np.int64)
FACT: Final = _fields("file site start end entity", is_reversed=np.bool_)
# file: number of the file that states it, -1: none of these. start, end: bytes there of what its
# leaves spell; -1: no text.

WINDOW: Final = _fields(
    "file first_token end_token start end"  # bytes
    " file_token file_end_token file_word file_end_word"  # runs of the whole file
    " first_word end_word"  # that have a token in the window
    " name_text name num_name_tokens"  # the synthetic name, and the tokens that the window has
    " name_entity"  # what it leads to; -1: there is none
    " first_triple end_triple first_reference end_reference"  # whose site is in the window
    " first_owned end_owned",  # triples whose site is in the function that it is a part of
    salt=np.int64,  # CRC-32 of the window's id as text and a NUL
)

PLACE: Final = _fields("root first_root num_roots", is_reversed=np.bool_, is_knowledge=np.bool_)
# The root that holds a triple's leaves, and the mention that the root is in.


def columns(record: np.dtype, **values: Any) -> Array:
    """Return an array of records from columns of equal length; a field without one is 0."""
    table = np.zeros(len(next(iter(values.values()))), dtype=record)
    for name, column in values.items():
        table[name] = column
    return table


class Tables(NamedTuple):
    """Arrays of the records above. Triples are sorted by their site in each file, references by
    their start; entities by name; parts, name_tokens and leaf_words are plain numbers.
    """

    tokens: Array
    words: Array
    names: Array
    name_bytes: Array
    parts: Array
    name_tokens: Array
    leaves: Array
    leaf_words: Array
    triples: Array  # KEY
    triple_spans: Array
    triple_sites: Array  # bytes
    references: Array
    entities: Array
    facts: Array  # KEY
    fact_places: Array  # FACT
    windows: Array


class Rules(NamedTuple):
    """The settings of linking, as numbers."""

    num_roots: int
    leaves_per_root: int
    max_knowledge_leaves: int
    num_relations: int
    num_texts: int
    has_local: bool
    has_knowledge: bool


@borrowing
def num_leaves(tables: Tables, name: int) -> int:
    return tables.names[name].end_leaf - tables.names[name].first_leaf
