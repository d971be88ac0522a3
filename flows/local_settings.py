"""Settings under which a flow runs from the command line, with no Prefect server and little noise.

Prefect then starts a small server of its own for the run and ends it afterwards. Its records stay
in this project's `.prefect/`, so a Prefect profile of the user's is neither read nor written. Where
PREFECT_API_URL is set, the run is recorded on that server instead. Prefect reads its settings when
it is first imported, so `apply` comes before that; a variable that is set already wins.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).resolve().parents[1]

# Work for servers that stay: schedules, late runs, automations. A run's own needs none of it.
IDLE_SERVICES: Final = (
    "CANCELLATION_CLEANUP",
    "DB_VACUUM",
    "EVENT_LOGGER",
    "FOREMAN",
    "LATE_RUNS",
    "PAUSE_EXPIRATIONS",
    "REPOSSESSOR",
    "SCHEDULER",
    "TRIGGERS",
)

SETTINGS: Final[Mapping[str, str]] = {
    "PREFECT_HOME": str(PROJECT / ".prefect"),
    "PREFECT_LOGGING_SETTINGS_PATH": str(Path(__file__).with_name("logging.yml")),
    "PREFECT_PLUGINS_ENABLED": "false",  # it leads to the server of `make services`
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # its default, 20 s, is too short
    # for a busy machine: the first start also makes the database
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "GIT_PYTHON_REFRESH": "quiet",  # mlflow looks for git and warns where there is none
    **{f"PREFECT_SERVER_SERVICES_{name}_ENABLED": "false" for name in IDLE_SERVICES},
}


def apply() -> None:
    """Set the environment variables that are not set yet."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
