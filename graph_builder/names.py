"""Words: the identifier words of a text, and the tokens that spell them.

A word is a maximal run of identifier characters, wherever it stands: code, strings and comments
alike.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from graph_builder.compiled import kept
from graph_builder.link_tables import Array
from graph_builder.record import Int32
from graph_builder.text_kernel import spans_of_words

_ASCII_WORD = np.array([chr(i).isidentifier() or chr(i).isdigit() for i in range(128)])


class Numbers(dict[str, int]):
    """Numbers for texts, from 0 in the order in which they are asked for."""

    def __missing__(self, text: str) -> int:
        number = self[text] = len(self)
        return number


class Overlaps(NamedTuple):
    """Which words and tokens share a byte: first, and one past."""

    first_words: Int32  # of each token
    end_words: Int32
    first_tokens: Int32  # of each word
    end_tokens: Int32


def overlaps(word_starts: Array, word_ends: Array, starts: Array, ends: Array) -> Overlaps:
    """Return the overlaps of words and tokens (`starts`, `ends`), both sorted byte spans."""
    return Overlaps(
        _num_up_to(word_ends, starts, 0),
        _num_up_to(word_starts, ends, -1),
        _num_up_to(ends, word_starts, 0),
        _num_up_to(starts, word_ends, -1),
    )


@kept
def _num_up_to(values: Array, limits: Array, shift: int) -> Array:
    """Return how many of the sorted values are at most each of the sorted limits, shifted."""
    found = np.empty(limits.size, dtype=np.int32)
    num = 0
    for at in range(limits.size):
        while num < values.size and values[num] <= limits[at] + shift:
            num += 1
        found[at] = num
    return found


def word_spans(text: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the first byte (UTF-8), and one past the last, of each word of `text`."""
    others = [] if text.isascii() else sorted(c for c in set(text) if c > "\x7f")
    code_points = [ord(character) for character in others if f"a{character}".isidentifier()]
    data = np.frombuffer(text.encode(), dtype=np.uint8)
    starts, ends = spans_of_words(data, _ASCII_WORD, np.array(code_points, dtype=np.int64))
    return starts, ends
