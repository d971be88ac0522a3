"""Where the services of this machine keep their records and logs, and the pool that they serve."""

import os
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).resolve().parents[1]
WORK_POOL: Final = "graphmert"  # its queues, cpu and gpu, come with the deployments


def services_folder() -> Path:
    """Return GRAPHMERT_SERVICES, or `.services/` in the checkout."""
    return Path(os.environ.get("GRAPHMERT_SERVICES") or PROJECT / ".services")
