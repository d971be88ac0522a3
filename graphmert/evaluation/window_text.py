"""The text of a window, byte by byte, and which of its tokens are names of the code.

Shards hold token ids, not text; a byte-level token stands for known bytes, so a window's text and
the place of each token in it come back exactly. Names are told from strings and comments by their
form alone: no parser is needed, and none is there where models are trained.
"""

import keyword
import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from graphmert.data.counter_random import window_keys
from graphmert.data.windows import WindowTable

_ORDER = 111  # stream of random numbers, apart from those of masking

# Strings that end with their line or with the text, if they do not end before.
LEXEMES = re.compile(
    rb"(?P<string>(?i:[rbuft]{0,2})"
    rb"(?:\"\"\"(?:\\.|[^\\])*?(?:\"\"\"|\Z)|'''(?:\\.|[^\\])*?(?:'''|\Z)"
    rb"|\"(?:\\.|[^\"\\\n])*(?:\"|(?=\n)|\Z)|'(?:\\.|[^'\\\n])*(?:'|(?=\n)|\Z)))"
    rb"|(?P<comment>\#[^\n]*)"
    rb"|(?P<number>\d[\w.]*)"
    rb"|(?P<mark>[()\[\]{}:])"
    rb"|(?P<name>[A-Za-z_\x80-\xff][\w\x80-\xff]*)",
    re.DOTALL,
)
KEYWORDS = frozenset(word.encode() for word in keyword.kwlist)


@dataclass(frozen=True)
class WindowText:
    """The code of one window: <s>, </s> and a synthetic name are not part of it."""

    text: bytes  # UTF-8
    first_root: int  # in the window, of the first token of the text
    bounds: list[int]  # (tokens + 1,) where each token starts in `text`, and its end

    def roots(self, start: int, end: int) -> range | None:
        """Return the roots that spell the bytes `start` .. `end` - 1 and nothing else but one
        space before them; None where their tokens spell more."""
        first = bisect_right(self.bounds, start) - 1
        last = bisect_left(self.bounds, end)
        before = self.text[self.bounds[first] : start]
        if before not in (b"", b" ") or self.bounds[last] != end:
            return None
        return range(self.first_root + first, self.first_root + last)

    def overlapping(self, start: int, end: int) -> range:
        """Return the roots that spell any of the bytes `start` .. `end` - 1, here or not."""
        first = max(bisect_right(self.bounds, start) - 1, 0)
        last = min(bisect_left(self.bounds, end), len(self.bounds) - 1)
        return range(self.first_root + first, self.first_root + max(first, last))


@dataclass(frozen=True)
class Name:
    """One place where the code says a name: an identifier outside strings and comments."""

    text: bytes
    start: int  # in the window's text
    end: int
    roots: range  # of the window


@lru_cache(maxsize=4)
def spelled_bytes(tokenizer: Tokenizer) -> list[bytes]:
    """Return the bytes that each token (V,) stands for; special ones stand for none."""
    byte_of = {character: byte for byte, character in bytes_to_unicode().items()}
    special = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    spelled = [b""] * (max(vocabulary.values()) + 1)
    for token, token_id in vocabulary.items():
        if token not in special:
            spelled[token_id] = bytes(byte_of[character] for character in token)
    return spelled


def window_text(table: WindowTable, index: int, spelled: list[bytes]) -> WindowText:
    """Return the text of one window of a table."""
    roots = slice(int(table.root_offsets[index]), int(table.root_offsets[index + 1]))
    ids, num_bytes = table.root_ids[roots].tolist(), table.root_bytes[roots].tolist()
    # The synthetic name stands right after <s>; a token without bytes later on ends a character.
    first = next((at for at, count in enumerate(num_bytes) if count > 0), len(ids) - 1)
    pieces = [spelled[token_id] for token_id in ids[first:-1]]
    return WindowText(
        text=b"".join(pieces),
        first_root=first,
        bounds=list(accumulate(map(len, pieces), initial=0)),
    )


def code_names(window: WindowText, before: bytes = b"") -> list[Name]:
    """Return the names of the code in order, keywords aside, that have tokens of their own.

    `before`: the code before the window, from outside strings on; none of a function's first one. A
    name at the window's very end is left out: it may go on in the next one.
    """
    names = []
    for match in LEXEMES.finditer(before + window.text):
        word = match["name"]
        start, end = match.start() - len(before), match.end() - len(before)
        if word is None or word in KEYWORDS or start < 0 or end == len(window.text):
            continue
        roots = window.roots(start, end)
        if roots:
            names.append(Name(word, start, end, roots))
    return names


def first_windows(table: WindowTable) -> list[int]:
    """Return the windows in which a function begins, in order."""
    is_function = np.array(table.strings["kind"].to_pylist()) == "function"
    second_roots = table.root_offsets[:-1] + 1  # text, where no synthetic name stands
    begins = torch.from_numpy(is_function) & (table.root_bytes[second_roots] > 0).cpu()
    return begins.nonzero().flatten().tolist()


def function_windows(table: WindowTable) -> list[tuple[int, ...]]:
    """Return the windows of each function: the first one and those that continue it."""
    names: list[str] = table.strings["qualified_name"].to_pylist()
    places: list[int] = table.strings["window_index"].to_pylist()
    begins = first_windows(table)
    starts = set(begins)
    found = []
    for first in begins:
        end = first + 1
        while (
            end < len(names)
            and end not in starts
            and (names[end], places[end]) == (names[first], places[first] + end - first)
        ):
            end += 1
        found.append(tuple(range(first, end)))
    return found


def in_drawn_order(table: WindowTable, windows: list[int], seed: int) -> list[int]:
    """Return windows in an order that depends on the seed and their ids alone."""
    keys = window_keys(table.window_ids.cpu()[windows], seed, _ORDER)
    return [windows[index] for index in keys.argsort(stable=True).tolist()]
