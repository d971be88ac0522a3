"""How far a step is: its lines in the run's log, and a progress artifact for the Prefect UI."""

from collections.abc import Callable
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from flows.throttle import Throttle


class Progress:
    """Pass lines of a command on, and show the share of the work that they speak of."""

    def __init__(
        self, what: str, pass_on: Callable[[str], None], share_done: Callable[[str], float | None]
    ) -> None:
        """`share_done` returns the share, 0 to 1, that is done by a line's word; None: no word."""
        self._pass_on, self._share_done = Throttle(pass_on), share_done
        made = create_progress_artifact(0.0, description=what)
        assert isinstance(made, UUID)  # and no coroutine: a step is not asynchronous
        self._artifact_id = made
        self._percent = 0.0

    def __call__(self, line: str) -> None:
        self._pass_on(line)
        share = self._share_done(line)
        if share is not None:
            self.show(share)

    def finish(self) -> None:
        """Show that all is done."""
        self._pass_on.close()
        self.show(1.0)

    def show(self, share: float) -> None:
        """Show a share; the artifact never goes back, and is sent in whole percents only."""
        percent = float(int(100 * min(share, 1.0)))
        if percent > self._percent:
            self._percent = percent
            update_progress_artifact(self._artifact_id, percent)
