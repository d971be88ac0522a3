"""The sources of a data set as a table artifact of the run that built it, rejects counted."""

from collections import Counter

from prefect.artifacts import create_table_artifact

from flows.summary import listed
from graph_builder.manifest import Manifest, SourceEntry


def show_sources(manifest: Manifest) -> None:
    """Make the table; the Prefect UI shows it on the run's page."""
    create_table_artifact(
        [source_row(source) for source in manifest.sources],
        description=f"Sources of the data set {manifest.digest[:12]}",
    )


def source_row(source: SourceEntry) -> dict[str, str | int]:
    """Return what a source gave, and how much of it was left out and why."""
    return {
        "split": source.split,
        "source": source.source,
        "revision": source.revision,
        "files": source.num_files,
        "windows": source.num_windows,
        "triples": source.num_triples,
        "files left out": listed(Counter(reason for _, reason, _ in source.rejected)),
        "files with syntax errors": len(source.syntax_errors),
        "duplicate windows": sum(source.duplicates.values()),
        "triples without a place": listed(
            Counter({why: sum(nums.values()) for why, nums in source.unplaced.items()})
        ),
    }
