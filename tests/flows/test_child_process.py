"""Child processes of the flows: their lines, their exit codes, and none outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.child_process import CommandFailed, OutOfTime, run_module
from flows.throttle import BURST, LINES_PER_S, Throttle

DEADLINE_S = 20.0

# Prints its process id and that of a grandchild that ignores SIGTERM's default end, then waits.
TREE = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(f"pids {__import__('os').getpid()} {grandchild.pid}", flush=True)
time.sleep(600)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Return a function that makes an importable module of source text."""
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{root}")

    def write(text: str) -> str:
        (tmp_path / "small_command.py").write_text(text)
        return "small_command"

    return write


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_lines_are_passed_on_in_order_from_both_streams(module: Callable[[str], str]) -> None:
    lines: list[str] = []
    name = module("import sys\nprint('one')\nprint('two', file=sys.stderr)\nprint(sys.argv[1])")
    run_module("small", name, ["three"], lines.append)
    assert lines == ["one", "two", "three"]


def test_a_line_is_passed_on_while_the_command_still_runs(module: Callable[[str], str]) -> None:
    def stop_at_first(line: str) -> None:
        raise KeyError(line)

    began = time.monotonic()
    with pytest.raises(KeyError, match="first"):
        run_module(
            "small", module("import time\nprint('first')\ntime.sleep(600)"), [], stop_at_first
        )
    assert time.monotonic() - began < DEADLINE_S


@pytest.mark.parametrize(
    ("text", "message", "code"),
    [
        ("import sys; print('a'); sys.exit('small: no such file')", "small: no such file", 1),
        ("import sys; print('why'); sys.exit(3)", "small met a loss that is not finite: why", 3),
        ("import sys; sys.exit(9)", "small failed with exit code 9: it said nothing", 9),
        (
            "import os; os.kill(os.getpid(), 9)",
            "small was killed, perhaps for lack of memory: it said nothing",
            137,
        ),
    ],
)
def test_an_exit_code_becomes_one_line(
    module: Callable[[str], str], text: str, message: str, code: int
) -> None:
    lines: list[str] = []
    with pytest.raises(CommandFailed) as caught:
        run_module("small", module(text), [], lines.append)
    assert str(caught.value) == message
    assert caught.value.code == code
    assert message not in lines


def test_what_a_command_started_ends_with_it(module: Callable[[str], str]) -> None:
    lines: list[str] = []
    run_module("small", module(TREE.replace("time.sleep(600)\n", "", 1)), [], lines.append)
    pids = [int(word) for word in lines[0].split()[1:]]
    wait_until(lambda: not any(is_running(pid) for pid in pids))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_the_whole_tree_ends_when_the_parent_is_killed(
    module: Callable[[str], str], number: signal.Signals
) -> None:
    name = module(TREE)
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            # A shell that started the tests in the background has SIGINT ignored in them.
            "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
            f"from flows.child_process import run_module; run_module('small', {name!r}, [],"
            " lambda line: print(line, flush=True))",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()[1:]]
    assert len(pids) == 2
    assert all(is_running(pid) for pid in pids)
    parent.send_signal(number)
    parent.wait(timeout=DEADLINE_S)
    wait_until(lambda: not any(is_running(pid) for pid in pids))
    parent.stdout.close()


# Starts a process in a session of its own, as torchrun does, and is killed itself.
SESSIONS = """
import os, signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"],
                         start_new_session=True)
print(f"pid {child.pid}", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_an_orphan_in_a_session_of_its_own_ends_too(module: Callable[[str], str]) -> None:
    lines: list[str] = []
    with pytest.raises(CommandFailed, match="was killed"):
        run_module("small", module(SESSIONS), [], lines.append)
    wait_until(lambda: not is_running(int(lines[0].split()[1])))


# The supervisor with less patience than it has, over a tree that hears no SIGTERM.
STUBBORN = TREE.replace("lambda *_: sys.exit(75)", "signal.SIG_IGN")
IMPATIENT = """
import sys
from flows import supervisor
supervisor.GRACE_S = 1
sys.exit(supervisor.main(sys.argv[1:]))
"""


def test_what_hears_no_sigterm_is_killed_after_a_while() -> None:
    tree = [sys.executable, "-c", STUBBORN]
    supervisor = subprocess.Popen(
        [sys.executable, "-c", IMPATIENT, str(os.getpid()), *tree],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert supervisor.stdout is not None
    with supervisor.stdout as lines:
        pids = [int(word) for word in lines.readline().split()[1:]]
    assert len(pids) == 2
    supervisor.terminate()
    assert supervisor.wait(timeout=DEADLINE_S) == 128 + signal.SIGKILL
    wait_until(lambda: not any(is_running(pid) for pid in pids))


def test_a_time_limit_is_a_soft_end(
    module: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    ends: list[Callable[[], None]] = []

    class Timer:
        """One whose time is over when the command has said its first line."""

        def __init__(self, seconds: float, end: Callable[[], None]) -> None:
            self._end = end

        def start(self) -> None:
            ends.append(self._end)

        def cancel(self) -> None:
            ends.clear()

    def hear(line: str) -> None:
        lines.append(line)
        ends.pop()()

    with monkeypatch.context() as clock:
        clock.setattr("flows.child_process.threading.Timer", Timer)
        with pytest.raises(OutOfTime, match="small reached its time limit of 1 s") as caught:
            run_module("small", module(TREE), [], hear, time_limit_s=1)
    assert caught.value.code == 75  # what it says after SIGTERM
    run_module("small", module("print('in time')"), [], lines.append, time_limit_s=60)
    assert lines[-1] == "in time"


def test_a_flood_of_lines_is_cut_and_counted() -> None:
    now_s, lines = [0.0], list[str]()
    throttle = Throttle(lines.append, lambda: now_s[0])
    for number in range(BURST + 1000):
        throttle(str(number))
    assert lines == [str(number) for number in range(BURST)]
    now_s[0] = 1.0
    throttle("later")
    assert lines[BURST:] == ["(1,000 lines left out: too many for a log)", "later"]
    for _ in range(int(LINES_PER_S) + 5):
        throttle("more")
    throttle.close()
    assert lines[-1] == "(6 lines left out: too many for a log)"
