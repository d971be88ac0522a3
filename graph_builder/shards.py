"""Shards: the chain graphs of one source as one Parquet file with the columns of `record.SCHEMA`.

The file's own metadata says how it was made (`ShardFormat`); a reader that expects another format
refuses it and says what differs. The same records always give the same bytes.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from graph_builder.errors import UserError
from graph_builder.layout import ChainLayout
from graph_builder.record import FORMAT_VERSION, SCHEMA, ChainGraph
from graph_builder.relations import RELATION_NAMES
from graph_builder.whole_file import whole_file

ROWS_PER_GROUP: Final = 4096  # rows that are in memory at a time while a shard is written
METADATA_KEY: Final = b"graphmert"


def _leaf(field: pa.Field) -> str:
    """Return the name that Parquet has for the values of a column."""
    return f"{field.name}.list.element" if pa.types.is_list(field.type) else field.name


# Columns whose values rise from root to root, and those whose values come again and again: a
# dictionary of the others takes half of the time of a shard and more room than the values.
_RISING: Final = [_leaf(SCHEMA.field(name)) for name in ("root_starts", "root_ends")]
_REPEATING: Final = [
    _leaf(field) for field in SCHEMA if _leaf(field) not in _RISING and field.name != "window_id"
]


@dataclass(frozen=True)
class ShardFormat:
    """What two shards must share to be read together."""

    tokenizer: str  # fingerprint of the tokenizer that the ids belong to
    num_roots: int = ChainLayout().num_roots
    leaves_per_root: int = ChainLayout().leaves_per_root
    format_version: int = FORMAT_VERSION
    relation_names: tuple[str, ...] = RELATION_NAMES

    @property
    def layout(self) -> ChainLayout:
        return ChainLayout(self.num_roots, self.leaves_per_root)

    @classmethod
    def from_json(cls, values: dict) -> "ShardFormat":
        """Rebuild a format from `asdict`; what is not known of it counts as absent."""
        known: dict[str, Any] = {field.name: values.get(field.name) for field in fields(cls)}
        names = known["relation_names"]
        known["relation_names"] = tuple(names) if isinstance(names, list) else ()
        return cls(**known)

    def differences(self, other: "ShardFormat") -> str:
        """Return "field: this against that" for each field that differs; empty: none does."""
        pairs = [
            (field.name, getattr(self, field.name), getattr(other, field.name))
            for field in fields(self)
        ]
        return "; ".join(
            f"{name}: {mine!r} against {its!r}" for name, mine, its in pairs if mine != its
        )


def write_shard(path: Path, records: Iterable[ChainGraph], shard_format: ShardFormat) -> int:
    """Write `records` to `path`, whole or not at all; return their number."""
    rows = iter(records)
    groups = iter(lambda: list(islice(rows, ROWS_PER_GROUP)), [])
    tables = (records_table(group) for group in groups)
    return _write_tables(path, tables, shard_format)


def write_rows(path: Path, table: pa.Table, shard_format: ShardFormat) -> int:
    """Write rows of other shards to `path`: the same bytes as their records would give."""
    starts = range(0, table.num_rows, ROWS_PER_GROUP)
    tables = (_fresh_dictionaries(table.slice(start, ROWS_PER_GROUP)) for start in starts)
    return _write_tables(path, tables, shard_format)


def read_shard(
    path: Path, expected: ShardFormat | None = None, columns: Sequence[str] | None = None
) -> pa.Table:
    """Return the rows of a shard in one chunk; raise UserError where it is not as `expected`.

    Damage is found where it keeps the rows from being read; `Dataset.verify` finds all.
    """
    found = read_format(path)
    if expected is not None and (differences := expected.differences(found)):
        raise UserError(
            f"{path}: a shard of another format ({differences}): build the data set again"
        )
    try:
        table = pq.read_table(path, columns=list(columns) if columns is not None else None)
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: damaged ({reason}): build the data set again") from error
    return table.replace_schema_metadata(None).unify_dictionaries().combine_chunks()


def read_format(path: Path) -> ShardFormat:
    """Return what a shard says of itself; raise UserError where it is none."""
    try:
        metadata = pq.read_schema(path).metadata or {}
        return ShardFormat.from_json(json.loads(metadata[METADATA_KEY]))
    except FileNotFoundError:
        raise UserError(f"{path}: the shard is missing: build the data set again") from None
    except (pa.ArrowException, OSError, KeyError, ValueError):
        raise UserError(f"{path}: not a shard of chain graphs: build the data set again") from None


def records_table(records: Sequence[ChainGraph]) -> pa.Table:
    """Return `records` as one table with the columns of SCHEMA."""
    columns = [_column(field, [getattr(row, field.name) for row in records]) for field in SCHEMA]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def table_records(table: pa.Table) -> Iterator[ChainGraph]:
    """Yield the rows of `table` as records, one after the other."""
    columns = {field.name: _values(table, field) for field in SCHEMA}
    for index in range(table.num_rows):
        yield ChainGraph(**{name: values[index] for name, values in columns.items()})


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_tables(path: Path, tables: Iterable[pa.Table], shard_format: ShardFormat) -> int:
    metadata = {METADATA_KEY: json.dumps(asdict(shard_format), sort_keys=True)}
    num_rows = 0
    with whole_file(path) as temporary:
        schema = SCHEMA.with_metadata(metadata)
        with pq.ParquetWriter(
            temporary,
            schema,
            compression="zstd",
            use_dictionary=_REPEATING,
            column_encoding=dict.fromkeys(_RISING, "DELTA_BINARY_PACKED"),
        ) as writer:
            for table in tables:
                writer.write_table(table.cast(schema), row_group_size=ROWS_PER_GROUP)
                num_rows += table.num_rows
    return num_rows


def _column(field: pa.Field, values: list) -> pa.Array:
    if not pa.types.is_list(field.type) or pa.types.is_string(field.type.value_type):
        return pa.array(values, type=field.type)
    lengths = [len(value) for value in values]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    flat = np.concatenate(values) if values else np.empty(0)
    items = pa.array(flat).cast(field.type.value_type)
    return pa.ListArray.from_arrays(pa.array(offsets), items, type=field.type)


def _values(table: pa.Table, field: pa.Field) -> list:
    """Return the values of a column as the fields of ChainGraph have them."""
    column = table.column(field.name).combine_chunks()
    if not pa.types.is_list(field.type):
        return column.to_pylist()
    if pa.types.is_string(field.type.value_type):
        return [tuple(names) for names in column.to_pylist()]
    flat = column.flatten().to_numpy(zero_copy_only=False)
    offsets = column.offsets.to_numpy() - column.offsets[0].as_py()
    return [flat[start:end] for start, end in pairwise(offsets)]


def _fresh_dictionaries(table: pa.Table) -> pa.Table:
    """Number the dictionary values by their first row, as `records_table` does."""
    columns = [
        column.cast(field.type.value_type).combine_chunks().dictionary_encode()
        if pa.types.is_dictionary(field.type)
        else column.combine_chunks()
        for field, column in zip(SCHEMA, table.columns, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)
