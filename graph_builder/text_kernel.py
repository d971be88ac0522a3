"""The words of a text, compiled: where they are."""

import numpy as np

from graph_builder.compiled import borrowing, kept
from graph_builder.link_tables import Array, Number

_LEAD = 0xC0  # the first byte of a character outside ASCII is this or more, others are less


@kept
def spans_of_words(utf8: Array, is_ascii_word: Array, others: Array) -> tuple[Array, Array]:
    """Return the first byte, and one past the last, of each maximal run of word characters.

    is_ascii_word (128,); others: code points outside ASCII that are of words, sorted.
    """
    starts, ends = np.empty(utf8.size // 2 + 1, np.int64), np.empty(utf8.size // 2 + 1, np.int64)
    num, is_inside, is_word = 0, False, False
    for at in range(utf8.size):
        byte = utf8[at]
        if byte < 128:
            is_word = is_ascii_word[byte]
        elif byte >= _LEAD:
            is_word = _is_listed(others, _code_point(utf8, at))
        if is_word and not is_inside:
            starts[num] = at
        elif is_inside and not is_word:
            ends[num] = at
            num += 1
        is_inside = is_word
    if is_inside:
        ends[num] = utf8.size
        num += 1
    return starts[:num].copy(), ends[:num].copy()


@borrowing
def _code_point(utf8: Array, at: int) -> Number:
    """Return the code point of the character, outside ASCII, that begins at a byte."""
    lead = np.int64(utf8[at])
    num_more = 1 + (lead >= 0xE0) + (lead >= 0xF0)
    code_point = lead & (0x3F >> num_more)
    for more in range(1, num_more + 1):
        code_point = code_point << 6 | (np.int64(utf8[at + more]) & 0x3F)
    return code_point


@borrowing
def _is_listed(code_points: Array, code_point: int) -> bool:
    at = np.searchsorted(code_points, code_point)
    return at < code_points.size and code_points[at] == code_point
