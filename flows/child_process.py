"""Run a command of this project in a child process and pass its output on, line by line.

The heavy steps (building, training, evaluating) run in processes of their own: their memory goes
back when they end, a crash there ends one step with one clear line, and the flow stays small.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence

from flows.supervisor import GRACE_S

MEANINGS: Mapping[int, str] = {
    2: "refused its input",
    3: "met a loss that is not finite",
    75: "was stopped and can be resumed",
    130: "was interrupted",
    137: "was killed, perhaps for lack of memory",
    143: "was terminated",
}


class CommandFailed(RuntimeError):
    """A command that did not end with 0; the message is one line, fit to be shown to the user."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[type["CommandFailed"], tuple[str, int]]:
        return type(self), (str(self), self.code)  # Prefect may pass it between processes


class OutOfTime(CommandFailed):
    """A command that was stopped because it reached its time limit."""


def failure(program: str, code: int, said: str) -> CommandFailed:
    """Return what says in one line how a command ended."""
    meaning = MEANINGS.get(code, f"failed with exit code {code}")
    is_own_line = said.startswith(f"{program}: ")
    return CommandFailed(said if is_own_line else f"{program} {meaning}: {said}", code)


def run_module(
    program: str,
    module: str,
    arguments: Sequence[str],
    pass_on: Callable[[str], None],
    environment: Mapping[str, str] | None = None,
    time_limit_s: float | None = None,
) -> None:
    """Run `python -m MODULE ARGUMENTS` and hand each line that it prints to `pass_on`.

    `program` is the name that the command gives itself in its error line; that line ends up in
    the exception instead of in the log. Whatever ends this function early ends the command too.
    Raises CommandFailed where the command does not end with 0, and OutOfTime where it was told to
    end (softly, as by a cancelled run) because `time_limit_s` was over.
    """
    command = [sys.executable, "-u", "-m", module, *arguments]
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.supervisor", str(os.getpid()), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, **(environment or {})},
        start_new_session=True,
    )
    limit = TimeLimit(process, time_limit_s)
    try:
        with limit:
            said = stream_lines(process, program, pass_on)
            code = process.wait()
    finally:
        stop(process)
    if code != 0:
        if limit.is_reached:
            raise OutOfTime(f"{program} reached its time limit of {time_limit_s:g} s", code)
        raise failure(program, code, said)
    if said.startswith(f"{program}: "):
        pass_on(said)


class TimeLimit:
    """Tells a process to end, softly, when it has had its time; without a limit it does nothing."""

    def __init__(self, process: "subprocess.Popen[str]", seconds: float | None) -> None:
        self._process, self.is_reached = process, False
        self._timer = None if seconds is None else threading.Timer(seconds, self._end)

    def _end(self) -> None:
        self.is_reached = True
        self._process.terminate()

    def __enter__(self) -> None:
        if self._timer is not None:
            self._timer.start()

    def __exit__(self, *error: object) -> None:
        if self._timer is not None:
            self._timer.cancel()


def stream_lines(
    process: "subprocess.Popen[str]", program: str, pass_on: Callable[[str], None]
) -> str:
    """Pass on every line but a last one that opens with the program's name; return the last."""
    held, last = "", "it said nothing"
    assert process.stdout is not None
    for raw in process.stdout:
        line = raw.rstrip()
        if not line:
            continue
        if held:
            pass_on(held)
        held = line if line.startswith(f"{program}: ") else ""
        if not held:
            pass_on(line)
        last = line
    return last


def stop(process: "subprocess.Popen[str]") -> None:
    """End a command that still runs: softly first, its supervisor escalates; close its pipe."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=GRACE_S + 5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()
