"""Which process it was: enough to tell later, and from another process, whether it still runs.

A process id alone is used again after a while; with the time of its start it names one process.
"""

import os
import socket
from dataclasses import dataclass

import psutil

CLOCK_SLACK_S = 2.0  # the start is counted from the boot, whose time moves when the clock is set


@dataclass(frozen=True)
class ProcessIdentity:
    host: str
    pid: int
    started_s: float  # since the epoch

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}:{self.started_s:.2f}"

    @property
    def is_here(self) -> bool:
        """Whether the process is, or was, one of this machine."""
        return self.host == socket.gethostname()

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs; only this machine's can be looked at."""
        assert self.is_here
        try:
            process = psutil.Process(self.pid)
            is_same = abs(process.create_time() - self.started_s) < CLOCK_SLACK_S
            return is_same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


def identify(pid: int | None = None) -> ProcessIdentity:
    """Return the identity of a running process, by default of this one."""
    number = pid or os.getpid()
    return ProcessIdentity(socket.gethostname(), number, psutil.Process(number).create_time())


def parse_identity(text: str) -> ProcessIdentity:
    """Return the identity that `str` wrote; raise ValueError for anything else."""
    host, pid, started_s = text.rsplit(":", 2)
    return ProcessIdentity(host, int(pid), float(started_s))
