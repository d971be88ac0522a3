"""One file before its windows are linked: tokens, words, windows, triples, references as arrays.

Tokens, words, triples and references count from the start of the file here; `link_input.py` puts
files one after the other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from graph_builder.entities import Definition, FileFacts, Reference, Triple
from graph_builder.link_tables import KEY, REFERENCE, SPANS, TOKEN, WINDOW, WORD, Array, columns
from graph_builder.names import Numbers, overlaps, word_spans
from graph_builder.record import Int32
from graph_builder.repository import Repository
from graph_builder.source_text import SourceText
from graph_builder.text_numbers import TextNumbers
from graph_builder.tokenizer import EncodedFile
from graph_builder.windows import MODULE, Window, file_windows

_DOT = ord(".")
_WHITE_SPACE = np.isin(np.arange(256), list(b" \t\n\v\f\r"))


@dataclass(frozen=True)
class Numbering:
    """The numbers of what several files share while they are linked."""

    texts: TextNumbers
    names: Numbers
    entities: Numbers


@dataclass(frozen=True)
class LinkedFile:
    path: str
    module: str
    definitions: Sequence[Definition]
    tokens: Array
    words: Array
    windows: Array
    owners: list[int]  # of each window: the index of the definition that it follows, or MODULE
    lines: tuple[Int32, Int32]  # of each window: first and last, 1-based, white space aside
    triples: Array
    triple_spans: Array
    triple_sites: Int32
    references: Array
    stated: Sequence[Triple]


def simple_names(definitions: Sequence[Definition], module: str) -> list[str]:
    """Return the simple name of each definition, and that of the module last."""
    return [*(definition.name for definition in definitions), module.rpartition(".")[2]]


def linked_file(
    path: str,
    source: SourceText,
    encoded: EncodedFile,
    repository: Repository,
    name_lengths: Mapping[str, int],
    num_tokens: int,
    numbering: Numbering,
) -> LinkedFile:
    """Return the tables of one file.

    name_lengths: tokens of each simple name; num_tokens: of a window, the name that it opens with
    included.
    """
    facts = repository.file(path)
    names = simple_names(facts.definitions, facts.module)
    lengths = [name_lengths[name] for name in names]
    found = file_windows(source.data, encoded, facts.definitions, lengths, num_tokens)
    owners = [window.owner for window in found]
    entities = [_entity(facts, window) for window in found]
    tokens, words = _text_tables(source, encoded, numbering.texts)
    stated = repository.triples(path)
    triples, spans, sites = _triple_tables(stated, numbering.names)
    references = _reference_table(repository.references(path), numbering.entities)
    first_tokens = np.array([window.first_token for window in found], dtype=np.int32)
    end_tokens = np.array([window.end_token for window in found], dtype=np.int32)
    starts, ends = encoded.starts[first_tokens], encoded.ends[end_tokens - 1]
    owned = [_owned(facts, *extent) for extent in zip(owners, starts, ends, strict=True)]
    windows = columns(
        WINDOW,
        first_token=first_tokens,
        end_token=end_tokens,
        start=starts,
        end=ends,
        num_name_tokens=[window.num_name_tokens for window in found],
        name_text=numbering.texts.of_texts([names[owner] for owner in owners]),
        name=[numbering.names[names[owner]] for owner in owners],
        name_entity=[-1 if each is None else numbering.entities[each] for each in entities],
        first_word=np.searchsorted(words["end_token"], first_tokens, side="right"),
        end_word=np.searchsorted(words["first_token"], end_tokens),
        first_triple=np.searchsorted(sites, starts),
        end_triple=np.searchsorted(sites, ends),
        first_reference=np.searchsorted(references["start"], starts),
        end_reference=np.searchsorted(references["start"], ends),
        first_owned=np.searchsorted(sites, [start for start, _ in owned]),
        end_owned=np.searchsorted(sites, [end for _, end in owned]),
    )
    return LinkedFile(
        path=path,
        module=facts.module,
        definitions=facts.definitions,
        tokens=tokens,
        words=words,
        windows=windows,
        owners=owners,
        lines=_lines(source.data, starts, ends),
        triples=triples,
        triple_spans=spans,
        triple_sites=sites,
        references=references,
        stated=stated,
    )


def _entity(facts: FileFacts, window: Window) -> str | None:
    """Return the qualified name of what a window opens with."""
    if not window.num_name_tokens:
        return None
    if window.owner == MODULE:
        return facts.module
    return facts.definitions[window.owner].qualified_name


def _owned(facts: FileFacts, owner: int, start: int, end: int) -> tuple[int, int]:
    """Return the bytes of the function that owns the window `start` .. `end` - 1, or the window's.

    They hold the window: a token may begin before its function does.
    """
    if owner == MODULE or facts.definitions[owner].kind != "function":
        return start, end
    return min(start, facts.definitions[owner].start), max(end, facts.definitions[owner].end)


def _text_tables(
    source: SourceText, encoded: EncodedFile, texts: TextNumbers
) -> tuple[Array, Array]:
    """Return the tokens and the words of a file."""
    utf8_starts, utf8_ends = word_spans(source.text)
    numbers = texts.of_spans(source.utf8, utf8_starts, utf8_ends)
    starts, ends = source.file_offsets(utf8_starts), source.file_offsets(utf8_ends)
    found = overlaps(starts, ends, encoded.starts, encoded.ends)
    data = np.frombuffer(source.data, dtype=np.uint8)
    is_dotted = np.zeros(len(starts), dtype=np.bool_)
    is_dotted[:-1] = (starts[1:] - ends[:-1] == 1) & (data[ends[:-1]] == _DOT)
    tokens = columns(
        TOKEN,
        id=encoded.ids,
        start=encoded.starts,
        end=encoded.ends,
        first_word=found.first_words,
        end_word=found.end_words,
    )
    words = columns(
        WORD,
        text=numbers,
        start=starts,
        first_token=found.first_tokens,
        end_token=found.end_tokens,
        is_dotted=is_dotted,
    )
    return tokens, words


def _lines(data: bytes, starts: Int32, ends: Int32) -> tuple[Int32, Int32]:
    """Return the first and the last line (1-based) of windows, white space around them aside."""
    characters = np.frombuffer(data, dtype=np.uint8)
    code = np.flatnonzero(~_WHITE_SPACE[characters])
    first, end = np.searchsorted(code, starts), np.searchsorted(code, ends)
    has_code = first < end
    padded = np.append(code, 0)
    starts = np.where(has_code, padded[np.minimum(first, len(code))], starts)
    last_bytes = np.where(has_code, padded[end - 1], ends - 1)
    line_feeds = np.flatnonzero(characters == ord("\n"))
    return (
        (1 + np.searchsorted(line_feeds, starts)).astype(np.int32),
        (1 + np.searchsorted(line_feeds, last_bytes)).astype(np.int32),
    )


def _triple_tables(triples: Sequence[Triple], names: Numbers) -> tuple[Array, Array, Int32]:
    """Return triples as keys and spans, and their sites."""
    rows = np.empty((len(triples), 8), dtype=np.int32)
    heads, relations, tails, *others = zip(*triples, strict=True) if triples else [()] * 9
    rows[:, 0], rows[:, 1], rows[:, 2] = _numbers(heads, names), relations, _numbers(tails, names)
    for column, values in enumerate(others[:5], start=3):
        rows[:, column] = np.fromiter(values, np.int32, len(triples))
    keys, spans = (np.ascontiguousarray(part) for part in (rows[:, :3], rows[:, 3:7]))
    return keys.view(KEY).ravel(), spans.view(SPANS).ravel(), rows[:, 7]


def _numbers(texts: Sequence[str], numbers: Numbers) -> Int32:
    return np.fromiter(map(numbers.__getitem__, texts), np.int32, len(texts))


def _reference_table(references: Sequence[Reference], entities: Numbers) -> Array:
    rows = [(start, end, entities[entity]) for start, end, entity in references]
    return np.array(rows, dtype=np.int32).reshape(-1, 3).view(REFERENCE).ravel()
