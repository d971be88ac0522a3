"""Start the processes of one machine, as torchrun does, and end as they did.

torchrun's own command ends with 1 whatever its processes ended with, so nobody could tell a run
that is to be resumed from one that was refused. For several machines, start `torchrun -m
graphmert.training.cli` on each.
"""

import ctypes
import logging
import os
import signal
import sys
import uuid
from collections.abc import Sequence
from typing import NoReturn

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

LAUNCHED = "TORCHELASTIC_RUN_ID"  # torchrun sets it for the processes that it starts
PR_SET_PDEATHSIG = 1  # from linux/prctl.h


def launch(arguments: Sequence[str], num_processes: int, when_stopped: int) -> int:
    """Run `graphmert-train ARGUMENTS` in several processes; return the exit code of the first that
    failed (128 + N for signal N), 0 where none did, `when_stopped` where this process was told to
    stop: it passes that on, and they save a checkpoint."""
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=num_processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",  # "localhost" may be an IPv6 address that nobody has
        max_restarts=0,
    )
    # What it would log of a process that failed, the process has said in a line of its own.
    elastic = logging.getLogger("torch.distributed.elastic")
    elastic.addHandler(logging.NullHandler())
    elastic.propagate = False
    threads = max(1, (os.cpu_count() or 1) // num_processes)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    try:
        elastic_launch(config, sys.executable)("-m", "graphmert.training.cli", *arguments)
    except ChildFailedError as error:
        code = error.get_first_failure()[1].exitcode
        return code if code >= 0 else 128 - code
    except SignalException:
        return when_stopped
    return 0


def is_launched() -> bool:
    """Return whether this process is one that `launch` or torchrun started."""
    return LAUNCHED in os.environ


def end_with_launcher() -> None:
    """Ask the kernel to end this process when its parent dies, even by `kill -9` (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def end_at_once(code: int) -> NoReturn:
    """End this process, one of several, without waiting for others and without tearing down.

    Threads of the group that it joined may still run, after a failure they do, and at a usual end
    of the interpreter they often abort it: its launcher would see SIGABRT in place of `code`.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
