"""Numbers for texts, by their bytes: equal where the text is, from 0 as they come."""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from graph_builder.compiled import kept
from graph_builder.link_tables import Array
from graph_builder.record import Int32
from graph_builder.word_table import NO_WORD, WordTable, add_word, empty_table, find_place, has_room

_FIRST_PLACES: Final = 2**14
_FIRST_BYTES: Final = 2**16


class TextNumbers:
    """The texts that have a number so far."""

    def __init__(self) -> None:
        self._table = empty_table(_FIRST_PLACES, _FIRST_BYTES)

    def __len__(self) -> int:
        return int(self._table.num_words[0])

    def of_spans(self, utf8: bytes, starts: Array, ends: Array) -> Int32:
        """Return the numbers of the texts `starts` .. `ends` - 1 (bytes) of `utf8`."""
        text = np.frombuffer(utf8, dtype=np.uint8)
        numbers = np.empty(len(starts), dtype=np.int32)
        done = 0
        while (done := _number(text, starts, ends, done, self._table, numbers)) < len(starts):
            self._table = _grown(self._table, int(ends[done] - starts[done]))
        return numbers

    def of_texts(self, texts: Sequence[str]) -> Int32:
        """Return the numbers of `texts`."""
        utf8 = "".join(texts).encode()
        bounds = np.cumsum([0, *utf8_lengths(texts, utf8.isascii())])
        return self.of_spans(utf8, bounds[:-1], bounds[1:])


def utf8_lengths(texts: Sequence[str], are_ascii: bool) -> Iterable[int]:
    """Return the bytes of each text."""
    return map(len, texts) if are_ascii else (len(text.encode()) for text in texts)


def _grown(table: WordTable, num_bytes: int) -> WordTable:
    """Return a table of the same words with twice the room, and `num_bytes` more."""
    grown = empty_table(2 * len(table.places), 2 * len(table.data) + num_bytes)
    bounds = table.bounds[: int(table.num_words[0]) + 1]
    numbers = np.empty(len(bounds) - 1, dtype=np.int32)
    _number(table.data, bounds[:-1], bounds[1:], 0, grown, numbers)
    return grown


@kept
def _number(
    text: Array, starts: Array, ends: Array, done: int, table: WordTable, numbers: Array
) -> int:
    """Number the texts from `done` on; return that of the first for which there is no room."""
    places, bounds, data = table.places, table.bounds, table.data
    for at in range(done, starts.size):
        first, end = starts[at], ends[at]
        place = find_place(text, first, end, places, bounds, data)
        if places[place] == NO_WORD:
            if not has_room(table, end - first):
                return at
            add_word(text, first, end, place, table)
        numbers[at] = places[place]
    return starts.size
