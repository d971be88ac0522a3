"""What must be set before any test imports anything, which tests run side by side, and a
real MLflow store."""

import os
from pathlib import Path

import hypothesis
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# Triton decides at its import whether kernels are compiled for a GPU or interpreted on the CPU.
if not Path("/dev/nvidiactl").exists():
    os.environ.setdefault("TRITON_INTERPRET", "1")


# A busy machine may stop an example for longer than any of them takes.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

# Files whose tests share servers and runs that take a minute each. Two more, of broken runs and of
# mapped builds, share servers alone: they have their own where the other worker takes them.
WITH_RUNS = {
    f"tests/flows/test_{name}.py"
    for name in ("ablation", "browser", "build_and_train", "deployments", "services")
}


class RunsTogether(LoadScopeScheduling):
    """Give all tests that share runs to one worker, since they mostly wait for processes, and each
    other file to whichever is free."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "with runs" if file in WITH_RUNS else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> RunsTogether:
    """Divide the tests between the workers of `make test`."""
    return RunsTogether(config, log)


@pytest.fixture(scope="session")
def mlflow_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for the session: making its tables takes seconds."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def mlflow_store(mlflow_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a real SQLite store MLflow's own for one test; return its folder."""
    from graphmert.tracking.store import use_store  # noqa: PLC0415

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{mlflow_folder / 'mlflow.db'}")
    use_store()
    return mlflow_folder
