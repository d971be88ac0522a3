"""Read exported `.pt` files back into window tables: dense tensors in, ragged ones out.

Legend: W windows of a file, R roots (128), L leaves per root (7), N = R * (1 + L) nodes (1024).
The file is mapped into memory, never unpickled beyond tensors and plain values.
"""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor
from torch.nn.functional import pad

from graph_builder.errors import UserError
from graph_builder.layout import ChainLayout
from graph_builder.record import FORMAT_VERSION
from graph_builder.relations import RELATION_NAMES
from graphmert.data.windows import NUMBER_COLUMNS, STRING_COLUMNS, WindowTable


def read_pt(path: Path) -> dict[str, Any]:
    """Return the values of an exported file; raise UserError where it is none that fits."""
    try:
        values = torch.load(path, weights_only=True, mmap=True)
        found = (values["format_version"], tuple(values["relation_names"]))
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file") from None
    except (OSError, RuntimeError, UnpicklingError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a data set exported as .pt: export it again") from error
    for name, mine, its in zip(
        ("format version", "relations"), (FORMAT_VERSION, RELATION_NAMES), found, strict=True
    ):
        if mine != its:
            raise UserError(f"{path}: {name} {its!r}, and {mine!r} is needed: export it again")
    return values


def table_from_pt(values: dict[str, Any]) -> WindowTable:
    """Return the windows of one exported file."""
    layout = ChainLayout(values["num_roots"], values["leaves_per_root"])
    is_root = values["attention_mask"][:, : layout.num_roots] == 1  # (W, R)
    is_leaf = values["graph_structure"] >= 0  # (W, R, L)
    windows, leaf_roots, _ = is_leaf.nonzero(as_tuple=True)  # (F,) by window, root, slot
    input_ids = values["input_ids"]
    leaf_triples = values["triple_ids"][is_leaf]
    triple_offsets = _offsets(_num_triples(values["triple_ids"]))
    triples = triple_offsets[windows] + leaf_triples  # (F,) over all windows

    def of_triples(name: str) -> Tensor:
        of_leaves = values[name][is_leaf]
        flat = of_leaves.new_zeros(int(triple_offsets[-1]))
        flat[triples] = of_leaves  # all leaves of a triple say the same
        return flat

    return WindowTable(
        layout=layout,
        strings=pa.table(
            {name: values[name] for name in STRING_COLUMNS}
            | {name: values[name].numpy() for name in NUMBER_COLUMNS}
        ),
        window_ids=values["window_id"].clone(),
        root_offsets=_offsets(is_root.sum(1)),
        root_ids=input_ids[:, : layout.num_roots][is_root],
        root_bytes=values["root_bytes"][is_root],
        root_names=values["root_names"][is_root],
        leaf_offsets=_offsets(is_leaf.sum((1, 2))),
        leaf_ids=input_ids[windows, values["graph_structure"][is_leaf].long()],
        leaf_roots=leaf_roots,
        leaf_names=values["leaf_names"][is_leaf],
        leaf_triples=leaf_triples,
        triple_offsets=triple_offsets,
        triple_relations=of_triples("relation_ids"),
        triple_head_starts=of_triples("head_starts"),
        triple_head_lengths=of_triples("head_lengths"),
        triple_is_reversed=of_triples("is_reversed"),
        triple_is_knowledge=of_triples("is_knowledge"),
    )


def _num_triples(triple_ids: Tensor) -> Tensor:
    """Return the number of triples of each window (W,); every triple has a leaf."""
    return triple_ids.flatten(1).amax(1).long() + 1


def _offsets(counts: Tensor) -> Tensor:
    return pad(counts.long().cumsum(0), (1, 0))
