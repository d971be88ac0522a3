"""The GPUs of this machine, and the slots that keep two runs from sharing one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect.concurrency.sync import concurrency

GPU_SLOTS = "graphmert-gpu"  # global concurrency limit: a slot for each GPU, one without any
LEASE_S = 60.0  # a run that is killed frees its slots after this


def count_gpus() -> int:
    """Return the number of GPUs that torch would use (CUDA_VISIBLE_DEVICES counts)."""
    if not any(Path("/dev").glob("nvidia[0-9]*")):
        return 0  # and torch, which takes seconds to import, need not be asked
    import torch  # noqa: PLC0415

    return torch.cuda.device_count()


@contextmanager
def gpu_slots(number: int) -> Iterator[None]:
    """Hold GPU slots of the Prefect server, waiting for them: one at least, since a machine without
    a GPU has one. Without the limit, go on at once.

    A renewal of the lease that fails, as when the server restarts, does not end hours of work.
    """
    with concurrency(
        GPU_SLOTS,
        occupy=max(number, 1),
        lease_duration=LEASE_S,
        raise_on_lease_renewal_failure=False,
    ):
        yield
