"""Chain graphs, the slow and obvious way: window by window, record by record."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from slow_knowledge import Budget, Extent, FactShelf, choose_owned
from slow_linking import LinkedTriple, WindowLinker
from slow_mentions import FileText, WindowMentions
from slow_names import file_words, window_names
from slow_spelling import Spellings
from tokenizers import Tokenizer

from graph_builder.chains import ChainSettings
from graph_builder.entities import NO_SPAN, Definition, Reference, Triple
from graph_builder.link_input import window_id
from graph_builder.linking import LinkCounts
from graph_builder.record import ChainGraph, Int32
from graph_builder.repository import Repository
from graph_builder.source_text import SourceText
from graph_builder.tokenizer import EncodedFile, SpecialIds, encode, special_ids
from graph_builder.windows import MODULE, Window, file_windows


@dataclass(frozen=True)
class _Source:
    """What all files of one source share while their windows are made."""

    name: str
    revision: str
    repository: Repository
    tokenizer: Tokenizer
    settings: ChainSettings
    counts: LinkCounts
    spellings: Spellings
    shelf: FactShelf
    special: SpecialIds


@dataclass(frozen=True, slots=True)
class _Owner:
    """What a window follows."""

    kind: str
    qualified_name: str


@dataclass(frozen=True)
class _File:
    """One file with what its windows are made from, sorted by where it stands in the file."""

    path: str
    module: str
    definitions: tuple[Definition, ...]
    encoded: EncodedFile
    text: FileText
    triples: list[Triple]
    triple_sites: list[int]
    references: list[Reference]
    reference_starts: list[int]
    line_feeds: list[int]


def slow_chain_graphs(
    source: str,
    revision: str,
    files: Mapping[str, SourceText],
    repository: Repository,
    tokenizer: Tokenizer,
    settings: ChainSettings,
    counts: LinkCounts | None = None,
) -> Iterator[ChainGraph]:
    """Yield the chain graphs of a source, file by file in the order of their paths.

    `counts` is told what became of every triple.
    """
    shared = _Source(
        source,
        revision,
        repository,
        tokenizer,
        settings,
        LinkCounts() if counts is None else counts,
        Spellings(tokenizer),
        FactShelf(repository.facts),
        special_ids(tokenizer),
    )
    for path in sorted(files):
        yield from _file_chain_graphs(shared, _read_file(shared, path, files[path]))


def _read_file(shared: _Source, path: str, source: SourceText) -> _File:
    facts, encoded = shared.repository.file(path), encode(shared.tokenizer, source)
    triples, references = shared.repository.triples(path), shared.repository.references(path)
    shared.counts.add_file(triples)
    line_feeds = np.flatnonzero(np.frombuffer(source.data, dtype=np.uint8) == ord("\n"))
    return _File(
        path=path,
        module=facts.module,
        definitions=facts.definitions,
        encoded=encoded,
        text=FileText(source.data, encoded, file_words(source, encoded)),
        triples=triples,
        triple_sites=[triple.site for triple in triples],
        references=references,
        reference_starts=[reference.start for reference in references],
        line_feeds=line_feeds.tolist(),
    )


def _file_chain_graphs(shared: _Source, file: _File) -> Iterator[ChainGraph]:
    shared.spellings.learn(name for triple in file.triples for name in (triple.head, triple.tail))
    simple_names = [*(d.name for d in file.definitions), file.module.rpartition(".")[2]]
    windows = file_windows(
        file.text.data,
        file.encoded,
        file.definitions,
        [len(shared.spellings.of(name).ids) for name in simple_names],
        shared.settings.layout.num_roots - 2,
    )
    for index, window in enumerate(windows):
        yield _chain_graph(shared, file, window, index, simple_names[window.owner])


def _chain_graph(
    shared: _Source, file: _File, window: Window, index: int, simple_name: str
) -> ChainGraph:
    own_id = window_id(shared.name, file.path, index)
    linked = _link(shared, file, window, simple_name, own_id)
    leaf_words = [words for triple in linked for words in triple.spelling.words]
    root_names, leaf_names = window_names(file.text.words, window, simple_name, leaf_words)
    opening = shared.spellings.of(simple_name).ids[: window.num_name_tokens]
    tokens = slice(window.first_token, window.end_token)
    no_span = [NO_SPAN] * (1 + len(opening))
    start_line, end_line = _lines(file, window)
    return ChainGraph(
        window_id=own_id,
        source=shared.name,
        revision=shared.revision,
        path=file.path,
        qualified_name=_owner(file, window).qualified_name,
        kind=_owner(file, window).kind,
        window_index=index,
        start_line=start_line,
        end_line=end_line,
        root_ids=_int32(
            [shared.special.start, *opening], file.encoded.ids[tokens], [shared.special.end]
        ),
        root_starts=_int32(no_span, file.encoded.starts[tokens], [NO_SPAN]),
        root_ends=_int32(no_span, file.encoded.ends[tokens], [NO_SPAN]),
        root_names=root_names,
        leaf_names=leaf_names,
        **_triple_fields(linked),
    )


def _link(
    shared: _Source, file: _File, window: Window, simple_name: str, salt: int
) -> list[LinkedTriple]:
    """Place the triples and facts of one window."""
    settings, spellings = shared.settings, shared.spellings
    start, end = _extent(file, window)
    mentions = WindowMentions(file.text, window, simple_name)
    linker = WindowLinker(settings.layout, mentions, spellings, shared.counts)
    if settings.leaves != "local":
        budget = Budget(settings.max_knowledge_leaves, linker.num_leaves, linker.num_slots)
        extent, owned = Extent(file.path, start, end), list[Triple]()
        if _owner(file, window).kind == "function":
            function = file.definitions[window.owner]
            first = bisect_left(file.triple_sites, min(start, function.start))
            last = bisect_left(file.triple_sites, max(end, function.end))
            owned = choose_owned(file.triples[first:last], extent, budget, linker.room_of)
        first, last = (bisect_left(file.reference_starts, byte) for byte in (start, end))
        references = file.references[first:last]
        if window.num_name_tokens:
            name = Reference(NO_SPAN, NO_SPAN, _owner(file, window).qualified_name)
            references = [name, *references]
        facts = shared.shelf.choose(references, extent, budget, owned)
        linker.add_owned(owned)
        linker.add_knowledge(facts)
    if settings.leaves != "knowledge":
        first, last = (bisect_left(file.triple_sites, byte) for byte in (start, end))
        linker.add_local(file.triples[first:last])
    return linker.linked(salt)


def _owner(file: _File, window: Window) -> _Owner:
    if window.owner == MODULE:
        return _Owner("module", file.module)
    definition = file.definitions[window.owner]
    return _Owner(definition.kind, definition.qualified_name)


def _extent(file: _File, window: Window) -> tuple[int, int]:
    """Return the byte span of a window's code."""
    first, last = window.first_token, window.end_token - 1
    return file.text.token_starts[first], file.text.token_ends[last]


def _lines(file: _File, window: Window) -> tuple[int, int]:
    """Return the first and the last line (1-based) of a window, white space around it aside."""
    start, end = _extent(file, window)
    code = file.text.data[start:end]
    if not code.isspace():
        end = start + len(code.rstrip())
        start += len(code) - len(code.lstrip())
    return 1 + bisect_left(file.line_feeds, start), 1 + bisect_left(file.line_feeds, end - 1)


def _triple_fields(linked: list[LinkedTriple]) -> dict[str, Any]:
    """Return the fields of the record that speak of leaves and triples, name ids aside."""
    lengths = [len(triple.spelling.ids) for triple in linked]
    roots = np.array([triple.root for triple in linked], dtype=np.int16)
    starts = [triple.mention.first_root for triple in linked]
    return {
        "leaf_ids": np.array([i for t in linked for i in t.spelling.ids], dtype=np.int32),
        "leaf_roots": np.repeat(roots, lengths),
        "leaf_triples": np.repeat(np.arange(len(linked), dtype=np.int16), lengths),
        "triple_relations": np.array([t.relation for t in linked], dtype=np.int8),
        "triple_head_starts": np.array(starts, dtype=np.int16),
        "triple_head_lengths": np.array([t.mention.num_roots for t in linked], dtype=np.int16),
        "triple_is_reversed": np.array([t.is_reversed for t in linked], dtype=np.bool_),
        "triple_is_knowledge": np.array([t.is_knowledge for t in linked], dtype=np.bool_),
        "triple_heads": tuple(triple.head for triple in linked),
        "triple_tails": tuple(triple.tail for triple in linked),
    }


def _int32(*parts: npt.ArrayLike) -> Int32:
    return np.concatenate(parts, dtype=np.int32, casting="unsafe")
