"""Statistics of a data set as tables: windows, slots, relations, what was left out, duplicates."""

from collections import Counter

import numpy as np
import pandas as pd
import pyarrow as pa

from graph_builder.dataset import Dataset
from graph_builder.manifest import SPLITS, Manifest
from graph_builder.relations import RELATION_NAMES
from graph_builder.summary import sum_counts

_COLUMNS = ("root_ids", "leaf_ids", "triple_relations", "triple_is_knowledge")


def tables(dataset: Dataset) -> dict[str, pd.DataFrame]:
    """Return every table by its title."""
    manifest = dataset.manifest
    return {
        "Sources": sources_table(manifest),
        "Windows: roots, leaf slots and positions used": windows_table(dataset),
        "Triples of the windows' own code: placed and not placed, by reason": placed_table(
            manifest
        ),
        "Triples in the shards: class balance": balance_table(dataset),
        "Files left out, and files with syntax errors": files_table(manifest),
    }


def text(dataset: Dataset) -> str:
    """Return all tables as text for a terminal."""
    parts = []
    for title, table in tables(dataset).items():
        shown = table.to_string() if len(table) else "none"
        parts.append(f"{title}\n{shown}\n")
    return "\n".join(parts)


def sources_table(manifest: Manifest) -> pd.DataFrame:
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
        for source in manifest.sources
    ]
    return pd.DataFrame(rows).set_index("source")


def windows_table(dataset: Dataset) -> pd.DataFrame:
    """Return mean, median, 99th percentile and maximum of each length, by split."""
    rows = {}
    for split in (split for split in SPLITS if dataset.manifest.num_windows(split)):
        columns = [table.select(_COLUMNS[:2]) for table in dataset.tables(split, _COLUMNS)]
        roots, leaves = (
            np.concatenate([_lengths(table, name) for table in columns]) for name in _COLUMNS[:2]
        )
        for name, lengths in (("roots", roots), ("leaves", leaves), ("positions", roots + leaves)):
            rows[split, name] = {
                "windows": len(lengths),
                "mean": round(float(lengths.mean()), 1),
                "median": int(np.median(lengths)),
                "p99": int(np.percentile(lengths, 99)),
                "max": int(lengths.max()),
            }
    return pd.DataFrame.from_dict(rows, orient="index")


def placed_table(manifest: Manifest) -> pd.DataFrame:
    """Return, by relation, how many triples there are and what became of them."""
    reasons = sorted({reason for source in manifest.sources for reason in source.unplaced})
    placed = sum_counts(source.placed for source in manifest.sources)
    unplaced = {
        reason: sum_counts(source.unplaced.get(reason, {}) for source in manifest.sources)
        for reason in reasons
    }
    rows = {}
    for name in (*RELATION_NAMES, "all"):
        counts = [_count(counter, name) for counter in (placed, *unplaced.values())]
        rows[name] = {
            "triples": sum(counts),
            "placed %": round(100 * counts[0] / sum(counts), 1) if sum(counts) else np.nan,
            **dict(zip(reasons, counts[1:], strict=True)),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def balance_table(dataset: Dataset) -> pd.DataFrame:
    """Return, by relation and split, the share of the local triples and the number of knowledge."""
    table = pd.DataFrame(index=pd.Index(RELATION_NAMES))
    for split in SPLITS:
        local, knowledge = _relation_counts(dataset, split)
        table[f"{split} %"] = np.round(100 * local / max(local.sum(), 1), 1)
        table[f"{split} local"] = local
        table[f"{split} knowledge"] = knowledge
    return table


def files_table(manifest: Manifest) -> pd.DataFrame:
    """Return how many files of each source were left out, by reason."""
    rows = {}
    for source in manifest.sources:
        counts = Counter(reason for _, reason, _ in source.rejected)
        counts["syntax errors (used)"] = len(source.syntax_errors)
        rows[source.source] = {reason: number for reason, number in counts.items() if number}
    rows = {source: counts for source, counts in rows.items() if counts}
    return pd.DataFrame.from_dict(rows, orient="index").fillna(0).astype(int)


def _count(counter: Counter[str], relation: str) -> int:
    return counter.total() if relation == "all" else counter[relation]


def _lengths(table: pa.Table, name: str) -> np.ndarray:
    return np.diff(table.column(name).combine_chunks().offsets.to_numpy())


def _relation_counts(dataset: Dataset, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of local and of knowledge triples by relation (K,), (K,)."""
    total = np.zeros((2, len(RELATION_NAMES)), dtype=np.int64)
    for table in dataset.tables(split, _COLUMNS):
        relations = table.column("triple_relations").combine_chunks().flatten().to_numpy()
        is_knowledge = table.column("triple_is_knowledge").combine_chunks().flatten()
        for row, wanted in enumerate((False, True)):
            chosen = relations[is_knowledge.to_numpy(zero_copy_only=False) == wanted]
            total[row] += np.bincount(chosen, minlength=len(RELATION_NAMES))
    return total[0], total[1]
