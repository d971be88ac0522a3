"""Compare the held-out windows of a data set with all of its training windows, by brute force.

    python benchmarks/near_duplicates.py data/ten

Prints how near the nearest training windows are; those at the threshold should not be there.
"""

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from graph_builder.dataset import Dataset, open_dataset
from graph_builder.duplicates import COLUMNS, JACCARD_THRESHOLD, SHINGLE_TOKENS, Tokens, own_tokens


def windows(dataset: Dataset, *splits: str) -> Iterator[frozenset[tuple[int, ...]]]:
    """Yield the runs of SHINGLE_TOKENS tokens of each window."""
    for split in splits:
        for table in dataset.tables(split, COLUMNS):
            yield from map(runs, own_tokens(table))


def runs(tokens: Tokens) -> frozenset[tuple[int, ...]]:
    ids = tokens.tolist()
    last = max(len(ids) - SHINGLE_TOKENS, 0)
    return frozenset(tuple(ids[at : at + SHINGLE_TOKENS]) for at in range(last + 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    dataset = open_dataset(parser.parse_args().dataset)
    held_out = list(windows(dataset, "validation", "test"))
    holders: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for at, window in enumerate(held_out):
        for run in window:
            holders[run].append(at)
    shares: list[float] = []
    for window in windows(dataset, "train"):
        common = Counter(at for run in window for at in holders.get(run, ()))
        ratios = (n / len(window | held_out[at]) for at, n in common.items())
        shares.append(max(ratios, default=0.0))
    num_near = sum(share >= JACCARD_THRESHOLD for share in shares)
    print(f"{len(shares):,} training windows against {len(held_out):,} held-out ones")
    print(f"share a run of {SHINGLE_TOKENS} tokens: {sum(share > 0 for share in shares):,}")
    print(f"at {JACCARD_THRESHOLD} or nearer: {num_near}; the nearest: {max(shares):.3f}")


if __name__ == "__main__":
    main()
