"""What of the log a terminal shows: the lines that this package's steps write, nothing else."""

import logging
from pathlib import Path

FLOWS = str(Path(__file__).parent)


class StepLines(logging.Filter):
    """Let lines of this package through, and errors that are no report on a flow or task run.

    Prefect reports a failed step in several places, with tracebacks; the command says it in one
    line of its own.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if record.pathname.startswith(FLOWS):
            return True
        return record.levelno >= logging.ERROR and not record.name.startswith("prefect.")
