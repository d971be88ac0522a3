"""The pull step of the deployments: a flow run works in the checkout that its code belongs to."""

import os
from pathlib import Path


def enter() -> dict[str, str]:
    """Make the checkout the working directory, so that relative paths mean what they say there."""
    folder = Path(__file__).resolve().parents[1]
    os.chdir(folder)
    return {"directory": str(folder)}
