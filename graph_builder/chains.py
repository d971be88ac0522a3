"""Chain graphs: one record for each window of a source's files.

`chain_table` is what a build runs for some files of a source; `source_windows` does the same for
one piece of code, for prediction.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from graph_builder.layout import ChainLayout
from graph_builder.link_input import LinkInput, link_input
from graph_builder.link_kernel import Linked, link_windows
from graph_builder.link_tables import Rules
from graph_builder.linking import LinkCounts
from graph_builder.record import SCHEMA, ChainGraph
from graph_builder.record_kernel import Leaves, Roots, record_arrays
from graph_builder.relations import NUM_RELATIONS
from graph_builder.repository import Repository
from graph_builder.shards import table_records
from graph_builder.source_text import Rejected, SourceText, decode_source
from graph_builder.tokenizer import special_ids
from graph_builder.windows import MODULE


@dataclass(frozen=True)
class ChainSettings:
    # Which triples become leaves: the window's own, the repository's.
    leaves: Literal["local", "knowledge", "both"] = "both"
    max_knowledge_leaves: int = 96  # leaf tokens of knowledge in a window, at most
    layout: ChainLayout = field(default_factory=ChainLayout)


def chain_table(
    source: str,
    revision: str,
    files: Mapping[str, SourceText],
    repository: Repository,
    tokenizer: Tokenizer,
    settings: ChainSettings,
    counts: LinkCounts | None = None,
) -> pa.Table:
    """Return the chain graphs of files of a source, file by file in the order of their paths.

    `repository` has all files of the source; `counts` is told what became of every triple.
    """
    if not files:
        return SCHEMA.empty_table()
    found = link_input(source, files, repository, tokenizer, settings.layout)
    rules = _rules(settings, found.num_texts)
    linked = link_windows(found.tables, rules)
    special = special_ids(tokenizer)
    roots, leaves = record_arrays(found.tables, rules, linked, special.start, special.end)
    if counts is not None:
        counts.add(linked)
        for file in found.files:
            counts.add_file(file.stated)
    columns = {
        **_window_columns(source, revision, found),
        **_array_columns(roots, leaves, linked),
        **_name_columns(found.names, linked),
    }
    return pa.Table.from_arrays([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def chain_graphs(
    source: str,
    revision: str,
    files: Mapping[str, SourceText],
    repository: Repository,
    tokenizer: Tokenizer,
    settings: ChainSettings,
    counts: LinkCounts | None = None,
) -> Iterator[ChainGraph]:
    """Yield the rows of `chain_table` as records."""
    table = chain_table(source, revision, files, repository, tokenizer, settings, counts)
    return table_records(table)


def source_windows(code: bytes, tokenizer: Tokenizer, path: str = "<input>") -> list[ChainGraph]:
    """Return the chain graphs of one file that is its own repository; raise Rejected for no text.

    Its knowledge leaves come from its own other windows.
    """
    from graph_builder.parsed_files import parse_files  # noqa: PLC0415 (the parser, for this alone)

    parsed = parse_files({path: decode_source(code)})
    for _, reason, detail in parsed.rejected:
        raise Rejected(reason, detail)
    repository = Repository(parsed.facts)
    return list(chain_graphs(path, "", parsed.texts, repository, tokenizer, ChainSettings()))


def _rules(settings: ChainSettings, num_texts: int) -> Rules:
    return Rules(
        num_roots=settings.layout.num_roots,
        leaves_per_root=settings.layout.leaves_per_root,
        max_knowledge_leaves=settings.max_knowledge_leaves,
        num_relations=NUM_RELATIONS,
        num_texts=num_texts,
        has_local=settings.leaves != "knowledge",
        has_knowledge=settings.leaves != "local",
    )


def _window_columns(source: str, revision: str, found: LinkInput) -> dict[str, pa.Array]:
    """Return the columns that say which window a row is."""
    files, lengths = found.files, [len(file.owners) for file in found.files]
    owners = [
        (file, None if owner == MODULE else file.definitions[owner])
        for file in files
        for owner in file.owners
    ]
    kinds = [owner.kind if owner else "module" for _, owner in owners]
    names = [owner.qualified_name if owner else file.module for file, owner in owners]
    return {
        "window_id": pa.array(found.window_ids, pa.int64()),
        "source": _repeated([source], [sum(lengths)]),
        "revision": _repeated([revision], [sum(lengths)]),
        "path": _repeated([file.path for file in files], lengths),
        "qualified_name": pa.array(names, pa.string()),
        "kind": pa.array(kinds, SCHEMA.field("kind").type),
        "window_index": pa.array([index for n in lengths for index in range(n)], pa.int32()),
        "start_line": pa.array(np.concatenate([file.lines[0] for file in files])),
        "end_line": pa.array(np.concatenate([file.lines[1] for file in files])),
    }


def _repeated(values: list[str], lengths: list[int]) -> pa.DictionaryArray:
    """Return each value as often as its length says; values without a row are not listed."""
    listed = [value for value, length in zip(values, lengths, strict=True) if length]
    indices = np.repeat(np.arange(len(listed), dtype=np.int32), [n for n in lengths if n])
    return pa.DictionaryArray.from_arrays(indices, pa.array(listed, pa.string()))


def _array_columns(roots: Roots, leaves: Leaves, linked: Linked) -> dict[str, pa.Array]:
    places = linked.places
    runs = {
        "root_ids": (roots.bounds, roots.ids),
        "root_starts": (roots.bounds, roots.starts),
        "root_ends": (roots.bounds, roots.ends),
        "root_names": (roots.bounds, roots.names),
        "leaf_ids": (leaves.bounds, leaves.ids),
        "leaf_roots": (leaves.bounds, leaves.roots),
        "leaf_names": (leaves.bounds, leaves.names),
        "leaf_triples": (leaves.bounds, leaves.triples),
        "triple_relations": (linked.bounds, linked.triples["relation"].astype(np.int8)),
        "triple_head_starts": (linked.bounds, places["first_root"].astype(np.int16)),
        "triple_head_lengths": (linked.bounds, places["num_roots"].astype(np.int16)),
        "triple_is_reversed": (linked.bounds, np.ascontiguousarray(places["is_reversed"])),
        "triple_is_knowledge": (linked.bounds, np.ascontiguousarray(places["is_knowledge"])),
    }
    return {name: _list_array(name, bounds, pa.array(v)) for name, (bounds, v) in runs.items()}


def _name_columns(names: list[str], linked: Linked) -> dict[str, pa.Array]:
    texts = pa.array(names, pa.string())
    return {
        column: _list_array(
            column, linked.bounds, texts.take(pa.array(np.ascontiguousarray(linked.triples[end])))
        )
        for column, end in (("triple_heads", "head"), ("triple_tails", "tail"))
    }


def _list_array(name: str, bounds: np.ndarray, values: pa.Array) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(bounds), values, type=SCHEMA.field(name).type)
