"""A source spec: the line in which a user names where Python code comes from.

path:DIR  installed:NAME  stdlib  git+URL@REV  pypi:NAME==VERSION
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from graph_builder.errors import UserError

FORMS: Final = "path:DIR, installed:NAME, stdlib, git+URL@REV or pypi:NAME==VERSION"
GIT_SCHEMES: Final = ("file", "git", "http", "https", "ssh")
_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_REVISION: Final = re.compile(r"\w[\w./+#-]*")
_VERSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+!_-]*")


@dataclass(frozen=True)
class SourceSpec:
    kind: str  # "path", "installed", "stdlib", "git" or "pypi"
    location: str  # folder, name of a package, or URL
    version: str  # git revision or version of the package; empty: whatever is there
    label: str  # the spec as shards and manifests say it: no local path, no password

    @property
    def name(self) -> str:
        """Return the simple name of the folder, package or repository, in lower case."""
        unversioned = re.split("@|==", self.label)[0]
        return re.split("[:/]", unversioned)[-1].removesuffix(".git").lower()


def parse_spec(text: str) -> SourceSpec:
    """Return the spec that `text` states; raise UserError where it states none."""
    if text == "stdlib":
        return SourceSpec("stdlib", "", "", text)
    if text.startswith("git+"):
        return _parse_git(text)
    kind, _, rest = text.partition(":")
    if kind == "path" and rest:
        return SourceSpec("path", rest, "", f"path:{_folder_name(rest)}")
    if kind == "installed" and _NAME.fullmatch(rest):
        return SourceSpec("installed", rest, "", text)
    name, _, version = rest.partition("==")
    if kind == "pypi" and _NAME.fullmatch(name) and _VERSION.fullmatch(version):
        return SourceSpec("pypi", name, version, text)
    raise UserError(f"unknown source {text!r}: use {FORMS}")


def _folder_name(folder: str) -> str:
    """Return the name of a folder, also of `.`, as text whatever bytes it has."""
    name = os.path.basename(os.path.realpath(folder))
    return name.encode("utf-8", "backslashreplace").decode()


def _parse_git(text: str) -> SourceSpec:
    parts = urlsplit(text.removeprefix("git+"))
    path, _, revision = parts.path.partition("@")
    if parts.scheme not in GIT_SCHEMES or not path.strip("/"):
        schemes = ", ".join(GIT_SCHEMES)
        raise UserError(f"unknown source {text!r}: git+URL@REV needs a URL of {schemes}")
    if not _REVISION.fullmatch(revision) or ".." in revision:
        raise UserError(f"unknown source {text!r}: git+URL@REV needs a branch, tag or commit")
    url = f"{parts.scheme}://{parts.netloc}{path}"
    if parts.scheme == "file":
        return SourceSpec("git", url, revision, f"git+file:{Path(path).name}@{revision}")
    host = parts.netloc.rpartition("@")[2]
    return SourceSpec("git", url, revision, f"git+{parts.scheme}://{host}{path}@{revision}")
