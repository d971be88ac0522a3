"""Spellings, the slow and obvious way: names as tokens, each with the words it is a part of."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate, pairwise

from tokenizers import Tokenizer

from graph_builder.names import word_spans
from graph_builder.tokenizer import token_bytes


@dataclass(frozen=True, slots=True)
class Spelling:
    """One name, encoded as it would be in the midst of a line, after a space."""

    ids: tuple[int, ...]
    words: tuple[tuple[str, ...], ...]  # of each token: the identifier words that it overlaps


class Spellings:
    """Remember the spelling of every name met: a source has far fewer names than leaves."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._token_bytes: list[int] = token_bytes(tokenizer).tolist()
        self._known: dict[str, Spelling] = {}

    def learn(self, names: Iterable[str]) -> None:
        """Encode in one go those of `names` that are not known yet."""
        new = [name for name in dict.fromkeys(names) if name not in self._known]
        for name, ids in zip(new, self._encode(new), strict=True):
            self._known[name] = Spelling(tuple(ids), self._words(name, ids))

    def _encode(self, names: list[str]) -> list[list[int]]:
        texts = [f" {name}" for name in names]
        encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def of(self, name: str) -> Spelling:
        """Return the spelling of `name`."""
        if name not in self._known:
            self.learn([name])
        return self._known[name]

    def fitting(self, name: str, max_tokens: int) -> Spelling:
        """Return the spelling of `name`, or of as many of its last parts as fit.

        Where not even the last part fits, the start of it.
        """
        while len(self.of(name).ids) > max_tokens:
            _, dot, rest = name.partition(".")
            if not (dot and rest):
                whole = self.of(name)
                return Spelling(whole.ids[:max_tokens], whole.words[:max_tokens])
            name = rest
        return self.of(name)

    def _words(self, name: str, ids: list[int]) -> tuple[tuple[str, ...], ...]:
        if name.isidentifier():
            return ((name,),) * len(ids)
        text = f" {name}"
        bounds = list(accumulate((self._token_bytes[token_id] for token_id in ids), initial=0))
        spans = [
            (text.encode()[start:end].decode(), start, end)
            for start, end in zip(*word_spans(text), strict=True)
        ]
        return tuple(
            tuple(word for word, first, last in spans if first < end and last > start)
            for start, end in pairwise(bounds)
        )
