"""Windows: a file's tokens cut where its functions, classes and module-level code begin and end.

Each function or method is a segment with everything inside it; what a class holds besides its
methods and nested classes, and what a module holds besides its functions and classes, are segments
too, each a stretch of consecutive bytes. White space alone between two segments goes with the one
before it. A segment longer than a window continues in further windows, cut at line ends where one
is near, and every token of the file is in exactly one window.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from graph_builder.entities import Definition
from graph_builder.tokenizer import EncodedFile

MODULE: Final = -1  # the owner of module-level code; as an index, the last of a list
MAX_LINE_SLACK: Final = 4  # up to a 4th of a window is left empty to end it with a line
MAX_NAME_SHARE: Final = 4  # a synthetic name takes up to a 4th of a window


@dataclass(frozen=True, slots=True)
class Window:
    """The tokens `first_token` .. `end_token` - 1 of a file."""

    owner: int  # index of the definition that the window follows, or MODULE
    first_token: int
    end_token: int
    num_name_tokens: int  # tokens of the owner's simple name that it opens with; 0: none


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive bytes, or tokens, of one owner."""

    owner: int
    start: int
    end: int


def file_windows(
    data: bytes,
    encoded: EncodedFile,
    definitions: Sequence[Definition],
    name_lengths: Sequence[int],
    num_tokens: int,
) -> list[Window]:
    """Cut a file into windows of at most `num_tokens` tokens, in the order of the file.

    `name_lengths` has the number of tokens of each definition's simple name, and the module's
    last. All windows but the first ones of functions open with (the start of) that name.
    """
    line_ends = _tokens_that_end_lines(data, encoded)
    segments = _token_segments(data, encoded, definitions)
    windows = []
    for segment, code_end in zip(segments, _code_ends(data, encoded, segments), strict=True):
        name_length = min(name_lengths[segment.owner], num_tokens // MAX_NAME_SHARE)
        is_function = segment.owner != MODULE and definitions[segment.owner].kind == "function"
        first = segment.start
        while first < segment.end:
            has_name = first > segment.start or not is_function
            opening = name_length if has_name else 0
            end = _cut(first, segment.end, code_end, num_tokens - opening, line_ends)
            windows.append(Window(segment.owner, first, end, opening))
            first = end
    return windows


def owned_segments(definitions: Sequence[Definition], end: int) -> Iterator[Segment]:
    """Yield the byte segments of a file of `end` bytes, in order; some may be empty."""
    open_owners = [Segment(MODULE, 0, end)]
    cursor = 0
    for index in _owners(definitions):
        definition = definitions[index]
        while open_owners[-1].end <= definition.start:
            inner = open_owners.pop()
            yield Segment(inner.owner, cursor, inner.end)
            cursor = inner.end
        yield Segment(open_owners[-1].owner, cursor, definition.start)
        cursor = definition.start
        open_owners.append(Segment(index, definition.start, definition.end))
    while open_owners:
        inner = open_owners.pop()
        yield Segment(inner.owner, cursor, inner.end)
        cursor = inner.end


def _owners(definitions: Sequence[Definition]) -> list[int]:
    """Return the definitions with windows of their own: those that no function encloses."""
    owners: list[int] = []
    enclosing = {MODULE}
    for index, definition in enumerate(definitions):
        if definition.parent in enclosing:
            owners.append(index)
            if definition.kind == "class":
                enclosing.add(index)
    return owners


def _token_segments(
    data: bytes, encoded: EncodedFile, definitions: Sequence[Definition]
) -> list[Segment]:
    """Return the segments counted in tokens, none empty, white space joined to the one before.

    A token goes where its last byte is: a space before a `def` goes with it.
    """
    segments = list(owned_segments(definitions, len(data)))
    ends = np.searchsorted(encoded.ends, [segment.end for segment in segments], side="right")
    joined: list[Segment] = []
    first = 0
    for segment, end in zip(segments, ends.tolist(), strict=True):
        if end <= first:
            continue
        if joined and data[encoded.starts[first] : encoded.ends[end - 1]].isspace():
            joined[-1] = Segment(joined[-1].owner, joined[-1].start, end)
        else:
            joined.append(Segment(segment.owner, first, end))
        first = end
    return _join_leading_space(data, encoded, joined)


def _join_leading_space(
    data: bytes, encoded: EncodedFile, segments: list[Segment]
) -> list[Segment]:
    """Join a first segment of white space alone to the second."""
    if len(segments) < 2 or not data[: encoded.ends[segments[0].end - 1]].isspace():
        return segments
    second = segments[1]
    return [Segment(second.owner, 0, second.end), *segments[2:]]


def _tokens_that_end_lines(data: bytes, encoded: EncodedFile) -> list[int]:
    """Return, sorted, one past the index of each token with a line feed in it."""
    line_feeds = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n"))
    tokens: list[int] = (np.searchsorted(encoded.ends, line_feeds, side="right") + 1).tolist()
    return tokens


def _code_ends(data: bytes, encoded: EncodedFile, segments: Sequence[Segment]) -> list[int]:
    """Return, of each segment, one past its last token that is not all white space."""
    starts = encoded.starts[[segment.start for segment in segments]].tolist()
    ends = encoded.ends[[segment.end - 1 for segment in segments]].tolist()
    code = [start + len(data[start:end].rstrip()) for start, end in zip(starts, ends, strict=True)]
    tokens: list[int] = (np.searchsorted(encoded.ends, code, side="left") + 1).tolist()
    return tokens


def _cut(first: int, end: int, code_end: int, num_tokens: int, line_ends: list[int]) -> int:
    """Return where the window from `first` ends: at a line end, if one is near the limit."""
    limit = first + num_tokens
    if limit >= end:
        return end
    if first + 1 < code_end <= limit:  # leave some code for the window that the rest overflows to
        limit = code_end - 1
    last_line = bisect_right(line_ends, limit) - 1
    if last_line >= 0 and line_ends[last_line] > max(first, limit - num_tokens // MAX_LINE_SLACK):
        return line_ends[last_line]
    return limit
