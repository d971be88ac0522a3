"""What must be set before any test imports anything, and which tests run side by side."""

import os
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# Triton decides at its import whether kernels are compiled for a GPU or interpreted on the CPU.
if not Path("/dev/nvidiactl").exists():
    os.environ.setdefault("TRITON_INTERPRET", "1")


class TwoSides(LoadScopeScheduling):
    """Two things side by side: the flows, whose tests share servers and mostly wait for processes,
    and all the rest, which computes."""

    def _split_scope(self, nodeid: str) -> str:
        return "flows" if nodeid.startswith("tests/flows/") else "rest"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> TwoSides:
    """Divide the tests between the workers of `make test`."""
    return TwoSides(config, log)
