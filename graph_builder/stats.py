"""Statistics of a data set as tables: windows, slots, relations, what was left out, duplicates.

graph-builder stats DATASET                      # as text
graph-builder stats DATASET --html stats.html    # and as a page with plots, see stats_page.py
"""

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from graph_builder.dataset import Dataset
from graph_builder.manifest import SPLITS, Manifest
from graph_builder.relations import RELATION_NAMES
from graph_builder.summary import sum_counts

SHORTENED_PERCENT: Final = "head shortened %"
_COLUMNS: Final = ("root_ids", "leaf_roots", "triple_relations", "triple_is_knowledge")

Numbers = npt.NDArray[np.int64]


@dataclass
class SplitCounts:
    """What the shards of one split hold; W windows, L leaf slots of a root, K relations."""

    num_slots: int  # L
    roots: list[Numbers] = field(default_factory=list)  # of each window, shard by shard
    leaves: list[Numbers] = field(default_factory=list)
    by_slots: Numbers = field(init=False)  # (L + 1,) roots by the number of their slots in use
    local: Numbers = field(init=False)  # (K,) triples of the windows' own code
    knowledge: Numbers = field(init=False)  # (K,) facts of the repository

    def __post_init__(self) -> None:
        self.by_slots = np.zeros(self.num_slots + 1, dtype=np.int64)
        self.local = np.zeros(len(RELATION_NAMES), dtype=np.int64)
        self.knowledge = np.zeros(len(RELATION_NAMES), dtype=np.int64)

    def add(self, table: pa.Table) -> None:
        """Count the windows of a shard."""
        roots, leaves = _lengths(table, "root_ids"), _lengths(table, "leaf_roots")
        self.roots.append(roots)
        self.leaves.append(leaves)
        windows = np.repeat(np.arange(len(leaves)), leaves)
        at = windows * (roots.max(initial=0) + 1) + _flat(table, "leaf_roots")
        in_use = np.unique(at, return_counts=True)[1]
        self.by_slots += np.bincount(in_use, minlength=len(self.by_slots))
        self.by_slots[0] += roots.sum() - len(in_use)
        relations, is_knowledge = _flat(table, "triple_relations"), _flat(table, _COLUMNS[3])
        self.local += np.bincount(relations[~is_knowledge], minlength=len(RELATION_NAMES))
        self.knowledge += np.bincount(relations[is_knowledge], minlength=len(RELATION_NAMES))

    def lengths(self) -> dict[str, Numbers]:
        """Return roots, leaves and positions of every window (W,)."""
        roots, leaves = np.concatenate(self.roots), np.concatenate(self.leaves)
        return {"roots": roots, "leaves": leaves, "positions": roots + leaves}


class Statistics:
    """The tables of one data set; its shards are read once, when a table needs them."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.manifest: Manifest = dataset.manifest

    @cached_property
    def splits(self) -> dict[str, SplitCounts]:
        """What the shards of each split hold; a split without windows is left out."""
        counted = {}
        for split in (split for split in SPLITS if self.manifest.num_windows(split)):
            counted[split] = SplitCounts(self.dataset.layout.leaves_per_root)
            for table in self.dataset.tables(split, _COLUMNS):
                counted[split].add(table)
        return counted

    @property
    def num_triples(self) -> int:
        return sum(source.num_triples for source in self.manifest.sources)

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return every table by its title."""
        return {
            "Sources": self.sources(),
            "Windows: roots, leaf slots and positions used": self.windows(),
            "Leaf slots in use: share of the roots, by number": self.slots(),
            "Triples of the windows' own code: placed and not placed, by reason": self.placed(),
            "Triples in the shards: class balance": self.balance(),
            "Instantiations: of known classes, and guessed from a CapWords name": self.guesses(),
            "Files left out, and files with syntax errors": self.files(),
        }

    def text(self) -> str:
        """Return all tables as text for a terminal."""
        shown = (
            (title, table.to_string() if len(table) else "none")
            for title, table in self.tables().items()
        )
        return "\n".join(f"{title}\n{table}\n" for title, table in shown)

    def sources(self) -> pd.DataFrame:
        rows = [
            {
                "source": source.source,
                "split": source.split,
                "files": source.num_files,
                "KiB": source.num_source_bytes // 1024,
                "windows": source.num_windows,
                "exact duplicates": source.duplicates.get("exact", 0),
                "near duplicates": source.duplicates.get("near", 0),
                "windows kept": source.num_windows - sum(source.duplicates.values()),
                "triples": source.num_triples,
            }
            for source in self.manifest.sources
        ]
        return pd.DataFrame(rows).set_index("source")

    def windows(self) -> pd.DataFrame:
        """Return mean, median, 99th percentile and maximum of each length, by split."""
        rows = {}
        for split, counts in self.splits.items():
            for name, lengths in counts.lengths().items():
                rows[split, name] = {
                    "windows": len(lengths),
                    "mean": round(float(lengths.mean()), 1),
                    "median": int(np.median(lengths)),
                    "p99": int(np.percentile(lengths, 99)),
                    "max": int(lengths.max()),
                }
        return pd.DataFrame.from_dict(rows, orient="index")

    def slots(self) -> pd.DataFrame:
        """Return the share of roots (in %) with 0, 1 .. all of their slots in use, by split."""
        shares = {s: 100 * c.by_slots / c.by_slots.sum() for s, c in self.splits.items()}
        table = pd.DataFrame.from_dict(shares, orient="index").round(1)
        return table.rename(columns=lambda number: f"{number} slots %")

    def placed(self) -> pd.DataFrame:
        """Return, by relation, how many triples there are and what became of them.

        SHORTENED_PERCENT is a part of those placed: their leaves spell the head's last parts.
        """
        sources = self.manifest.sources
        reasons = sorted({reason for source in sources for reason in source.unplaced})
        placed = sum_counts(source.placed for source in sources)
        shortened = sum_counts(source.shortened for source in sources)
        unplaced = {
            reason: sum_counts(source.unplaced.get(reason, {}) for source in sources)
            for reason in reasons
        }
        rows = {}
        for name in (*RELATION_NAMES, "all"):
            counts = [_count(counter, name) for counter in (placed, *unplaced.values())]
            rows[name] = {
                "triples": sum(counts),
                "placed %": _percent(counts[0], sum(counts)),
                SHORTENED_PERCENT: _percent(_count(shortened, name), sum(counts)),
                **dict(zip(reasons, counts[1:], strict=True)),
            }
        return pd.DataFrame.from_dict(rows, orient="index")

    def balance(self) -> pd.DataFrame:
        """Return, by relation and split, the share of local triples, their number, knowledge."""
        table = pd.DataFrame(index=pd.Index(RELATION_NAMES))
        for split, counts in self.splits.items():
            table[f"{split} %"] = np.round(100 * counts.local / max(counts.local.sum(), 1), 1)
            table[f"{split} local"] = counts.local
            table[f"{split} knowledge"] = counts.knowledge
        return table

    def guesses(self) -> pd.DataFrame:
        """Return how many instantiations of each source rest on a guess."""
        by_source = {source.source: source.instantiates for source in self.manifest.sources}
        by_source["all"] = dict(sum_counts(by_source.values()))
        rows = {
            source: {**counts, "guessed %": _percent(counts["guessed"], sum(counts.values()))}
            for source, counts in by_source.items()
        }
        return pd.DataFrame.from_dict(rows, orient="index")

    def files(self) -> pd.DataFrame:
        """Return how many files of each source were left out, by reason."""
        rows = {}
        for source in self.manifest.sources:
            counts = Counter(reason for _, reason, _ in source.rejected)
            counts["syntax errors (used)"] = len(source.syntax_errors)
            rows[source.source] = {reason: number for reason, number in counts.items() if number}
        rows = {source: counts for source, counts in rows.items() if counts}
        return pd.DataFrame.from_dict(rows, orient="index").fillna(0).astype(int)


def _count(counter: Counter[str], relation: str) -> int:
    return counter.total() if relation == "all" else counter[relation]


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 1) if whole else float("nan")


def _lengths(table: pa.Table, name: str) -> Numbers:
    return np.diff(table.column(name).combine_chunks().offsets.to_numpy()).astype(np.int64)


def _flat(table: pa.Table, name: str) -> np.ndarray:
    return table.column(name).combine_chunks().flatten().to_numpy(zero_copy_only=False)
