"""Export a data set as `.pt` files: the dense tensors of `dense.py` stacked, and plain strings.

A file holds at most MAX_WINDOWS windows of one split and loads with
`torch.load(path, weights_only=True, mmap=True)`. Legend: W windows, then the shapes of `to_dense`.
"""

import shutil
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from graph_builder.dataset import Dataset
from graph_builder.dense import to_dense
from graph_builder.errors import UserError
from graph_builder.layout import ChainLayout
from graph_builder.manifest import SPLITS
from graph_builder.record import ChainGraph
from graph_builder.shards import table_records
from graph_builder.tokenizer import load_tokenizer, special_ids
from graph_builder.whole_file import flush
from graph_builder.whole_folder import whole_folder

MAX_WINDOWS: Final = 8192
STRINGS: Final = ("source", "revision", "path", "qualified_name", "kind")
NUMBERS: Final = ("window_index", "start_line", "end_line")


def export_pt(dataset: Dataset, output: Path, max_windows: int = MAX_WINDOWS) -> list[Path]:
    """Write `output`/SPLIT-NNNNN.pt for every split, and the tokenizer; return the `.pt` paths.

    Raises UserError where `output` is anything but a new or empty folder, or a shard is damaged.
    """
    if output.exists() and not output.is_dir():
        raise UserError(f"{output}: not a folder: choose another output")
    if output.is_dir() and any(output.iterdir()):
        raise UserError(f"{output}: holds something already: choose another output")
    dataset.verify()
    pad_id = special_ids(load_tokenizer(dataset.tokenizer_path)).pad
    names = []
    with whole_folder(output) as folder:
        for split in SPLITS:
            labels = _labels(dataset, split)
            for number, windows in enumerate(_groups(dataset, split, max_windows)):
                names.append(f"{split}-{number:05d}.pt")
                _save(folder / names[-1], labels | stack_windows(windows, dataset.layout, pad_id))
        # Training from a `.pt` file finds the tokenizer that its ids belong to beside it.
        shutil.copytree(dataset.tokenizer_path, folder / "tokenizer")
    return [output / name for name in names]


def stack_windows(
    windows: Sequence[ChainGraph], layout: ChainLayout, pad_id: int
) -> dict[str, Any]:
    """Return the tensors of `windows` (W, ...) and lists of W strings, by name."""
    stacked: dict[str, Any] = {}
    for index, window in enumerate(windows):
        for name, values in to_dense(window, layout, pad_id).items():
            if index == 0:
                stacked[name] = np.empty((len(windows), *values.shape), values.dtype)
            stacked[name][index] = values
    tensors = {name: torch.from_numpy(values) for name, values in stacked.items()}
    numbers = {
        name: torch.tensor([getattr(window, name) for window in windows], dtype=torch.int32)
        for name in NUMBERS
    }
    strings = {name: [getattr(window, name) for window in windows] for name in STRINGS}
    return {**tensors, **numbers, **strings}


def _groups(dataset: Dataset, split: str, max_windows: int) -> Iterator[list[ChainGraph]]:
    windows = (window for table in dataset.tables(split) for window in table_records(table))
    return iter(lambda: list(islice(windows, max_windows)), [])


def _labels(dataset: Dataset, split: str) -> dict[str, Any]:
    """Return what a reader must know to refuse a file that is not for it."""
    shard_format = dataset.manifest.shard_format
    return {
        "format_version": shard_format.format_version,
        "relation_names": list(shard_format.relation_names),
        "num_roots": shard_format.num_roots,
        "leaves_per_root": shard_format.leaves_per_root,
        "tokenizer": shard_format.tokenizer,
        "dataset": dataset.digest,
        "split": split,
    }


def _save(path: Path, values: dict[str, Any]) -> None:
    # Through an open file: given a path, torch writes its name into the file.
    with path.open("wb") as file:
        torch.save(values, file)
    flush(path)
