"""What linking gets: the tables of some files of a source, one after the other.

What the windows of a file say depends on that file, and through knowledge on the repository; which
other files are linked with it makes no difference.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from tokenizers import Tokenizer

from graph_builder.layout import ChainLayout
from graph_builder.link_tables import ENTITY, FACT, KEY, Array, Tables, columns
from graph_builder.linked_file import LinkedFile, Numbering, linked_file, simple_names
from graph_builder.names import Numbers
from graph_builder.record import Int32
from graph_builder.repository import Repository
from graph_builder.source_text import SourceText
from graph_builder.spelling import spell_names
from graph_builder.text_numbers import TextNumbers
from graph_builder.tokenizer import encode, encode_names


@dataclass(frozen=True)
class LinkInput:
    files: Sequence[LinkedFile]
    window_ids: Sequence[int]  # of the windows of all files
    names: list[str]
    num_texts: int
    tables: Tables


def link_input(
    source: str,
    files: Mapping[str, SourceText],
    repository: Repository,
    tokenizer: Tokenizer,
    layout: ChainLayout,
) -> LinkInput:
    """Return the tables of `files` (by path), in the order of their paths."""
    numbering = Numbering(TextNumbers(), Numbers(), Numbers())
    lengths = _name_lengths(tokenizer, repository, files)
    linked = []
    for path in sorted(files):
        encoded = encode(tokenizer, files[path])
        num_tokens = layout.num_roots - 2  # <s> and </s> are the others
        linked.append(
            linked_file(path, files[path], encoded, repository, lengths, num_tokens, numbering)
        )
    entities = sorted(numbering.entities)
    ranks = np.zeros(len(entities), dtype=np.int32)
    ranks[[numbering.entities[entity] for entity in entities]] = np.arange(len(entities))
    entity_table, facts, fact_places = _fact_tables(entities, linked, repository, numbering.names)
    window_ids = [
        window_id(source, file.path, index) for file in linked for index in range(len(file.owners))
    ]
    names = list(numbering.names)
    tables = Tables(
        tokens=_stack_tokens(linked),
        words=_stack_words(linked),
        **spell_names(tokenizer, names, numbering.texts, layout.leaves_per_root),
        triples=np.concatenate([file.triples for file in linked]),
        triple_spans=np.concatenate([file.triple_spans for file in linked]),
        triple_sites=np.concatenate([file.triple_sites for file in linked]),
        references=_stack_references(linked, ranks),
        entities=entity_table,
        facts=facts,
        fact_places=fact_places,
        windows=_stack_windows(linked, window_ids, ranks),
    )
    return LinkInput(linked, window_ids, names, len(numbering.texts), tables)


def window_id(source: str, path: str, window_index: int) -> int:
    """Return the signed 64-bit hash that names a window and seeds its masks."""
    name = f"{source}\0{path}\0{window_index}".encode()
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "big", signed=True)


def _name_lengths(
    tokenizer: Tokenizer, repository: Repository, paths: Iterable[str]
) -> dict[str, int]:
    """Return the number of tokens of each name that a window may open with."""
    facts = (repository.file(path) for path in paths)
    names = list({name for file in facts for name in simple_names(file.definitions, file.module)})
    _, bounds = encode_names(tokenizer, names)
    return dict(zip(names, np.diff(bounds).tolist(), strict=True))


def _fact_tables(
    entities: Sequence[str], files: Sequence[LinkedFile], repository: Repository, names: Numbers
) -> tuple[Array, Array, Array]:
    """Return the entities, the facts about them, and where each fact is stated."""
    at = {file.path: number for number, file in enumerate(files)}
    found = [repository.facts(entity) for entity in entities]
    facts = [fact for each in found for fact in each]
    bounds = np.cumsum([0, *map(len, found)])
    entity_table = columns(
        ENTITY,
        first_fact=bounds[:-1],
        end_fact=bounds[1:],
        hash=[zlib.crc32(entity.encode()) for entity in entities],
    )
    heads, relations, tails, paths, sites, starts, ends, _, are_reversed = (
        zip(*facts, strict=True) if facts else [()] * 9
    )
    keys = columns(
        KEY,
        head=[names[head] for head in heads],
        relation=relations,
        tail=[names[tail] for tail in tails],
    )
    places = columns(
        FACT,
        file=[at.get(path, -1) for path in paths],
        site=sites,
        start=starts,
        end=ends,
        is_reversed=are_reversed,
        entity=np.repeat(np.arange(len(entities)), np.diff(bounds)),
    )
    return entity_table, keys, places


def _stack_tokens(files: Sequence[LinkedFile]) -> Array:
    return _stack(
        [file.tokens for file in files], [file.words for file in files], "first_word", "end_word"
    )


def _stack_words(files: Sequence[LinkedFile]) -> Array:
    return _stack(
        [file.words for file in files], [file.tokens for file in files], "first_token", "end_token"
    )


def _stack_references(files: Sequence[LinkedFile], ranks: Int32) -> Array:
    """Return the references of all files; `ranks` has the place of each entity in the table."""
    stacked = np.concatenate([file.references for file in files])
    stacked["entity"] = ranks[stacked["entity"]]
    return stacked


def _stack_windows(files: Sequence[LinkedFile], window_ids: Sequence[int], ranks: Int32) -> Array:
    windows = [file.windows for file in files]
    numbers = np.repeat(np.arange(len(files)), [len(each) for each in windows])
    stacked = _stack(windows, [file.tokens for file in files], "first_token", "end_token")
    for tables, first, end in (
        ([file.words for file in files], "first_word", "end_word"),
        ([file.triples for file in files], "first_triple", "end_triple"),
        ([file.triples for file in files], "first_owned", "end_owned"),
        ([file.references for file in files], "first_reference", "end_reference"),
    ):
        shifts = _bounds(tables)[numbers]
        stacked[first] += shifts
        stacked[end] += shifts
    for tables, first, end in (
        ([file.tokens for file in files], "file_token", "file_end_token"),
        ([file.words for file in files], "file_word", "file_end_word"),
    ):
        bounds = _bounds(tables)
        stacked[first], stacked[end] = bounds[numbers], bounds[numbers + 1]
    is_named = stacked["name_entity"] >= 0
    stacked["name_entity"][is_named] = ranks[stacked["name_entity"][is_named]]
    stacked["file"] = numbers
    stacked["salt"] = [zlib.crc32(b"%d\0" % each) for each in window_ids]
    return stacked


def _stack(tables: Sequence[Array], others: Sequence[Array], first: str, end: str) -> Array:
    """Put tables one after the other, their fields `first` and `end` counting in all `others`."""
    stacked = np.concatenate(tables)
    shifts = np.repeat(_bounds(others)[:-1], [len(table) for table in tables])
    stacked[first] += shifts
    stacked[end] += shifts
    return stacked


def _bounds(tables: Sequence[Array]) -> Int32:
    return np.cumsum([0, *(len(table) for table in tables)], dtype=np.int32)
