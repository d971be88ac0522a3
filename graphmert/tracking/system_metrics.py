"""CPU, memory, disk, network and GPUs of this machine as metrics `system/..` of a run."""

from collections.abc import Iterator
from contextlib import contextmanager

from graphmert.tracking.store import use_store

SAMPLED_EVERY_S = 5.0  # MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL wins


@contextmanager
def system_metrics(run_id: str) -> Iterator[None]:
    """Sample the machine while the work inside is done; a resumed run's steps go on."""
    use_store()
    from mlflow.system_metrics.system_metrics_monitor import (  # noqa: PLC0415
        SystemMetricsMonitor,
    )

    monitor = SystemMetricsMonitor(run_id, SAMPLED_EVERY_S, resume_logging=True)
    monitor.start()  # a thread; what fails in it is logged and ends it alone
    try:
        yield
    finally:
        monitor.finish()
