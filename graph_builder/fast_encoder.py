"""Encode as the tokenizer does, with the same ids, many times as fast: its merges, compiled.

The library (`tokenizers`) keeps what a builder has no use for; most of its time goes there. What
makes the ids equal:

- The merges are the same (`merge_kernel.py`), and each makes a token of bytes or of tokens that
  earlier merges made. So no merge opens the way to an earlier one, and one merge can be done at
  all its places before the next.
- Words are cut by the tokenizer's own pattern, and only ASCII text comes here, for which no table
  of Unicode, whose versions differ, has a say. A stretch of text with other characters is cut out
  where a word ends whatever follows, and goes to the library.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from tokenizers import Tokenizer

from graph_builder.byte_level import ROBERTA_WORDS, WORDS, token_as_bytes
from graph_builder.merge_kernel import (
    DIGIT,
    LETTER,
    OTHER,
    WHITE,
    Memory,
    Merges,
    empty_memory,
    encode_ascii,
    pair_tables,
)
from graph_builder.record import Int32

_NOT_ASCII: Final = re.compile(r"[^\0-\x7f]+")
# Settings of the library's BPE that make it something else.
_OTHER_KINDS: Final = (
    "dropout",
    "unk_token",
    "continuing_subword_prefix",
    "end_of_word_suffix",
    "fuse_unk",
    "byte_fallback",
    "ignore_merges",
)


@dataclass(frozen=True)
class FastEncoder:
    """A tokenizer, and its merges for compiled code."""

    tokenizer: Tokenizer
    merges: Merges
    memory: Memory

    def encode(self, text: str) -> Int32:
        """Return the ids of `text`, special tokens in it as ordinary text."""
        if text.isascii():
            return self._encode_ascii(text)
        parts = [self._encode(part, is_plain) for is_plain, part in _stretches(text)]
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def _encode(self, text: str, is_plain: bool) -> Int32:
        if is_plain:
            return self._encode_ascii(text)
        return np.array(self.tokenizer.encode(text, add_special_tokens=False).ids, dtype=np.int32)

    def _encode_ascii(self, text: str) -> Int32:
        data = np.frombuffer(text.encode("ascii"), dtype=np.uint8)
        ids: Int32 = encode_ascii(data, self.merges, self.memory)
        return ids


@lru_cache(maxsize=4)
def fast_encoder(tokenizer: Tokenizer) -> FastEncoder | None:
    """Return the fast encoder of a tokenizer; None: the tokenizer is of another kind."""
    state = json.loads(tokenizer.to_str())
    model, pattern = state["model"], _word_pattern(state["pre_tokenizer"] or {})
    is_other = model["type"] != "BPE" or any(model[name] for name in _OTHER_KINDS)
    if pattern is None or is_other or state["normalizer"]:
        return None
    vocabulary: dict[str, int] = model["vocab"]
    byte_ids = np.full(256, -1, dtype=np.int32)
    for token, token_id in vocabulary.items():
        if len(token) == 1:
            byte_ids[token_as_bytes(token)[0]] = token_id
    if any(byte_ids[:128] < 0) or not _is_in_order(model["merges"]):
        return None
    triples = [(left, right, left + right) for left, right in model["merges"]]
    numbers = np.array([[vocabulary[token] for token in each] for each in triples], np.int32)
    lefts, rights, merged = np.ascontiguousarray(numbers.reshape(-1, 3).T)
    merges = Merges(
        _kinds(pattern),
        pattern == ROBERTA_WORDS,
        byte_ids[:128],
        *pair_tables(lefts, rights, merged),
    )
    return FastEncoder(tokenizer, merges, empty_memory())


def _is_in_order(merges: Sequence[Sequence[str]]) -> bool:
    """Tell whether every token is made by one merge, of bytes and of tokens made before."""
    made: set[str] = set()
    for left, right in merges:
        is_known = all(len(part) == 1 or part in made for part in (left, right))
        if not is_known or left + right in made:
            return False
        made.add(left + right)
    return True


def _kinds(pattern: str) -> np.ndarray:
    """Return the kind of each ASCII character: `WORDS` makes one of letters, digits and `_`."""
    kinds = np.full(128, OTHER, dtype=np.uint8)
    for code in range(128):
        character = chr(code)
        if character in " \t\n\v\f\r":
            kinds[code] = WHITE
        elif character.isalpha() or (
            pattern == WORDS and (character.isdigit() or code == ord("_"))
        ):
            kinds[code] = LETTER
        elif character.isdigit():
            kinds[code] = DIGIT
    return kinds


def _word_pattern(pre_tokenizer: dict[str, Any]) -> str | None:
    """Return the pattern of a tokenizer's words, if it cuts text by one and does no more."""
    match pre_tokenizer:
        case {"type": "ByteLevel", "use_regex": True, "add_prefix_space": False}:
            return ROBERTA_WORDS
        case {"type": "Sequence", "pretokenizers": [split, last]}:
            ours = {"pattern": {"Regex": WORDS}, "behavior": "Isolated", "invert": False}
            to_bytes = {"type": "ByteLevel", "use_regex": False, "add_prefix_space": False}
            is_ours = ours.items() <= split.items() and to_bytes.items() <= last.items()
            return WORDS if is_ours else None
    return None


def _stretches(text: str) -> Iterator[tuple[bool, str]]:
    """Cut a text where words end; yield whether a stretch is ASCII, and the stretch."""
    done = 0
    while odd := _NOT_ASCII.search(text, done):
        start, end = _cut_before(text, odd.start(), done), _cut_after(text, odd.end())
        if start > done:
            yield True, text[done:start]
        yield False, text[start:end]
        done = end
    if done < len(text):
        yield True, text[done:]


def _cut_before(text: str, at: int, first: int) -> int:
    """Return the last end of a line up to `at` at which a word ends, or `first`."""
    while (at := text.rfind("\n", first, at)) > first:
        if "!" <= text[at - 1] <= "~":
            return at
    return first


def _cut_after(text: str, at: int) -> int:
    """Return the first end of a line from `at` on at which a word ends, or the text's."""
    while (at := text.find("\n", at)) >= 0:
        if "!" <= text[at - 1] <= "~":
            return at
        at += 1
    return len(text)
