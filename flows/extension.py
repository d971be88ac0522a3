"""Extending the last data set: a folder of its own that starts with the shards of its base.

The builder keeps what is there and parses what is new. The base stays as it was, for the models
that were trained on it; both share shards as hard links, since nobody writes into one.
"""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from flows.dataset_request import DatasetRequest
from flows.latest import LATEST
from graph_builder.errors import UserError
from graph_builder.manifest import MANIFEST_NAME
from graph_builder.whole_file import write_whole

REQUEST_NAME = "request.json"  # in a data set's folder: what it was built from, for extending it


def save_request(request: DatasetRequest, folder: Path) -> None:
    """Write down what a data set was built from."""
    write_whole(folder / REQUEST_NAME, (json.dumps(asdict(request), indent=1) + "\n").encode())


def extended_request(data_dir: Path, added: Sequence[str]) -> DatasetRequest:
    """Return the request of the last data set with sources added to training.

    Without a source that it lacks, that is its own request. Raises UserError where there is none.
    """
    base = (data_dir / LATEST).resolve()
    try:
        values = json.loads((base / REQUEST_NAME).read_bytes())
    except FileNotFoundError:
        raise UserError(
            f"{data_dir / LATEST}: no data set to extend: build one first, without add_sources"
        ) from None
    lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    request = DatasetRequest(**{**values, **lists})
    new = tuple(spec for spec in dict.fromkeys(added) if spec not in request.sources)
    if not new:
        return request
    return replace(request, train=(*request.train, *new), extends=base.name)


def copy_base(base: Path, folder: Path) -> None:
    """Let a folder start as its base, unless it is a data set already."""
    if (folder / MANIFEST_NAME).exists():
        return
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(
        base, partial, copy_function=os.link, ignore=shutil.ignore_patterns(".building")
    )
    shutil.rmtree(folder, ignore_errors=True)  # what a build left that never came to its end
    partial.rename(folder)
