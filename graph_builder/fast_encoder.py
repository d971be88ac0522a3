"""Encode as the tokenizer does, with the same ids, several times as fast: its merges in tiktoken.

The library (`tokenizers`) keeps what a builder has no use for; most of its time goes there. What
makes the ids equal:

- tiktoken merges the neighbours whose union is the token of the lowest rank, the library those of
  the earliest merge. A token that its own bytes do not encode to is never made; it is left out
  here. Of the others each is made by one merge, the last one of its own bytes: wherever its two
  parts come to stand side by side, the same merges led there. So ranks in the order of the merges
  decide alike.
- Words are cut by the tokenizer's own pattern, and only ASCII text comes here, for which no table
  of Unicode, whose versions differ, has a say. A stretch of text with other characters is cut out
  where a word ends whatever follows, and goes to the library; so does one with so long a run of
  white space that tiktoken's matcher, which goes back step by step, would overflow its stack.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import tiktoken
from tokenizers import Tokenizer

from graph_builder.byte_level import ROBERTA_WORDS, WORDS, token_as_bytes
from graph_builder.record import Int32

_NOT_ASCII: Final = re.compile(r"[^\0-\x7f]+")
MAX_SPACES: Final = 256  # in a row
_SPACES: Final = bytes.maketrans(b"\t\n\v\f\r", b"     ")
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
    """A tokenizer, and its merges in tiktoken."""

    tokenizer: Tokenizer
    merges: tiktoken.Encoding
    ids: Int32  # token id of each rank

    def encode(self, text: str) -> Int32:
        """Return the ids of `text`, special tokens in it as ordinary text."""
        parts = [self._encode(part, is_plain) for is_plain, part in _stretches(text)]
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def _encode(self, text: str, is_plain: bool) -> Int32:
        if is_plain:
            return self.ids[self.merges.encode_ordinary(text)]
        return np.array(self.tokenizer.encode(text, add_special_tokens=False).ids, dtype=np.int32)


@lru_cache(maxsize=4)
def fast_encoder(tokenizer: Tokenizer) -> FastEncoder | None:
    """Return the fast encoder of a tokenizer; None: the tokenizer is of another kind."""
    state = json.loads(tokenizer.to_str())
    model, pattern = state["model"], _word_pattern(state["pre_tokenizer"] or {})
    is_other = model["type"] != "BPE" or any(model[name] for name in _OTHER_KINDS)
    if pattern is None or is_other or state["normalizer"]:
        return None
    made = {"".join(merge): 256 + rank for rank, merge in enumerate(model["merges"])}
    if len(made) < len(model["merges"]):  # a token of two merges has two ranks
        return None
    ranks: dict[bytes, int] = {}
    ids = np.full(256 + len(made), -1, dtype=np.int32)
    for token, token_id in model["vocab"].items():
        if len(tokenizer.model.tokenize(token)) == 1:
            data = token_as_bytes(token)
            rank = ranks[data] = data[0] if len(data) == 1 else made[token]
            ids[rank] = token_id
    if any(ids[:128] < 0):
        return None
    merges = tiktoken.Encoding("merges", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    return FastEncoder(tokenizer, merges, ids)


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
    """Cut a text where words end; yield whether tiktoken encodes a stretch, and the stretch."""
    if b" " * MAX_SPACES in text.encode().translate(_SPACES):
        yield False, text
        return
    done = 0
    while odd := _NOT_ASCII.search(text, done):
        start, end = _cut_before(text, odd.start(), done), _cut_after(text, odd.end())
        if start > done:
            yield True, text[done:start]
        yield False, text[start:end]
        done = end
    if done < len(text) or not text:
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
