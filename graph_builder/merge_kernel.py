"""Byte-level BPE of ASCII text, compiled: words cut and merged, those seen before looked up.

Every word is merged as the tokenizer's merges say: the earliest merge that any two neighbours
have goes first, at all places from the left, until no two neighbours have one. Source code says
the same words over and over, so most of them are found in what is remembered.
"""

from typing import Any, Final, NamedTuple

import numpy as np

from graph_builder.compiled import borrowing, inner, kept
from graph_builder.link_tables import Array, Number
from graph_builder.word_table import (
    NO_WORD,
    WordTable,
    add_word,
    empty_table,
    find_place,
    forget_words,
    has_room,
)

# Kinds of ASCII characters; a word is a run of one kind.
WHITE: Final = 0
LETTER: Final = 1
DIGIT: Final = 2
OTHER: Final = 3

MAX_KEPT_BYTES: Final = 48  # longer words are merged anew each time
MAX_KEPT_WORDS: Final = 2**17
_BYTES_A_WORD: Final = 12  # of those that are remembered, on average
NO_PAIR: Final = -1

_SPACE: Final = ord(" ")
_APOSTROPHE: Final = ord("'")
_NEVER: Final = np.int64(2**62)
_HASH_PRIME: Final = np.uint64(1099511628211)
_HASH_SHIFT: Final = np.uint64(32)


class Merges(NamedTuple):
    """A tokenizer's merges, pairs of tokens found by hash, and how it cuts words."""

    kinds: Array  # (128,) of each character
    has_contractions: Any  # True: `'s`, `'t`, `'re`, `'ve`, `'m`, `'ll` and `'d` are words
    byte_ids: Array  # (128,) the token of each character
    pairs: Array  # (2 ** k,) left token << 32 | right token; NO_PAIR: a free place
    ranks: Array  # (2 ** k,) when that merge takes place
    merged: Array  # (2 ** k,) the token that it makes


class Memory(NamedTuple):
    """Words seen before with their tokens; all are forgotten when there is no more room."""

    words: WordTable
    id_bounds: Array  # where the tokens of each word begin, and the end of the last
    ids: Array


def empty_memory() -> Memory:
    words = empty_table(2 * MAX_KEPT_WORDS, MAX_KEPT_WORDS * _BYTES_A_WORD)
    return Memory(
        words=words,
        id_bounds=np.zeros(len(words.bounds), dtype=np.int32),
        ids=np.empty(len(words.data), dtype=np.int32),  # a token is one byte at least
    )


@kept
def encode_ascii(text: Array, merges: Merges, memory: Memory) -> Array:
    """Return the token ids of ASCII `text`."""
    kinds, has_contractions = merges.kinds, merges.has_contractions
    places, bounds, data = memory.words.places, memory.words.bounds, memory.words.data
    id_bounds, ids = memory.id_bounds, memory.ids
    found = np.empty(text.size, dtype=np.int32)
    first, num = 0, 0
    while first < text.size:
        end = _word_end(text, first, kinds, has_contractions)
        if end - first > MAX_KEPT_BYTES:
            num = _merge(text, first, end, merges, found, num)
        else:
            place = find_place(text, first, end, places, bounds, data)
            word = places[place]
            if word == NO_WORD:
                last = _merge(text, first, end, merges, found, num)
                _remember(text, first, end, place, memory, found[num:last])
                num = last
            else:
                for at in range(id_bounds[word], id_bounds[word + 1]):
                    found[num] = ids[at]
                    num += 1
        first = end
    return found[:num].copy()


@borrowing
def _word_end(text: Array, first: int, kinds: Array, has_contractions: bool) -> int:
    """Return one past the last character of the word that begins at `first`."""
    at = first
    if has_contractions and text[at] == _APOSTROPHE:
        length = _contraction(text, at)
        if length > 0:
            return at + length
    if text[at] == _SPACE and at + 1 < text.size and kinds[text[at + 1]] != WHITE:
        at += 1
    kind, end = kinds[text[at]], at + 1
    while end < text.size and kinds[text[end]] == kind:
        end += 1
    if kind == WHITE and end < text.size and end - first > 1:
        end -= 1  # the last one is of the next word, or a word of its own
    return end


@borrowing
def _contraction(text: Array, at: int) -> int:
    """Return the length of the contraction at `at`; 0: there is none."""
    if at + 1 == text.size:
        return 0
    one, two = text[at + 1], np.uint8(0)
    if one == ord("s") or one == ord("t") or one == ord("m") or one == ord("d"):
        return 2
    if at + 2 < text.size:
        two = text[at + 2]
    is_verb = (one == ord("r") or one == ord("v")) and two == ord("e")
    return 3 if is_verb or (one == ord("l") and two == ord("l")) else 0


@inner
def _remember(text: Array, first: int, end: int, place: int, memory: Memory, ids: Array) -> None:
    words, id_bounds = memory.words, memory.id_bounds
    if not has_room(words, end - first):
        forget_words(words)
        return
    word = words.num_words[0]
    add_word(text, first, end, place, words)
    start = id_bounds[word]
    id_bounds[word + 1] = start + ids.size
    memory.ids[start : start + ids.size] = ids


@borrowing
def _merge(text: Array, first: int, end: int, merges: Merges, found: Array, num: int) -> int:
    """Write the tokens of one word to `found` from `num` on; return one past the last."""
    byte_ids, pairs, ranks = merges.byte_ids, merges.pairs, merges.ranks
    last = num
    for at in range(first, end):
        found[last] = byte_ids[text[at]]
        last += 1
    while True:
        best, best_at, best_place = _NEVER, 0, 0
        for at in range(num, last - 1):
            place = _pair_place(pairs, found[at], found[at + 1])
            if pairs[place] != NO_PAIR and ranks[place] < best:
                best, best_at, best_place = np.int64(ranks[place]), at, place
        if best == _NEVER:
            return last
        last = _merge_pair(found, best_at, last, merges.merged[best_place])


@borrowing
def _merge_pair(found: Array, first: int, last: int, merged: int) -> int:
    """Merge the pair at `first` wherever it is from there on; return one past the last token."""
    left, right = found[first], found[first + 1]
    at, to = first, first
    while at < last:
        if at + 1 < last and found[at] == left and found[at + 1] == right:
            found[to] = merged
            at += 2
        else:
            found[to] = found[at]
            at += 1
        to += 1
    return to


@borrowing
def _pair_place(pairs: Array, left: int, right: int) -> Number:
    """Return where a pair of tokens is, or a free place."""
    pair = _pair(left, right)
    hashed = np.uint64(pair) * _HASH_PRIME
    place = np.int64((hashed ^ (hashed >> _HASH_SHIFT)) >> np.uint64(1)) & (pairs.size - 1)
    while pairs[place] != pair and pairs[place] != NO_PAIR:
        place = (place + 1) & (pairs.size - 1)
    return place


@borrowing
def _pair(left: int, right: int) -> Number:
    return np.int64(left) << 32 | np.int64(right)


@kept
def pair_tables(lefts: Array, rights: Array, merged: Array) -> tuple[Array, Array, Array]:
    """Return `pairs`, `ranks` and `merged` of Merges for merges in their order."""
    size = 1
    while size < 4 * lefts.size + 4:
        size *= 2
    pairs = np.full(size, NO_PAIR, dtype=np.int64)
    ranks, made = np.zeros(size, dtype=np.int32), np.zeros(size, dtype=np.int32)
    for rank in range(lefts.size):
        place = _pair_place(pairs, lefts[rank], rights[rank])
        pairs[place] = _pair(lefts[rank], rights[rank])
        ranks[place], made[place] = rank, merged[rank]
    return pairs, ranks, made
