"""The last steps of a build: drop duplicates, put shards and tokenizer in place, the manifest last.

A reader never sees half of it: until the manifest names them, new files are not part of anything.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from graph_builder.build_plan import BuildPlan, PlannedShard
from graph_builder.build_tokenizer import BuildTokenizer
from graph_builder.built_windows import load_windows
from graph_builder.duplicates import COLUMNS, SeenWindows, Verdict
from graph_builder.errors import UserError
from graph_builder.manifest import (
    MANIFEST_NAME,
    SPLITS,
    Manifest,
    ShardEntry,
    SourceEntry,
    save_manifest,
)
from graph_builder.shards import ShardFormat, file_sha256, read_shard, write_rows
from graph_builder.source_report import SourceReport
from graph_builder.whole_file import TEMPORARY_SUFFIX, whole_file
from graph_builder.workers import RunTasks


@dataclass(frozen=True)
class Newcomer:
    """A source that was built, before it is compared with what is there."""

    planned: PlannedShard
    key: str
    paths: Sequence[Path]  # of the windows of its batches
    report: SourceReport


@dataclass(frozen=True)
class _Judged:
    newcomer: Newcomer
    verdicts: Sequence[Verdict]  # on the windows of each

    @property
    def num_kept(self) -> int:
        return sum(int(verdict.is_kept.sum()) for verdict in self.verdicts)


def assemble(
    plan: BuildPlan,
    kept: Sequence[ShardEntry],
    newcomers: Sequence[Newcomer],
    tokenizer: BuildTokenizer,
    run: RunTasks,
) -> Manifest:
    """Write the data set; raise UserError, before anything is touched, where a split is empty.

    kept: shards of the base that stay; newcomers: in the order of their arrival; run: runs a
    function over many tasks.
    """
    output = plan.settings.output
    shard_format = tokenizer.shard_format(plan.settings.layout)
    judged = _judge(output, kept, newcomers)
    _check_splits(kept, judged)
    if not plan.is_extension:
        # From here to the end the folder is no data set: what it was is taken apart.
        (output / MANIFEST_NAME).unlink(missing_ok=True)
        _copy_tokenizer(tokenizer.path, output / tokenizer.entry.path)
    to_place = [task for each in judged for task in _place_tasks(output, each, shard_format)]
    shards = [*kept, *(shard for _, shard in run(place_shard, to_place))]
    manifest = Manifest(
        shard_format=shard_format,
        builder=plan.versions,
        settings=plan.identity,
        inputs=plan.inputs,
        tokenizer=tokenizer.entry,
        sources=tuple(sorted(_sources(plan, kept, judged), key=_source_order)),
        shards=tuple(sorted(shards, key=lambda shard: (SPLITS.index(shard.split), shard.path))),
    )
    save_manifest(output, manifest)
    _sweep(output, manifest)
    return manifest


def _judge(
    output: Path, kept: Sequence[ShardEntry], newcomers: Sequence[Newcomer]
) -> list[_Judged]:
    seen = SeenWindows()
    splits = [shard.split for shard in kept] + [new.planned.split for new in newcomers]
    for index, shard in enumerate(kept):
        seen.admit(
            read_shard(output / shard.path, columns=COLUMNS),
            shard.split,
            _is_asked_later(splits, index),
        )
    return [
        _Judged(
            new,
            [
                seen.admit(
                    load_windows(path, COLUMNS), new.planned.split, _is_asked_later(splits, index)
                )
                for path in new.paths
            ],
        )
        for index, new in enumerate(newcomers, start=len(kept))
    ]


def _is_asked_later(splits: Sequence[str], index: int) -> bool:
    return any(split != splits[index] for split in splits[index + 1 :])


def _check_splits(kept: Sequence[ShardEntry], judged: Sequence[_Judged]) -> None:
    for split in SPLITS:
        num_windows = sum(shard.num_windows for shard in kept if shard.split == split)
        mine = [each for each in judged if each.newcomer.planned.split == split]
        num_windows += sum(each.num_kept for each in mine)
        if mine and num_windows == 0:  # a split without a source was not asked for
            labels = ", ".join(each.newcomer.planned.source.label for each in mine)
            raise UserError(
                f"{split} is empty: {labels}: no code, or none that another source lacks: "
                f"add a source with --{split}"
            )


def _copy_tokenizer(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    for file in sorted(source.iterdir()):
        with whole_file(target / file.name) as temporary:
            shutil.copyfile(file, temporary)


@dataclass(frozen=True)
class PlaceTask:
    """Windows that are to become a shard of the data set."""

    built: Path
    is_kept: bytes  # of each window, as a byte
    output: Path
    entry: ShardEntry  # without what is known once it is written
    shard_format: ShardFormat


def _place_tasks(output: Path, judged: _Judged, shard_format: ShardFormat) -> Iterator[PlaceTask]:
    newcomer, planned = judged.newcomer, judged.newcomer.planned
    for batch, (built, verdict) in enumerate(zip(newcomer.paths, judged.verdicts, strict=True)):
        name = planned.path(newcomer.key, batch)
        num_windows = int(verdict.is_kept.sum())
        entry = ShardEntry(
            name, planned.source.label, planned.split, newcomer.key, num_windows, 0, ""
        )
        yield PlaceTask(built, verdict.is_kept.tobytes(), output, entry, shard_format)


def place_shard(task: PlaceTask) -> ShardEntry:
    """Write the windows that stay to their place in the data set."""
    path = task.output / task.entry.path
    is_kept = np.frombuffer(task.is_kept, dtype=np.bool_)
    write_rows(path, load_windows(task.built).filter(pa.array(is_kept)), task.shard_format)
    return replace(task.entry, num_bytes=path.stat().st_size, sha256=file_sha256(path))


def _sources(
    plan: BuildPlan, kept: Sequence[ShardEntry], judged: Sequence[_Judged]
) -> list[SourceEntry]:
    labels = {shard.source for shard in kept}
    before = plan.base.manifest.sources if plan.base and plan.is_extension else ()
    generation = max((source.generation for source in before), default=-1) + 1
    new = [_source_entry(each, generation) for each in judged]
    return [*(source for source in before if source.source in labels), *new]


def _source_entry(judged: _Judged, generation: int) -> SourceEntry:
    newcomer, verdicts = judged.newcomer, judged.verdicts
    source = newcomer.planned.source
    return SourceEntry(
        source=source.label,
        revision=source.revision,
        content_sha256=source.content_sha256,
        split=newcomer.planned.split,
        generation=generation,
        duplicates={
            "exact": sum(verdict.num_exact for verdict in verdicts),
            "near": sum(verdict.num_near for verdict in verdicts),
        },
        **asdict(newcomer.report),
    )


def _source_order(source: SourceEntry) -> tuple[int, str]:
    return SPLITS.index(source.split), source.source


def _sweep(output: Path, manifest: Manifest) -> None:
    """Remove the shards that the manifest does not name, and what a killed build left."""
    named = {output / shard.path for shard in manifest.shards}
    for path in (output / "shards").rglob("*.parquet"):
        if path not in named:
            path.unlink()
    for path in output.rglob(f".*{TEMPORARY_SUFFIX}"):
        if path.is_file():
            path.unlink()
