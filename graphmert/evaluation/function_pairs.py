"""Pairs of a docstring's first paragraph and the function without it, from the windows of a split.

The data of code search, as CodeSearchNet (Husain et al. 2019) cleans it: at least 3 words, at least
3 lines of code without the docstring, no `test` in the name, no dunder methods, no pair whose words
or code another has. A function is its first windows with code besides the docstring, whose tokens
are cut: as published encoders read the first 256 tokens of a function.
"""

import inspect
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from graphmert.data.windows import WindowTable
from graphmert.evaluation.measures import window_sources
from graphmert.evaluation.no_questions import NoQuestionsError
from graphmert.evaluation.window_text import (
    LEXEMES,
    WindowText,
    function_windows,
    in_drawn_order,
    spelled_bytes,
    window_text,
)

MIN_WORDS = 3  # of a query
MIN_LINES = 3  # of code
MAX_WINDOWS = 3  # of a function


@dataclass(frozen=True)
class FunctionPair:
    """One function that has a docstring."""

    query: str  # first paragraph of the docstring, on one line
    code: str  # the whole function without it
    windows: tuple[int, ...]  # of the table: the first ones with code
    cuts: tuple[range, ...]  # for each of them the roots that spell the docstring


@dataclass(frozen=True)
class FunctionPairs:
    """P pairs of one table, in the order of their windows."""

    pairs: tuple[FunctionPair, ...]
    sources: npt.NDArray[np.str_]  # (P,)

    def __len__(self) -> int:
        return len(self.pairs)


def make_pairs(
    table: WindowTable, tokenizer: Tokenizer, num_pairs: int = 1000, seed: int = 0
) -> FunctionPairs:
    """Draw `num_pairs` pairs of a split, or all; raise NoQuestionsError where there are not two."""
    table, spelled = table.to("cpu"), spelled_bytes(tokenizer)
    names: list[str] = table.strings["qualified_name"].to_pylist()
    functions = {windows[0]: windows for windows in function_windows(table)}
    found: list[FunctionPair] = []
    seen: set[str] = set()
    for first in in_drawn_order(table, list(functions), seed):
        windows = functions[first]
        pair = _pair(names[first], windows, [window_text(table, at, spelled) for at in windows])
        if pair is None or pair.query in seen or pair.code in seen:
            continue
        seen |= {pair.query, pair.code}
        found.append(pair)
        if len(found) == num_pairs:
            break
    if len(found) < 2:
        raise NoQuestionsError(
            "the split has fewer than two functions with a docstring to search for"
        )
    found.sort(key=lambda pair: pair.windows)
    sources = window_sources(table)[[pair.windows[0] for pair in found]]
    return FunctionPairs(tuple(found), sources)


def docstring_span(code: bytes) -> tuple[int, int] | None:
    """Return the bytes of a function's docstring, quotes included; None where it has none."""
    depth, is_after_def, header_end = 0, False, None
    for match in LEXEMES.finditer(code):
        if header_end is not None:
            if match.lastgroup == "comment":
                continue
            is_first = match.lastgroup == "string" and not _strip(code[header_end : match.start()])
            return match.span() if is_first else None
        mark = match["mark"]
        if mark and mark in b"([{":
            depth += 1
        elif mark and mark in b")]}":
            depth -= 1
        elif match["name"] == b"def" and depth == 0:
            is_after_def = True
        elif mark == b":" and is_after_def and depth == 0:
            header_end = match.end()
    return None


def first_paragraph(docstring: bytes) -> str:
    """Return the words up to the first blank line of a string literal, on one line."""
    text = docstring.decode("utf-8", errors="replace").lstrip("rRbBuUfFtT")
    quotes = 3 if text.startswith(('"""', "'''")) else 1
    cleaned = inspect.cleandoc(text[quotes:-quotes])
    return " ".join(cleaned.strip().split("\n\n")[0].split())


def _strip(between: bytes) -> bytes:
    """Return what stands between a header and its docstring, comments and white space aside."""
    return b"".join(line.partition(b"#")[0].strip() for line in between.split(b"\n"))


def _pair(
    qualified_name: str, windows: tuple[int, ...], texts: list[WindowText]
) -> FunctionPair | None:
    """Return the pair that a function makes; None where it does not pass."""
    name = qualified_name.rpartition(".")[2]
    code = b"".join(text.text for text in texts)
    span = docstring_span(code)
    if span is None or "test" in name.lower() or name.startswith("__"):
        return None
    start, end = span
    query, rest = first_paragraph(code[start:end]), code[:start] + code[end:]
    lines = [line for line in rest.split(b"\n") if line.strip()]
    if len(query.split()) < MIN_WORDS or len(lines) < MIN_LINES:
        return None
    kept: dict[int, range] = {}
    offset = 0
    for window, text in zip(windows, texts, strict=True):
        first, last = max(start - offset, 0), max(end - offset, 0)
        if (text.text[:first] + text.text[last:]).strip():
            kept[window] = text.overlapping(start - offset, end - offset)
        if len(kept) == MAX_WINDOWS:
            break
        offset += len(text.text)
    without = rest.decode("utf-8", errors="replace")
    return FunctionPair(query, without, tuple(kept), tuple(kept.values()))
