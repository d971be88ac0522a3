"""How far an epoch is: a bar on a terminal, a plain line now and then elsewhere."""

import sys
import time

from tqdm import tqdm

from graphmert.training.processes import is_first

SECONDS_BETWEEN_LINES = 10.0


class EpochProgress:
    """Report the updates of one epoch on standard error."""

    def __init__(self, title: str, num_done: int, num_updates: int) -> None:
        self._title, self._num_updates = title, num_updates
        self._is_terminal = sys.stderr.isatty() and is_first()
        self._bar = tqdm(
            total=num_updates,
            initial=num_done,
            desc=title,
            unit="update",
            disable=not self._is_terminal,
            leave=False,
        )
        self._last_line_s = time.monotonic()

    def advance(self, num_done: int, note: str) -> None:
        """Say that `num_done` updates are behind; `note` holds the latest figures."""
        self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(num_done - self._bar.n)
        now = time.monotonic()
        if not self._is_terminal and now - self._last_line_s >= SECONDS_BETWEEN_LINES:
            self._last_line_s = now
            say(f"{self._title}: update {num_done} of {self._num_updates} {note}")

    def close(self) -> None:
        self._bar.close()


def say(line: str) -> None:
    """Print one line on standard error, above a bar where there is one; the first process does."""
    if is_first():
        tqdm.write(line, file=sys.stderr)
