"""The folder for what can be fetched or made again."""

import os
from pathlib import Path


def default_cache_dir() -> Path:
    """Return graph-builder below $XDG_CACHE_HOME, else below ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "graph-builder"
