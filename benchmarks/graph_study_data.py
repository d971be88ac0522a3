"""Write a data set small enough to carry to a machine with GPUs, and read it there.

    graph-builder build --output data/study --vocab_size 24576 --train ... --validation ... --test
    python benchmarks/graph_study_data.py --data_path data/study --output_dir data/carried

(the sources that the study took stand in docs/graph-study.md). `--share` keeps a part of the train
split's files, whole ones, so that functions stay whole. What a study does not read is left out:
names of triples, places in the file; of a token's bytes only whether it has any.
"""

import argparse
import hashlib
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tokenizers import Tokenizer

from graph_builder.dataset import Dataset, open_dataset
from graph_builder.manifest import SPLITS
from graph_builder.record import SCHEMA
from graphmert.data.dataset import load_tokenizer
from graphmert.data.windows import WindowTable
from graphmert.evaluation.window_text import spelled_bytes
from graphmert.study.data import StudyData

DROPPED = ("root_starts", "root_ends", "triple_heads", "triple_tails")
HAS_BYTES = "root_has_bytes"  # in their place
TOKENIZER, DIGEST = "tokenizer", "digest.txt"
# One page for a column: zstd then finds what repeats from file to file.
PAGE_BYTES, ROWS_PER_GROUP = 1 << 28, 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data_path", type=Path, required=True, help="data-set folder")
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--share", type=float, default=1.0, help="of train files (%(default)s)")
    parser.add_argument("--level", type=int, default=19, help="of zstd (%(default)s)")
    options = parser.parse_args()
    dataset = open_dataset(options.data_path)
    options.output_dir.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        rows = compact(dataset, split, options.share if split == "train" else 1.0)
        path = options.output_dir / f"{split}.parquet"
        pq.write_table(
            rows,
            path,
            compression="zstd",
            compression_level=options.level,
            use_dictionary=["source", "revision", "path", "kind"],
            data_page_size=PAGE_BYTES,
            row_group_size=ROWS_PER_GROUP,
        )
        num_sources = len(pc.unique(rows["source"]))
        size = path.stat().st_size / 2**20
        print(f"{path}: {rows.num_rows:,} windows of {num_sources} sources, {size:.1f} MiB")
    shutil.copytree(dataset.tokenizer_path, options.output_dir / TOKENIZER, dirs_exist_ok=True)
    identity = dataset.digest if options.share == 1.0 else f"{dataset.digest} * {options.share:g}"
    (options.output_dir / DIGEST).write_text(f"{identity}\n", encoding="utf-8")


def compact(dataset: Dataset, split: str, share: float) -> pa.Table:
    """Return the rows of a split, of a share of its files, with what a study reads of them."""
    kept = [name for name in SCHEMA.names if name not in DROPPED]
    rows = pa.concat_tables(dataset.tables(split, [*kept, "root_starts"])).unify_dictionaries()
    files = zip(rows["source"].to_pylist(), rows["path"].to_pylist(), strict=True)
    rows = rows.filter(pa.array([_fraction(*file) < share for file in files])).combine_chunks()
    starts = rows["root_starts"].combine_chunks()
    has_bytes = pa.array(starts.flatten().to_numpy() >= 0)
    flags = pa.ListArray.from_arrays(_offsets(starts), has_bytes)
    return rows.select(kept).append_column(HAS_BYTES, flags)


def read(folder: Path) -> StudyData:
    """Return what `main` wrote to `folder`."""
    tokenizer = load_tokenizer(folder / TOKENIZER)
    train, validation, test = (read_split(folder, split, tokenizer) for split in SPLITS)
    digest = (folder / DIGEST).read_text(encoding="utf-8").strip()
    return StudyData(train, {"validation": validation, "test": test}, tokenizer, digest)


def read_split(folder: Path, split: str, tokenizer: Tokenizer) -> WindowTable:
    """Return one split; a token has as many bytes as it spells."""
    rows = pq.read_table(folder / f"{split}.parquet")
    ids, flags = rows["root_ids"].combine_chunks(), rows[HAS_BYTES].combine_chunks()
    lengths = np.array([max(1, len(spelled)) for spelled in spelled_bytes(tokenizer)])
    has_bytes = flags.flatten().to_numpy(zero_copy_only=False)
    columns = {
        "root_starts": np.where(has_bytes, 0, -1),
        "root_ends": np.where(has_bytes, lengths[ids.flatten().to_numpy()], -1),
    }
    for name, values in columns.items():
        lists = pa.ListArray.from_arrays(_offsets(ids), pa.array(values.astype(np.int32)))
        rows = rows.append_column(name, lists)
    return WindowTable.from_arrow(rows)


def _offsets(lists: pa.ListArray) -> pa.Array:
    """Return the offsets of a list column whose values `flatten` gives."""
    lengths = lists.value_lengths().to_numpy(zero_copy_only=False)
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))


def _fraction(source: str, path: str) -> float:
    """Return a number from 0 to below 1 that only the file's name decides on."""
    digest = hashlib.sha256(f"{source}\n{path}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


if __name__ == "__main__":
    main()
