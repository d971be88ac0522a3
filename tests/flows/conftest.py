"""What the tests of the flows share, made once for the session: each of it takes a while."""

import re
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from service_harness import Services, start_services
from workplace import SPLITS, Workplace, workplace, write_sources

from flows.build_dataset import build_in_child
from flows.dataset_request import DatasetRequest
from flows.latest import point_latest


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    return workplace(tmp_path_factory.mktemp("job"))


@pytest.fixture(scope="session")
def first_summary(place: Workplace) -> str:
    """Run the command, with no server, and return what it prints."""
    arguments = [
        word
        for name, value in place.parameters.items()
        for word in (f"--{name}", *(value if isinstance(value, list) else [str(value)]))
    ]
    done = place.run(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def services(place: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Real servers and a real worker, over the MLflow store that the command uses, too."""
    folder = tmp_path_factory.mktemp("services")
    try:
        yield start_services(folder, place)
    finally:
        shell = place.variables | {"GRAPHMERT_SERVICES": str(folder)}
        done = Services(folder, shell).services("stop")
    assert done.returncode == 0, done.stderr
    assert processes_with("GRAPHMERT_SERVICES", str(folder)) == []


def processes_with(variable: str, value: str) -> list[psutil.Process]:
    """Return the processes that have an environment variable with this value."""
    return [
        each
        for each in psutil.process_iter(["environ"])
        if (each.info["environ"] or {}).get(variable) == value
    ]


@pytest.fixture(scope="session")
def second_summary(first_summary: str, services: Services, place: Workplace) -> str:
    """Run the deployment by its short name with the same parameters; return its summary."""
    done = services.run_deployment("build-and-train", **place.parameters)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "finished successfully" in done.stdout
    flow_run = re.search(r"UUID: (\S+)", done.stdout)
    assert flow_run
    texts = services.artifacts(flow_run.group(1), "markdown")
    (summary,) = (text for text in texts if "Bits for each masked byte" in text)
    return summary


@pytest.fixture(scope="session")
def deployed_run(second_summary: str) -> str:
    """The MLflow run's id of the run that went through the worker."""
    found = re.search(r"MLflow run (\w+):", second_summary)
    assert found
    return found.group(1)


@pytest.fixture(scope="session")
def small_dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[DatasetRequest, Path]:
    """A data set of small sources, the latest of its folder, and the request for it."""
    folder = write_sources(tmp_path_factory.mktemp("small"))
    specs = {split: (f"path:{folder / 'sources' / split}",) for split in SPLITS}
    request = DatasetRequest(**specs, vocab_size=400)
    dataset = folder / "data" / request.name
    assert not build_in_child(request, dataset, print).is_reused
    point_latest(dataset)
    return request, dataset
