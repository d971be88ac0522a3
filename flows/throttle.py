"""A limit on how many lines a command may put into the log of a run.

A build may name thousands of files that it left out; each line is a record on the Prefect server.
"""

import time
from collections.abc import Callable

BURST = 200  # lines that pass at once
LINES_PER_S = 10.0  # and from then on


class Throttle:
    """Pass lines on; those beyond the limit are counted, and the count is passed on."""

    def __init__(
        self, pass_on: Callable[[str], None], now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._pass_on, self._now_s = pass_on, now_s
        self._room = float(BURST)
        self._since_s = now_s()
        self._num_left_out = 0

    def __call__(self, line: str) -> None:
        now_s = self._now_s()
        self._room = min(self._room + (now_s - self._since_s) * LINES_PER_S, BURST)
        self._since_s = now_s
        if self._room < 1:
            self._num_left_out += 1
            return
        self.close()
        self._room -= 1
        self._pass_on(line)

    def close(self) -> None:
        """Say how many lines were left out since the last one that passed."""
        if self._num_left_out:
            self._pass_on(f"({self._num_left_out:,} lines left out: too many for a log)")
            self._num_left_out = 0
