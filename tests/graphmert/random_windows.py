"""Made-up chain graphs of any sizes, for tests that need many different ones and no text."""

import numpy as np
import pyarrow as pa

from graph_builder.record import SCHEMA
from graphmert.data.windows import WindowTable

Record = dict[str, object]
VOCAB_SIZE = 500
NUM_NAMES = 8


def random_table(seed: int, num_windows: int = 12, max_roots: int = 60) -> WindowTable:
    return WindowTable.from_arrow(arrow(random_records(seed, num_windows, max_roots)))


def arrow(records: list[Record], num_chunks: int = 1) -> pa.Table:
    parts = np.array_split(np.arange(len(records)), num_chunks)
    tables = [pa.Table.from_pylist([records[i] for i in part], schema=SCHEMA) for part in parts]
    return pa.concat_tables(tables)


def random_records(seed: int, num_windows: int, max_roots: int = 20) -> list[Record]:
    """Make records of any sizes, windows without leaves and without triples among them."""
    rng = np.random.default_rng(seed)
    return [random_record(rng, index, max_roots) for index in range(num_windows)]


def random_record(rng: np.random.Generator, index: int, max_roots: int) -> Record:
    """Make one window: <s>, perhaps a synthetic name, tokens of 1 to 4 bytes, </s>; leaves."""
    num_roots = int(rng.integers(4, max_roots + 1))
    num_synthetic = int(rng.integers(0, 3))
    starts = np.arange(num_roots) * 4
    starts[: 1 + num_synthetic] = -1
    starts[-1] = -1
    return {
        "window_id": int(rng.integers(-(2**63), 2**63 - 1)),
        "source": "installed:click",
        "revision": "abc",
        "path": f"file{index % 3}.py",
        "qualified_name": f"pkg.f{index}",
        "kind": "function",
        "window_index": index,
        "start_line": 1 + index,
        "end_line": 5 + index,
        "root_ids": [0, *rng.integers(5, VOCAB_SIZE, num_roots - 2).tolist(), 2],
        "root_starts": starts.tolist(),
        "root_ends": np.where(starts < 0, -1, starts + rng.integers(1, 5, num_roots)).tolist(),
        "root_names": [-1, *rng.integers(-1, NUM_NAMES, num_roots - 2).tolist(), -1],
    } | random_triples(rng, num_roots)


def random_triples(rng: np.random.Generator, num_roots: int) -> Record:
    """Hang triples of 1 to 3 leaves on mentions of 1 or 2 roots, at most 7 leaves on a root."""
    sizes = rng.integers(1, 4, int(rng.integers(0, 12)))
    owners = np.sort(rng.integers(1, num_roots - 1, len(sizes)))
    used = np.array([sizes[: i + 1][owners[: i + 1] == owners[i]].sum() for i in range(len(sizes))])
    sizes, owners = sizes[used <= 7], owners[used <= 7]
    leaf_triples = np.repeat(np.arange(len(sizes)), sizes)
    return {
        "leaf_ids": rng.integers(5, VOCAB_SIZE, len(leaf_triples)).tolist(),
        "leaf_roots": owners[leaf_triples].tolist(),
        "leaf_names": rng.integers(-1, NUM_NAMES, len(leaf_triples)).tolist(),
        "leaf_triples": leaf_triples.tolist(),
        "triple_relations": rng.integers(0, 12, len(sizes)).tolist(),
        "triple_head_starts": owners.tolist(),
        "triple_head_lengths": np.minimum(
            rng.integers(1, 3, len(sizes)), num_roots - 1 - owners
        ).tolist(),
        "triple_is_reversed": (rng.random(len(sizes)) < 0.3).tolist(),
        "triple_is_knowledge": (rng.random(len(sizes)) < 0.5).tolist(),
        "triple_heads": ["head"] * len(sizes),
        "triple_tails": ["tail"] * len(sizes),
    }
