"""`make setup` says early, in one line, why it cannot work, and leaves nothing behind."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with no environment, as far as `make setup` looks at it."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def make(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    # `make test` tells its children that it is their parent; a user's make has none.
    variables = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MAKE") and name != "MFLAGS"
    }
    return subprocess.run(
        ["make", "--no-print-directory", "setup", *arguments],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def fake_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python whose environments hold no packages and whose pip fails, for want of a network."""
    script = tmp_path_factory.mktemp("bin") / "python"
    script.write_text(
        f"""#!/bin/sh
case "$*" in
  "-m venv "*)
    mkdir -p "$3/bin"
    printf '#!/bin/sh\\necho "pip: no network" >&2\\nexit 1\\n' > "$3/bin/python"
    chmod +x "$3/bin/python" ;;
  *) exec {sys.executable} "$@" ;;
esac
"""
    )
    script.chmod(0o755)
    return script


def test_a_short_disk_is_one_line_and_no_environment(checkout: Path) -> None:
    done = make(checkout, f"PYTHON={sys.executable}", "REQUIRED_MIB=999999999")
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if not line.startswith("make: ***")]
    assert len(said) == 1
    assert "999999999 MiB of free disk are needed here" in said[0]
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize("python", ["no-such-python", "false"])
def test_a_python_that_does_not_do_is_one_line(checkout: Path, python: str) -> None:
    done = make(checkout, f"PYTHON={python}")
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if not line.startswith("make: ***")]
    assert said == [
        "make setup: Python 3.11 or newer is needed; name one with PYTHON=/path/to/python"
    ]
    assert not (checkout / ".venv").exists()


def test_a_half_made_environment_is_made_again(checkout: Path, fake_python: Path) -> None:
    half = checkout / ".venv" / "bin" / "left-over"
    half.parent.mkdir(parents=True)
    half.touch()
    done = make(checkout, f"PYTHON={fake_python}", "REQUIRED_MIB=1")
    assert done.returncode != 0
    assert "pip: no network" in done.stderr
    assert not half.exists()
    assert not (checkout / ".venv" / ".ready").exists()
