"""A table of words, compiled: the number of a word by its bytes, from 0 as they come."""

from typing import Final, NamedTuple

import numpy as np

from graph_builder.compiled import borrowing, inner
from graph_builder.link_tables import Array, Number

NO_WORD: Final = -1

_HASH_START: Final = np.uint64(14695981039346656037)  # FNV-1a
_HASH_PRIME: Final = np.uint64(1099511628211)
_HASH_SHIFT: Final = np.uint64(32)


class WordTable(NamedTuple):
    """Words one after the other, found by hash."""

    places: Array  # (2 ** k,) number of a word, by hash; NO_WORD: a free place
    num_words: Array  # (1,)
    bounds: Array  # where the bytes of each word begin, and the end of the last
    data: Array  # UTF-8


def empty_table(num_places: int, num_bytes: int) -> WordTable:
    """Return a table for half as many words as `num_places`, a power of 2."""
    return WordTable(
        places=np.full(num_places, NO_WORD, dtype=np.int32),
        num_words=np.zeros(1, dtype=np.int64),
        bounds=np.zeros(num_places // 2 + 1, dtype=np.int32),
        data=np.empty(num_bytes, dtype=np.uint8),
    )


@borrowing
def find_place(
    text: Array, first: int, end: int, places: Array, bounds: Array, data: Array
) -> Number:
    """Return where the word `first` .. `end` - 1 of a text is listed, or would be."""
    hashed, last_place = _HASH_START, np.int64(places.size - 1)
    for at in range(first, end):
        hashed = (hashed ^ np.uint64(text[at])) * _HASH_PRIME
    place = np.int64((hashed ^ (hashed >> _HASH_SHIFT)) & np.uint64(last_place))
    while True:
        word = places[place]
        if word == NO_WORD:
            return place
        start = bounds[word]
        if bounds[word + 1] - start == end - first:
            same = 0
            while same < end - first and data[start + same] == text[first + same]:
                same += 1
            if same == end - first:
                return place
        place = (place + 1) & last_place


@borrowing
def has_room(table: WordTable, num_bytes: int) -> bool:
    """Tell whether the table takes one more word of that length."""
    word = table.num_words[0]
    return word + 1 < table.bounds.size and table.bounds[word] + num_bytes <= table.data.size


@borrowing
def add_word(text: Array, first: int, end: int, place: int, table: WordTable) -> None:
    """List a word that is new at its place; the table has room for it."""
    word = table.num_words[0]
    start = table.bounds[word]
    for at in range(end - first):
        table.data[start + at] = text[first + at]
    table.places[place] = word
    table.bounds[word + 1] = start + end - first
    table.num_words[0] = word + 1


@inner
def forget_words(table: WordTable) -> None:
    table.places[:] = NO_WORD
    table.num_words[0] = 0
