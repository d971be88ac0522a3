"""The link `latest` beside the folders of data sets, and beside those of runs: the newest one."""

from pathlib import Path

LATEST = "latest"


def point_latest(folder: Path) -> None:
    """Let the link `latest` beside a folder lead to it, in one step."""
    link = folder.with_name(f".{LATEST}-{folder.name}")
    link.unlink(missing_ok=True)
    link.symlink_to(folder.name)
    link.replace(folder.with_name(LATEST))
