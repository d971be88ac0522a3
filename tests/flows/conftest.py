"""The fixtures of tests that need the services: started once for the session."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from service_harness import Services, folders, newest_run, start_services
from small_sources import SPLITS, write_sources


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Real servers and a real worker."""
    folder = tmp_path_factory.mktemp("services")
    started = None
    try:
        started = start_services(folder)
        yield started
    finally:
        if started is not None:
            started.services("stop")


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three small sources, for data sets and runs."""
    return write_sources(tmp_path_factory.mktemp("deployed"))


@pytest.fixture(scope="session")
def first_run(services: Services, place: Path) -> str:
    """Run `build-and-train` on small sources; return the MLflow run's id."""
    sources = {split: [f"path:{place / 'sources' / split}"] for split in SPLITS}
    done = services.run_deployment(
        "build-and-train",
        **sources,
        **folders(place),
        vocab_size=500,
        batch_size=16,
        learning_rate=1e-3,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "finished successfully" in done.stdout
    return newest_run(services)
