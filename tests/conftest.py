"""What must be set before any test imports anything, and which tests run side by side."""

import os
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# Triton decides at its import whether kernels are compiled for a GPU or interpreted on the CPU.
if not Path("/dev/nvidiactl").exists():
    os.environ.setdefault("TRITON_INTERPRET", "1")


# The files whose tests share real servers, and runs that take a minute each.
WITH_SERVERS = {
    f"tests/flows/test_{name}.py"
    for name in (
        *("ablation", "broken_runs", "browser", "build_and_train"),
        *("deployments", "mapped_build", "services"),
    )
}


class ServersTogether(LoadScopeScheduling):
    """Give all tests with servers to one worker, since they mostly wait for processes, and each
    other file to whichever is free."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "servers" if file in WITH_SERVERS else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ServersTogether:
    """Divide the tests between the workers of `make test`."""
    return ServersTogether(config, log)
