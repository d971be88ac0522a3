"""The `build-dataset` flow: sources in, a data-set folder out.

The build itself is `graph-builder build` in a child process. It is the cache of this step: it
compares the sources' content, its settings, its tokenizer and its own version with what the folder
was built from, and what has not changed is not parsed again, whichever process asks.
"""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task

from flows.child_process import CommandFailed, run_module
from flows.dataset_request import BuiltDataset, DatasetRequest
from flows.defaults import TEST_SOURCES, TRAIN_SOURCES, VALIDATION_SOURCES, VOCAB_SIZE
from flows.extension import REQUEST_NAME, copy_base, extended_request, save_request
from flows.latest import point_latest
from flows.mapped_build import builder_module
from flows.parameters import SourceSpecs, VocabularySize
from flows.progress import Progress
from flows.source_table import show_sources
from graph_builder.build_folder import BUILDING_NAME
from graph_builder.dataset import open_dataset
from graph_builder.manifest import MANIFEST_NAME

BAD_INPUT, UNAVAILABLE = 2, 69  # exit codes of the builder; 69: something cannot be fetched now
RETRIES_AFTER_S = [10.0, 60.0]
STATISTICS_NAME = "statistics.html"  # in the data set's folder
# Of the builder's lines: graph-builder: parsing: 3 of 40 files, 0.1 of 1.2 MB, 0.5 MB/s, 2 s left
MEGABYTES = re.compile(
    r"graph-builder: (?P<what>parsing|linking): .* files, (?P<done>[\d.]+) of (?P<total>[\d.]+) MB"
)


def should_retry(task: Any, run: Any, state: Any) -> bool:
    """Return whether the build failed because something outside could not be reached."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, CommandFailed) and error.code == UNAVAILABLE


@task(
    task_run_name="build data set",
    retries=len(RETRIES_AFTER_S),
    retry_delay_seconds=RETRIES_AFTER_S,
    retry_condition_fn=should_retry,
)
def build(request: DatasetRequest, folder: Path) -> BuiltDataset:
    """Build the data set in `folder`, or find it there as it is to be; show how and what."""
    progress = Progress("building the data set", get_run_logger().info, share_done)
    built = build_in_child(request, folder, progress)
    progress.finish()
    show_sources(open_dataset(folder).manifest)
    return built


def build_in_child(
    request: DatasetRequest, folder: Path, pass_on: Callable[[str], None]
) -> BuiltDataset:
    """Build the data set in `folder`, or find it there; `pass_on` gets the builder's lines."""
    before = manifest_time(folder)
    if request.extends is not None:
        copy_base(folder.with_name(request.extends), folder)
    elif is_broken(folder):
        shutil.rmtree(folder)
    arguments = ["build", "--output", str(folder), *request.arguments()]
    try:
        run_module("graph-builder", builder_module(), arguments, pass_on)
    except CommandFailed as error:
        if error.code == BAD_INPUT and request.extends is not None and before is None:
            shutil.rmtree(folder)  # the copy of the base
        raise
    is_reused = before == manifest_time(folder)
    if not is_reused or not (folder / STATISTICS_NAME).exists():
        save_request(request, folder)
        save_statistics(folder)
    return BuiltDataset(str(folder), open_dataset(folder).digest, is_reused)


def is_broken(folder: Path) -> bool:
    """Return whether a data set of a flow is there without its manifest, and none in the making."""
    has_request, has_manifest, is_building = (
        (folder / name).exists() for name in (REQUEST_NAME, MANIFEST_NAME, BUILDING_NAME)
    )
    return has_request and not has_manifest and not is_building


def share_done(line: str) -> float | None:
    """Return how much of a build is done by the word of one of the builder's lines.

    All is parsed first and linked then; each counts as one half.
    """
    if (found := MEGABYTES.match(line)) is None:
        return None
    share = float(found["done"]) / max(float(found["total"]), 0.1)
    return share / 2 if found["what"] == "parsing" else (1 + share) / 2


def save_statistics(folder: Path) -> None:
    """Write the builder's page on a data set beside its shards; what it prints is on the page."""
    arguments = ["stats", str(folder), "--html", str(folder / STATISTICS_NAME)]
    run_module("graph-builder", "graph_builder.cli", arguments, lambda line: None)


def manifest_time(folder: Path) -> int | None:
    """Return when the manifest was written (ns), None where there is none: reuse leaves it."""
    path = folder / MANIFEST_NAME
    return path.stat().st_mtime_ns if path.exists() else None


def build_latest(request: DatasetRequest, data_dir: Path) -> BuiltDataset:
    """Build a data set in the folder of its name; from now on it is the latest one."""
    built = build(request, data_dir / request.name)
    point_latest(data_dir / request.name)
    return built


@flow(name="build-dataset", flow_run_name="build-dataset", validate_parameters=True)
def build_dataset(
    *,
    train: SourceSpecs = TRAIN_SOURCES,
    validation: SourceSpecs = VALIDATION_SOURCES,
    test: SourceSpecs = TEST_SOURCES,
    add_sources: SourceSpecs = (),
    vocab_size: VocabularySize = VOCAB_SIZE,
    data_dir: Path = Path("data"),
) -> BuiltDataset:
    """Build a data set of chain graphs from Python sources.

    Args:
        train: Sources to train on: path:DIR, installed:NAME, stdlib, git+URL@REV or
            pypi:NAME==VERSION.
        validation: Sources for every choice and for the champion gate; none of them is trained on.
        test: Sources for final tables only.
        add_sources: Sources to add to the training sources of the last data set, whose other
            sources, tokenizer and settings stay; then train, validation, test and vocab_size
            are not looked at.
        vocab_size: Number of token ids of the tokenizer, which is trained on the training sources.
        data_dir: Folder that holds the data sets, each in a folder of its own.
    """
    request = DatasetRequest(train, validation, test, vocab_size)
    if add_sources:
        request = extended_request(data_dir, add_sources)
    return build_latest(request, data_dir)
