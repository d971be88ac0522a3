"""The windows of one batch between linking and their place in the data set: an Arrow file."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.feather

from graph_builder.whole_file import whole_file


def save_windows(path: Path, table: pa.Table) -> None:
    """Write rows to `path`, whole or not at all.

    Not compressed, which takes longer than all else here and saves half of 8 MB for each MB of
    source, for as long as the build is at work.
    """
    with whole_file(path) as temporary:
        pa.feather.write_feather(table, str(temporary), compression="uncompressed")


def load_windows(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the rows in `path`, in one chunk."""
    chosen = None if columns is None else list(columns)
    return pa.feather.read_table(str(path), columns=chosen).combine_chunks()
