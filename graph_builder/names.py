"""Words: the identifier words of a text, and the tokens that spell them.

A word is a maximal run of identifier characters, wherever it stands: code, strings and comments
alike.
"""

import re
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from graph_builder.compiled import kept
from graph_builder.link_tables import Array
from graph_builder.record import Int32

_ASCII_WORDS = re.compile(r"[A-Za-z0-9_]+")
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


def words_of(text: str) -> list[str]:
    """Return the words of `text`, those of `word_spans`."""
    if text.isascii():
        return _ASCII_WORDS.findall(text)
    spans = zip(*(offsets.tolist() for offsets in word_spans(text)), strict=True)
    return [text[start:end] for start, end in spans]


def word_spans(text: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the first character, and one past the last, of each word of `text`."""
    if text.isascii():
        is_word = _ASCII_WORD[np.frombuffer(text.encode(), dtype=np.uint8)]
    else:
        code_points = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
        is_word = _ASCII_WORD[np.minimum(code_points, 127)]  # 127 is no identifier character
        others = np.unique(code_points[code_points > 127])
        continues = [f"a{chr(code_point)}".isidentifier() for code_point in others]
        is_word = is_word | np.isin(code_points, others[np.array(continues)])
    steps = np.flatnonzero(np.diff(is_word, prepend=False, append=False))
    return steps[::2], steps[1::2]
