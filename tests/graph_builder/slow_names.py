"""Names, the slow and obvious way: identifier words, their tokens, and their ids in a window.

A word is a maximal run of identifier characters, wherever it stands: code, strings and comments
alike. Masking hides leaves by these ids, so words that share a token share an id: hiding may be
too strong, never too weak.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from graph_builder.names import word_spans
from graph_builder.record import Int16
from graph_builder.source_text import SourceText
from graph_builder.tokenizer import EncodedFile
from graph_builder.windows import Window

NO_NAME = -1


@dataclass(frozen=True)
class FileWords:
    """The words of a file in order, W of them, with the tokens that each one touches."""

    texts: Sequence[str]
    starts: Sequence[int]  # (W,) byte spans in the file
    ends: Sequence[int]
    first_tokens: Sequence[int]  # (W,) the tokens that overlap the word: first, and one past
    end_tokens: Sequence[int]
    positions: Mapping[str, list[int]]  # indexes of each word, in order
    token_texts: Sequence[str | None]  # (N,) the word that a token is part of; None: of none
    joining_tokens: Sequence[int]  # the tokens that are part of several words; the first is above
    joined_texts: Sequence[Sequence[str]]  # those words

    def in_window(self, window: Window) -> range:
        """Return the words with a token in the window."""
        first = bisect_left(self.end_tokens, window.first_token + 1)
        return range(first, max(first, bisect_left(self.first_tokens, window.end_token)))

    def of(self, text: str, words: range) -> list[int]:
        """Return the indexes within `words` at which `text` stands."""
        positions = self.positions.get(text, [])
        return positions[bisect_left(positions, words.start) : bisect_left(positions, words.stop)]


def window_names(
    words: FileWords, window: Window, synthetic: str, leaf_words: Sequence[Sequence[str]]
) -> tuple[Int16, Int16]:
    """Return the name ids of the roots (<s>, synthetic name and </s> included) and of the leaves.

    `leaf_words` has the words that each leaf's token spells a part of.
    """
    texts = words.token_texts[window.first_token : window.end_token]
    opening = [None] + [synthetic] * window.num_name_tokens
    roots = [*opening, *texts, None]
    joined = _joined(words, window)
    in_window = dict.fromkeys([*roots, *(text for group in joined for text in group)])
    ids = _word_ids(in_window, [*joined, *(group for group in leaf_words if len(group) > 1)])
    leaves = [
        ids.get(spelled[0], NO_NAME)
        if len(spelled) == 1
        else next((ids[word] for word in spelled if word in ids), NO_NAME)
        for spelled in leaf_words
    ]
    root_names = np.array([ids[text] for text in roots], dtype=np.int16)
    return root_names, np.array(leaves, dtype=np.int16)


def _joined(words: FileWords, window: Window) -> Sequence[Sequence[str]]:
    """Return the groups of words that share a token of the window."""
    first = bisect_left(words.joining_tokens, window.first_token)
    return words.joined_texts[first : bisect_left(words.joining_tokens, window.end_token)]


def _word_ids(
    words: Iterable[str | None], groups: Iterable[Sequence[str]]
) -> dict[str | None, int]:
    """Return an id for each of `words`, one for all that a group joins; None has NO_NAME."""
    ids = {text: index for index, text in enumerate(words)}
    for group in groups:
        joined = {ids[text] for text in group if text in ids}
        if len(joined) > 1:
            ids = {text: min(joined) if i in joined else i for text, i in ids.items()}
    ids[None] = NO_NAME
    return ids


def file_words(source: SourceText, encoded: EncodedFile) -> FileWords:
    """Find the words of a file and the tokens that spell them."""
    utf8_starts, utf8_ends = word_spans(source.text)
    spans = zip(utf8_starts.tolist(), utf8_ends.tolist(), strict=True)
    texts = [source.utf8[start:end].decode() for start, end in spans]
    starts, ends = source.file_offsets(utf8_starts), source.file_offsets(utf8_ends)
    positions: defaultdict[str, list[int]] = defaultdict(list)
    for index, text in enumerate(texts):
        positions[text].append(index)
    first_words = np.searchsorted(ends, encoded.starts, side="right")
    end_words = np.searchsorted(starts, encoded.ends, side="left")
    joining = np.flatnonzero(end_words - first_words > 1)
    spans = zip(first_words[joining].tolist(), end_words[joining].tolist(), strict=True)
    return FileWords(
        texts=texts,
        starts=starts.tolist(),
        ends=ends.tolist(),
        first_tokens=np.searchsorted(encoded.ends, starts, side="right").tolist(),
        end_tokens=np.searchsorted(encoded.starts, ends, side="left").tolist(),
        positions=positions,
        token_texts=[
            texts[word] if is_in_word else None
            for word, is_in_word in zip(
                first_words.tolist(), (first_words < end_words).tolist(), strict=True
            )
        ],
        joining_tokens=joining.tolist(),
        joined_texts=[texts[first:end] for first, end in spans],
    )
