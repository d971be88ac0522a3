"""A build on a local Dask cluster gives the same bytes as one in this process."""

from pathlib import Path

import pytest
from build_runs import arguments, contents, copy_package, settings
from distributed import LocalCluster
from prefect.settings import PREFECT_API_URL, temporary_settings
from service_harness import Services

from flows import mapped_build
from graph_builder import file_batch
from graph_builder.build import build_dataset


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    for name in ("json", "html", "wsgiref", "dbm"):
        copy_package(name, tmp_path)
    return tmp_path


def test_a_dask_cluster_gives_the_same_bytes(
    services: Services, sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_batch, "BATCH_BYTES", 10_000)  # so that sources have several
    build_dataset(settings(sources, "alone"))
    shards = [name for name in contents(sources / "alone") if name.endswith(".parquet")]
    assert len(shards) > 4
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, temporary_settings({PREFECT_API_URL: services.prefect_url}):
        monkeypatch.setenv(mapped_build.RUNNER_VARIABLE, "dask")
        monkeypatch.setenv(mapped_build.ADDRESS_VARIABLE, cluster.scheduler_address)
        flow = mapped_build.mapped_build.with_options(task_runner=mapped_build.task_runner())
        assert flow(arguments(settings(sources, "mapped", cache_dir=sources / "other"))) == 0
    assert contents(sources / "mapped") == contents(sources / "alone")
