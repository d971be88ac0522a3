"""A data set in a few lines: what it was built from, what is in it, what was left out and why."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from graph_builder.manifest import SPLITS, Manifest


def summary_lines(path: Path, manifest: Manifest, is_reused: bool) -> list[str]:
    """Return the lines that end a build."""
    sources = manifest.sources
    placed = sum_counts(source.placed for source in sources)
    unplaced = unplaced_by_reason(manifest)
    num_triples = sum(source.num_triples for source in sources)
    share = placed.total() / num_triples if num_triples else 0.0
    rejected = Counter(reason for source in sources for _, reason, _ in source.rejected)
    num_broken = sum(len(source.syntax_errors) for source in sources)
    duplicates = sum_counts(source.duplicates for source in sources)
    return [
        f"{'reused' if is_reused else 'built'} {path} ({manifest.digest[:12]})",
        *(_split_line(manifest, split) for split in SPLITS),
        f"triples: {num_triples:,}, placed {share:.1%}; not placed: {counts_text(unplaced)}",
        f"files left out: {counts_text(rejected)}; with syntax errors: {num_broken}",
        f"duplicate windows dropped: {counts_text(duplicates)}",
    ]


def _split_line(manifest: Manifest, split: str) -> str:
    sources = [source for source in manifest.sources if source.split == split]
    num_files = sum(source.num_files for source in sources)
    names = ", ".join(source.source for source in sources)
    return f"{split}: {manifest.num_windows(split):,} windows of {num_files:,} files ({names})"


def unplaced_by_reason(manifest: Manifest) -> Counter[str]:
    unplaced: Counter[str] = Counter()
    for source in manifest.sources:
        for reason, counts in source.unplaced.items():
            unplaced[reason] += sum(counts.values())
    return unplaced


def sum_counts(many: Iterable[Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for counts in many:
        total.update(counts)
    return total


def counts_text(counts: Mapping[str, int]) -> str:
    """Return "name 3, other 1", the most frequent first, or "none"."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {number:,}" for name, number in ordered if number) or "none"
