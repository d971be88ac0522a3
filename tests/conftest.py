"""What must be set before any test imports anything, and which tests run side by side."""

import os
from pathlib import Path

import pytest

# Triton decides at its import whether kernels are compiled for a GPU or interpreted on the CPU.
if not Path("/dev/nvidiactl").exists():
    os.environ.setdefault("TRITON_INTERPRET", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Divide the tests between the workers of `make test`: to one of them all that share the real
    servers and runs, since they mostly wait, and each other file to whichever is free."""
    for item in items:
        assert isinstance(item, pytest.Function)
        has_servers = "place" in item.fixturenames  # which `services` builds upon
        item.add_marker(pytest.mark.xdist_group("servers" if has_servers else item.path.name))
