"""The `build-dataset` flow: sources in, a data-set folder out.

The build itself is `graph-builder build` in a child process; what was built before with the same
content is used again by it.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task

from flows.child_process import CommandFailed, run_module
from flows.defaults import TEST_SOURCES, TRAIN_SOURCES, VALIDATION_SOURCES, VOCAB_SIZE
from flows.mapped_build import builder_module
from flows.parameters import SourceSpecs, VocabularySize
from graph_builder.dataset import open_dataset
from graph_builder.manifest import MANIFEST_NAME, canonical_sha256

UNAVAILABLE = 69  # exit code of the builder where a repository or an index cannot be reached


@dataclass(frozen=True)
class DatasetRequest:
    """What a data set is to be built from."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...] = ()
    vocab_size: int = VOCAB_SIZE
    tokenizer: str | None = None  # folder of one that is used as it is; None: trained

    @property
    def name(self) -> str:
        """A folder name that is the same for the same request."""
        return f"dataset-{canonical_sha256(vars(self))[:12]}"

    def parameters(self) -> dict[str, object]:
        """Return the request as MLflow parameters, lists of sources as one line each."""
        values = asdict(self).items()
        return {
            name: " ".join(value) if isinstance(value, tuple) else value for name, value in values
        }


@dataclass(frozen=True)
class BuiltDataset:
    path: str
    digest: str  # the data set's identity
    is_reused: bool  # nothing had changed since it was built


def should_retry(task: Any, run: Any, state: Any) -> bool:
    """Return whether the build failed because something outside could not be reached."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, CommandFailed) and error.code == UNAVAILABLE


@task(
    task_run_name="build data set",
    retries=2,
    retry_delay_seconds=[10, 60],
    retry_condition_fn=should_retry,
)
def build(request: DatasetRequest, folder: Path) -> BuiltDataset:
    """Build the data set in `folder`, or find it there as it is to be."""
    before = manifest_time(folder)
    run_module("graph-builder", builder_module(), arguments(request, folder), get_run_logger().info)
    dataset = open_dataset(folder)
    return BuiltDataset(str(folder), dataset.digest, is_reused=before == manifest_time(folder))


def arguments(request: DatasetRequest, folder: Path) -> list[str]:
    """Return the arguments of `graph-builder` for a request."""
    chosen = ["build", "--output", str(folder), "--vocab_size", str(request.vocab_size)]
    for split in ("train", "validation", "test"):
        if specs := getattr(request, split):
            chosen += [f"--{split}", *specs]
    if request.tokenizer is not None:
        chosen += ["--tokenizer", request.tokenizer]
    return chosen


def manifest_time(folder: Path) -> int | None:
    """Return when the manifest was written (ns), None where there is none: reuse leaves it."""
    path = folder / MANIFEST_NAME
    return path.stat().st_mtime_ns if path.exists() else None


@flow(name="build-dataset", flow_run_name="build-dataset", validate_parameters=True)
def build_dataset(
    *,
    train: SourceSpecs = TRAIN_SOURCES,
    validation: SourceSpecs = VALIDATION_SOURCES,
    test: SourceSpecs = TEST_SOURCES,
    vocab_size: VocabularySize = VOCAB_SIZE,
    data_dir: Path = Path("data"),
) -> BuiltDataset:
    """Build a data set of chain graphs from Python sources.

    Args:
        train: Sources to train on: path:DIR, installed:NAME, stdlib, git+URL@REV or
            pypi:NAME==VERSION.
        validation: Sources for every choice and for the champion gate; none of them is trained on.
        test: Sources for final tables only.
        vocab_size: Number of token ids of the tokenizer, which is trained on the training sources.
        data_dir: Folder that holds the data sets, each in a folder of its own.
    """
    request = DatasetRequest(train, validation, test, vocab_size)
    return build(request, data_dir / request.name)
