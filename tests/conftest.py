"""What must be set before any test imports anything, and which tests run side by side."""

import os
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# Triton decides at its import whether kernels are compiled for a GPU or interpreted on the CPU.
if not Path("/dev/nvidiactl").exists():
    os.environ.setdefault("TRITON_INTERPRET", "1")


class FlowsTogether(LoadScopeScheduling):
    """Give all tests of the flows to one worker, since they share servers and mostly wait for
    processes, and each other file to whichever is free."""

    def _split_scope(self, nodeid: str) -> str:
        return "flows" if nodeid.startswith("tests/flows/") else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FlowsTogether:
    """Divide the tests between the workers of `make test`."""
    return FlowsTogether(config, log)
