"""Sources: from a spec to a folder with a sorted list of Python files and their content hash.

Nothing of a source is ever executed or imported; what has to be fetched is kept in a cache folder.
"""

import hashlib
import importlib.metadata
import json
import os
import platform
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from graph_builder.errors import UserError
from graph_builder.git_source import export_commit
from graph_builder.source_spec import SourceSpec
from graph_builder.source_text import Rejected, read_source
from graph_builder.wheel_source import unpack_wheel

# Folders that hold no code of the source itself. A virtual environment is known by its file.
_FOREIGN_FOLDERS: Final = frozenset({"__pycache__", "node_modules", "site-packages"})
_VENV_FILE: Final = "pyvenv.cfg"
# Left out of packages that serve as ready-made data; they would be a third of the library.
_TEST_FOLDERS: Final = frozenset({"test", "tests"})
_STDLIB_FOLDERS: Final = frozenset({"idlelib", "lib2to3", "dist-packages"})
_MACHINE_MODULE: Final = "_sysconfigdata"  # lists the paths of the machine that built Python


class FileContent(NamedTuple):
    """What is in a file: of one that cannot be used, the hash of the reason."""

    sha256: str
    num_bytes: int


@dataclass(frozen=True)
class ResolvedSource:
    """A source at a fixed state, with its files on this machine."""

    label: str  # see SourceSpec.label
    revision: str  # git commit, or version and content hash
    content_sha256: str
    root: Path  # folder that `files` are relative to
    files: tuple[str, ...]  # paths with forward slashes, sorted
    num_bytes: int
    contents: tuple[FileContent, ...]  # of `files`


def resolve(spec: SourceSpec, cache_dir: Path) -> ResolvedSource:
    """Find, or fetch into `cache_dir`, the files of a source.

    Raises UserError where there are none: missing folder, package or revision, no connection.
    """
    files: Iterator[str]
    match spec.kind:
        case "path":
            folder, version = _local_folder(spec), ""
            root = _above_packages(folder)
            inside = folder.relative_to(root)
            files = ((inside / file).as_posix() for file in _walk(folder, _FOREIGN_FOLDERS))
        case "stdlib":
            root, version = Path(sysconfig.get_path("stdlib")), platform.python_version()
            files = _walk(root, _FOREIGN_FOLDERS | _TEST_FOLDERS | _STDLIB_FOLDERS)
            files = (file for file in files if not file.startswith(_MACHINE_MODULE))
        case "installed":
            root, version, files = _installed(spec)
        case "git":
            root, version = export_commit(spec.location, spec.version, cache_dir / "git")
            files = _walk(root, frozenset())
        case "pypi":
            root = unpack_wheel(spec.location, spec.version, cache_dir / "pypi")
            version, files = spec.version, _walk(root, frozenset())
    return _settle(spec, root, version, tuple(sorted(set(files))))


def file_content(path: Path) -> FileContent:
    """Return the hash of a file, or of the reason why it cannot be used."""
    try:
        data = read_source(path)
    except Rejected as rejected:
        return FileContent(content_of(b"\0" + str(rejected).encode()).sha256, 0)
    return content_of(data)


def content_of(data: bytes) -> FileContent:
    return FileContent(hashlib.sha256(data).hexdigest(), len(data))


def _settle(spec: SourceSpec, root: Path, version: str, files: tuple[str, ...]) -> ResolvedSource:
    if not files:
        raise UserError(f"{spec.label}: no Python files in {root}: name a source that has some")
    contents = tuple(file_content(root / file) for file in files)
    digest = hashlib.sha256()
    for file, content in zip(files, contents, strict=True):
        digest.update(os.fsencode(file) + b"\0" + bytes.fromhex(content.sha256))
    sha256, num_bytes = digest.hexdigest(), sum(content.num_bytes for content in contents)
    hashed = f"{version}+sha256:{sha256}".removeprefix("+")
    revision = version if spec.kind == "git" else hashed
    return ResolvedSource(spec.label, revision, sha256, root, files, num_bytes, contents)


def _local_folder(spec: SourceSpec) -> Path:
    root = Path(os.path.realpath(spec.location))
    if not root.is_dir():
        what = "not a folder" if root.exists() else "no such folder"
        raise UserError(f"path:{spec.location}: {what}: give the folder of a repository")
    return root


def _above_packages(folder: Path) -> Path:
    """Return the nearest folder without `__init__.py`: what the modules' names begin below."""
    return next(place for place in (folder, *folder.parents) if not _is_package(place))


def _is_package(folder: Path) -> bool:
    return folder != folder.parent and (folder / "__init__.py").exists()


def _walk(root: Path, skipped: frozenset[str]) -> Iterator[str]:
    """Yield the Python files below `root`; hidden folders and links that lead out are left out.

    A folder that cannot be listed is yielded too: whoever reads it as a file says what is wrong.
    """
    unreadable: list[OSError] = []
    for folder, folders, files in os.walk(root, onerror=unreadable.append):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".")
            and name not in skipped
            and not os.path.exists(os.path.join(folder, name, _VENV_FILE))
        ]
        for name in files:
            path = Path(folder, name)
            if name.endswith(".py") and (not path.is_symlink() or _is_inside(path, root)):
                yield path.relative_to(root).as_posix()
    yield from (Path(error.filename).relative_to(root).as_posix() for error in unreadable)


def _is_inside(path: Path, root: Path) -> bool:
    # Not `Path.resolve`, which raises for a link that leads to itself.
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def _installed(spec: SourceSpec) -> tuple[Path, str, Iterator[str]]:
    """Find an installed package by its own list of files, without importing it."""
    name = spec.location
    for candidate in _distribution_names(name):
        try:
            distribution = importlib.metadata.distribution(candidate)
        except importlib.metadata.PackageNotFoundError:
            continue
        if folder := _editable_folder(distribution):
            raise UserError(f"installed:{name}: its code is not installed: use path:{folder}")
        files = [file for file in distribution.files or () if _is_package_file(file)]
        if files:
            root = Path(str(distribution.locate_file("")))
            present = (str(file) for file in files if (root / file).exists())
            return root, distribution.version, present
    raise UserError(f"installed:{name}: no package of this name is installed here: pip install it")


def _distribution_names(name: str) -> Iterator[str]:
    """Yield what `name` may be: a distribution, or (a slow search) what is imported from one."""
    yield name
    yield from importlib.metadata.packages_distributions().get(name, [])


def _editable_folder(distribution: importlib.metadata.Distribution) -> str | None:
    """Return the folder of a package that `pip install --editable` did not copy."""
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    is_editable = origin.get("dir_info", {}).get("editable", False)
    return urlsplit(origin["url"]).path if is_editable else None


def _is_package_file(file: PurePosixPath) -> bool:
    outside = {"..", *_FOREIGN_FOLDERS, *_TEST_FOLDERS}
    return file.suffix == ".py" and not file.is_absolute() and outside.isdisjoint(file.parts)
