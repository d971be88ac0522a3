"""Random records that keep every promise of `record.py`, for tests of whoever reads them."""

import numpy as np

from graph_builder.layout import ChainLayout
from graph_builder.record import ChainGraph
from graph_builder.relations import NUM_RELATIONS


def random_chain_graphs(
    seed: int,
    num_windows: int,
    layout: ChainLayout | None = None,
    vocab_size: int = 500,
    num_names: int = 12,
) -> list[ChainGraph]:
    """Return records of all sizes: empty of code, full, without leaves, with full roots."""
    generator = np.random.default_rng(seed)
    layout = layout or ChainLayout()
    return [
        _random_chain_graph(generator, layout, vocab_size, num_names, index)
        for index in range(num_windows)
    ]


def _random_chain_graph(
    generator: np.random.Generator,
    layout: ChainLayout,
    vocab_size: int,
    num_names: int,
    index: int,
) -> ChainGraph:
    num_roots = int(generator.integers(3, layout.num_roots + 1))
    num_synthetic = int(generator.integers(0, min(3, num_roots - 2)))
    lengths = generator.integers(1, 9, num_roots - 2 - num_synthetic)
    ends = int(generator.integers(0, 5000)) + np.cumsum(lengths)
    opening, closing = [-1] * (1 + num_synthetic), [-1]
    names = generator.integers(-1, num_names, num_roots)
    names[[0, -1]] = -1
    return ChainGraph(
        window_id=int(generator.integers(-(2**63), 2**63)),
        source=f"path:source{index % 2}",
        revision="sha256:00",
        path=f"package/module_{index // 3}.py",
        qualified_name=f"package.module_{index // 3}.f{index}",
        kind=["function", "class", "module"][index % 3],
        window_index=index,
        start_line=index + 1,
        end_line=index + 9,
        root_ids=np.int32([0, *generator.integers(5, vocab_size, num_roots - 2), 2]),
        root_starts=np.int32([*opening, *(ends - lengths), *closing]),
        root_ends=np.int32([*opening, *ends, *closing]),
        root_names=names.astype(np.int16),
        **_random_triples(generator, layout, vocab_size, num_names, num_roots),
    )


def _random_triples(
    generator: np.random.Generator,
    layout: ChainLayout,
    vocab_size: int,
    num_names: int,
    num_roots: int,
) -> dict[str, object]:
    """Fill random roots with triples of random lengths until no slot, or the number, is left."""
    placed = []  # (root, number of leaves) of each triple
    free = np.full(num_roots, layout.leaves_per_root)
    for _ in range(int(generator.integers(0, 2 * num_roots))):
        root = int(generator.integers(1, num_roots - 1))
        length = int(generator.integers(1, layout.leaves_per_root + 1))
        if length <= free[root]:
            free[root] -= length
            placed.append((root, length))
    placed.sort(key=lambda triple: triple[0])
    roots = np.array([root for root, _ in placed], dtype=np.int64)
    num_triples = len(placed)
    triples = np.repeat(np.arange(num_triples), [length for _, length in placed])
    return {
        "leaf_ids": generator.integers(5, vocab_size, len(triples)).astype(np.int32),
        "leaf_roots": roots[triples].astype(np.int16),
        "leaf_names": generator.integers(-1, num_names, len(triples)).astype(np.int16),
        "leaf_triples": triples.astype(np.int16),
        "triple_relations": generator.integers(0, NUM_RELATIONS, num_triples).astype(np.int8),
        "triple_head_starts": roots.astype(np.int16),
        "triple_head_lengths": np.minimum(
            generator.integers(1, 4, num_triples), num_roots - 1 - roots
        ).astype(np.int16),
        "triple_is_reversed": generator.random(num_triples) < 0.2,
        "triple_is_knowledge": generator.random(num_triples) < 0.3,
        "triple_heads": tuple(f"head{i}" for i in range(num_triples)),
        "triple_tails": tuple(f"tâil{i}" for i in range(num_triples)),
    }
