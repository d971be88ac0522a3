"""The data set of the flow is found again by what it holds, not by the path that it had."""

import shutil
from pathlib import Path

from flows.build_dataset import build_in_child
from flows.dataset_request import DatasetRequest


def test_a_data_set_whose_manifest_is_gone_is_built_again(
    small_dataset: tuple[DatasetRequest, Path], tmp_path: Path
) -> None:
    request, dataset = small_dataset
    folder = shutil.copytree(dataset, tmp_path / "set")
    found = build_in_child(request, folder, print)
    assert found.is_reused
    (folder / "manifest.json").unlink()
    again = build_in_child(request, folder, print)
    assert not again.is_reused
    assert again.digest == found.digest
    assert (folder / "manifest.json").exists()
