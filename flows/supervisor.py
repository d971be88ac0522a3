"""Run one command so that it, and all that it started, never outlives whoever asked for it.

`python -m flows.supervisor PARENT_PID COMMAND...` is what child_process.py starts. The supervisor
gives the command a process group of its own and hears of its parent's death from the kernel
(Linux), even when that was `kill -9`. It passes SIGTERM and SIGINT on to the whole group, so that a
trainer can save a checkpoint, and kills what is left after a while. Standard library only: it
starts in a few milliseconds.

Trainers of several GPUs have a session of their own each. So the supervisor also asks the kernel to
become the parent of every orphan below it, and ends those with the rest.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType

GRACE_S = 30  # between SIGTERM and SIGKILL: long enough for a trainer to write its checkpoint
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # from linux/prctl.h


def main(argv: list[str]) -> int:
    """Run the command of `argv` and return its exit code, or 128 + the signal that ended it."""
    parent, command = int(argv[0]), argv[1:]
    signal_at_parents_death()
    set_process_option(PR_SET_CHILD_SUBREAPER, 1)
    if os.getppid() != parent:  # it died before the kernel was asked
        return 128 + signal.SIGTERM
    handlers = (signal.SIGTERM, signal.SIGINT)
    signal.pthread_sigmask(signal.SIG_BLOCK, handlers)
    child = subprocess.Popen(command, process_group=0, preexec_fn=share_fate)  # noqa: PLW1509 (no threads here)
    for number in handlers:
        signal.signal(number, stop_group(child.pid))
    signal.signal(signal.SIGALRM, lambda *_: kill_group(child.pid, signal.SIGKILL))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, handlers)
    code = child.wait()
    kill_group(child.pid, signal.SIGKILL)
    kill_orphans()
    return code if code >= 0 else 128 - code


def signal_at_parents_death() -> None:
    """Ask the kernel for a SIGTERM when the parent of this process dies."""
    set_process_option(PR_SET_PDEATHSIG, signal.SIGTERM)


def set_process_option(option: int, value: int) -> None:
    """Set an option of this process in the kernel; elsewhere than on Linux do nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value)


def share_fate() -> None:
    """Set up the forked child before it becomes the command: same fate, signals open."""
    signal_at_parents_death()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))


def stop_group(group: int) -> Callable[[int, FrameType | None], None]:
    """Return a signal handler that ends the process group softly now and for sure after a while."""

    def handle(number: int, frame: FrameType | None) -> None:
        kill_group(group, signal.SIGTERM)
        signal.alarm(GRACE_S)

    return handle


def kill_orphans() -> None:
    """Kill what still runs below this process, which is by now the parent of what is left."""
    while orphans := own_children():
        for pid in orphans:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def own_children() -> list[int]:
    """Return the children of this process (Linux; elsewhere none)."""
    children = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended since it was listed, or is not to be seen
            parent = stat.read_text(errors="replace").rpartition(")")[2].split()[1]
            if int(parent) == os.getpid():
                children.append(int(stat.parent.name))
    return children


def kill_group(group: int, number: int) -> None:
    with suppress(ProcessLookupError):  # all of it has ended
        os.killpg(group, number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
