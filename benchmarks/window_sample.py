"""Draw the windows of an epoch from a data set, small enough to carry to a machine with a GPU.

    python benchmarks/window_sample.py --data_path DATASET --output_dir data/sample

Writes `train.parquet` (windows drawn at random from the whole train split),
`validation.parquet` (the whole split), rows as in the data set's shards, and its `tokenizer/`.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from graph_builder.dataset import Dataset, open_dataset
from graphmert.data.dataset import load_tokenizer
from graphmert.data.windows import WindowTable

NUM_WINDOWS = 10_485  # an epoch of the goal
SEED = 0
VOCABULARY, TOKENIZER = b"vocabulary", "tokenizer"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data_path", type=Path, required=True, help="data-set folder")
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--num_windows", type=int, default=NUM_WINDOWS)
    options = parser.parse_args()
    dataset = open_dataset(options.data_path)
    options.output_dir.mkdir(parents=True, exist_ok=True)
    train = pa.concat_tables(dataset.tables("train"))
    drawn = np.random.default_rng(SEED).permutation(train.num_rows)[: options.num_windows]
    write(options.output_dir / "train.parquet", train.take(np.sort(drawn)), dataset)
    write(
        options.output_dir / "validation.parquet",
        pa.concat_tables(dataset.tables("validation")),
        dataset,
    )


def write(path: Path, rows: pa.Table, dataset: Dataset) -> None:
    vocab_size = load_tokenizer(dataset.tokenizer_path).get_vocab_size()
    shutil.copytree(dataset.tokenizer_path, path.parent / TOKENIZER, dirs_exist_ok=True)
    pq.write_table(
        rows.replace_schema_metadata({VOCABULARY: str(vocab_size)}), path, compression="zstd"
    )
    print(f"{path}: {rows.num_rows} windows, {path.stat().st_size / 2**20:.1f} MiB")


def read(path: Path) -> tuple[WindowTable, int]:
    """Return the windows in `path` and the size of their vocabulary."""
    rows = pq.read_table(path)
    return WindowTable.from_arrow(rows), int(rows.schema.metadata[VOCABULARY])


if __name__ == "__main__":
    main()
