"""Mentions, the slow and obvious way: where a window names something, as runs of its roots.

A mention is the text of the name between identifier boundaries; for a dotted name also its last
part alone. The synthetic name that a window opens with is a mention too.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from slow_names import FileWords

from graph_builder.entities import NO_SPAN
from graph_builder.tokenizer import EncodedFile
from graph_builder.windows import Window


@dataclass(frozen=True, slots=True)
class Mention:
    """Consecutive roots of a window that spell a name."""

    first_root: int
    num_roots: int
    last_word: str | None = field(compare=False)  # None for a triple's own span

    @property
    def roots(self) -> range:
        return range(self.first_root, self.first_root + self.num_roots)


class FileText:
    """A file's tokens and words, as the mentions of its windows are found in them."""

    def __init__(self, data: bytes, encoded: EncodedFile, words: FileWords) -> None:
        self.data, self.words = data, words
        # Plain lists: one `bisect` in them costs less than a call of numpy.
        self.token_starts: list[int] = encoded.starts.tolist()
        self.token_ends: list[int] = encoded.ends.tolist()

    def tokens(self, start: int, end: int) -> tuple[int, int]:
        """Return the tokens that overlap the bytes `start` .. `end` - 1: first, and one past."""
        return bisect_right(self.token_ends, start), bisect_left(self.token_starts, end)


class WindowMentions:
    """The mentions of one window, looked up by span or by name."""

    def __init__(self, text: FileText, window: Window, synthetic: str) -> None:
        self._text, self._window, self._synthetic = text, window, synthetic
        self._in_window = text.words.in_window(window)
        self._by_name: dict[str, list[Mention]] = {}

    def of(self, name: str, start: int, end: int) -> Iterator[Mention]:
        """Yield the mentions of `name`, the one at its own byte span (if any) first.

        Most often the first one is all that is asked for.
        """
        exact = None if start == NO_SPAN else self._of_tokens(*self._text.tokens(start, end), None)
        if exact:
            yield exact
        yield from self.of_name(name)

    def of_name(self, name: str) -> list[Mention]:
        """Return the mentions of `name`: the synthetic one, whole ones, those of its last part."""
        if name not in self._by_name:
            self._by_name[name] = self._find(name)
        return self._by_name[name]

    def of_reference(self, start: int, end: int) -> Mention | None:
        """Return the mention that is the last word of the bytes `start` .. `end` - 1.

        Without a span it is the synthetic name.
        """
        if start == NO_SPAN:
            return Mention(1, self._window.num_name_tokens, self._synthetic)
        words = self._text.words
        last = bisect_left(words.starts, end) - 1
        return self._of_words(last, last) if last >= 0 and words.starts[last] >= start else None

    def _find(self, name: str) -> list[Mention]:
        parts = name.split(".")
        found = [self._of_words(at, at + len(parts) - 1) for at in self._positions(parts)]
        if len(parts) > 1:
            found += [self._of_words(at, at) for at in self._positions(parts[-1:])]
        mentions = [mention for mention in found if mention]
        if self._window.num_name_tokens and parts[-1] == self._synthetic:
            mentions.insert(0, Mention(1, self._window.num_name_tokens, self._synthetic))
        return mentions

    def _positions(self, parts: list[str]) -> list[int]:
        """Return the words at which `parts` stand, with a dot and nothing else between them."""
        firsts = self._text.words.of(parts[0], self._in_window)
        if len(parts) == 1:
            return firsts
        return [at for at in firsts if self._is_dotted(at, parts)]

    def _is_dotted(self, first: int, parts: list[str]) -> bool:
        words, data = self._text.words, self._text.data
        last = first + len(parts) - 1
        return words.texts[first : last + 1] == parts and all(
            data[words.ends[at] : words.starts[at + 1]] == b"." for at in range(first, last)
        )

    def _of_words(self, first: int, last: int) -> Mention | None:
        words = self._text.words
        return self._of_tokens(words.first_tokens[first], words.end_tokens[last], words.texts[last])

    def _of_tokens(self, first: int, end: int, last_word: str | None) -> Mention | None:
        """Return the mention of these tokens of the file; None where they are not all here."""
        window = self._window
        if not window.first_token <= first < end <= window.end_token:
            return None
        first_root = 1 + window.num_name_tokens + first - window.first_token
        return Mention(first_root, end - first, last_word)
