"""A released package as a source: the Python files of its wheel; nothing of it is executed.

`pip download` finds the wheel (pip's own settings say where); a package without one is refused,
since building it would run its code.
"""

import re
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath
from typing import Final

from graph_builder.errors import SourceUnavailable, UserError
from graph_builder.whole_folder import whole_folder

MAX_UNPACKED_BYTES: Final = 2**30  # a wheel whose code is larger is refused


def unpack_wheel(name: str, version: str, cache_dir: Path) -> Path:
    """Return the folder with the Python files of the wheel; raise UserError where there is none."""
    unpacked = cache_dir / f"{re.sub(r'[-_.]+', '-', name).lower()}-{version}"
    if not unpacked.is_dir():
        with whole_folder(unpacked) as folder:
            wheel = _download(f"{name}=={version}", folder)
            extract_python(wheel, folder)
            wheel.unlink()
    return unpacked


def extract_python(wheel: Path, folder: Path) -> None:
    """Write the Python files of `wheel` below `folder`; raise UserError for one that leads out."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = [member for member in archive.infolist() if member.filename.endswith(".py")]
            if sum(member.file_size for member in members) > MAX_UNPACKED_BYTES:
                raise UserError(f"{wheel.name}: more than {MAX_UNPACKED_BYTES:,} bytes of code")
            for member in members:
                target = folder / _checked_path(wheel, member.filename)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(member))
    except zipfile.BadZipFile as error:
        raise UserError(f"{wheel.name}: a damaged wheel ({error})") from error


def _checked_path(wheel: Path, filename: str) -> PurePosixPath:
    path = PurePosixPath(filename)
    if path.is_absolute() or ".." in path.parts or "\\" in filename:
        raise UserError(f"{wheel.name}: {filename!r} leads out of the wheel: it is refused")
    return path


def _download(requirement: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-input", "--no-deps", "--only-binary=:all:", "--dest", str(folder)]
    result = subprocess.run([*command, requirement], capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("*.whl"))
    if result.returncode != 0 or not wheels:
        said = result.stderr.splitlines() or ["pip gave no wheel"]
        errors = [line for line in said if line.startswith("ERROR:")]
        reason = (errors or said)[-1].removeprefix("ERROR:").strip()
        raise SourceUnavailable(f"pypi:{requirement}: cannot be downloaded as a wheel ({reason})")
    return wheels[0]
