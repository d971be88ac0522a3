"""A git repository as a source: one commit's Python files, read as they are stored in git.

Only the `git` command and plain blobs: no checkout, so no hook, filter or line-end rule of the
repository takes part. `--depth 1` fetches into a bare repository in the cache folder.
"""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from graph_builder.errors import SourceUnavailable, UserError
from graph_builder.source_spec import GIT_SCHEMES
from graph_builder.whole_folder import whole_folder

_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_FILE_MODES: Final = ("100644", "100755")  # links and submodules have others


def export_commit(url: str, revision: str, cache_dir: Path) -> tuple[Path, str]:
    """Return the folder with the Python files of `revision` (branch, tag or commit) and the commit.

    Raises UserError where git is missing, the repository out of reach or the revision unknown.
    """
    if shutil.which("git") is None:
        raise UserError(f"git+{_shown(url)}: the git command is missing: install git")
    cache = cache_dir / hashlib.sha256(url.encode()).hexdigest()[:16]
    repository = cache / "repository.git"
    if not repository.is_dir():
        with whole_folder(repository) as folder:
            _git("init", "--quiet", "--bare", "--template=", str(folder))
    commit = _find_commit(repository, url, revision)
    exported = cache / commit
    if not exported.is_dir():
        with whole_folder(exported) as folder:
            _export(repository, commit, folder)
    return exported, commit


def _find_commit(repository: Path, url: str, revision: str) -> str:
    """Return the commit of `revision` once its objects are in `repository`."""
    if _COMMIT.fullmatch(revision) and _parse(repository, revision):
        return revision  # no need of the network
    options = ("--quiet", "--force", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance")
    target = "refs/graph-builder/found"
    fetched = _in(repository, "fetch", *options, "--depth=1", url, f"+{revision}:{target}")
    if fetched.returncode == 0 and (commit := _parse(repository, target)):
        return commit
    # A server that gives single commits to nobody, or a shortened commit: take the whole history.
    everything = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
    fetched = _in(repository, "fetch", *options, f"--depth={2**31 - 1}", url, *everything)
    if fetched.returncode != 0:
        reason = _reason(fetched, url)
        raise SourceUnavailable(f"git+{_shown(url)}: cannot be fetched ({reason}): check it")
    if commit := _parse(repository, revision):
        return commit
    raise UserError(f"git+{_shown(url)}: no branch, tag or commit {revision!r} there")


def _parse(repository: Path, revision: str) -> str | None:
    parsed = _in(repository, "rev-parse", "--quiet", "--verify", f"{revision}^{{commit}}")
    return parsed.stdout.decode().strip() if parsed.returncode == 0 else None


def _export(repository: Path, commit: str, folder: Path) -> None:
    """Write each Python file of `commit` below `folder`."""
    files = list(_python_blobs(repository, commit))
    request = "".join(f"{blob}\n" for blob, _ in files).encode()
    answer = _in(repository, "cat-file", "--batch", data=request).stdout
    offset = 0
    for _, path in files:
        start = answer.index(b"\n", offset) + 1
        end = start + int(answer[offset:start].split()[2])
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(answer[start:end])
        offset = end + 1


def _python_blobs(repository: Path, commit: str) -> Iterator[tuple[str, PurePosixPath]]:
    listed = _in(repository, "ls-tree", "-r", "-z", "--full-tree", commit).stdout
    for entry in listed.split(b"\0")[:-1]:
        described, _, name = entry.partition(b"\t")
        mode, _, blob = described.decode().split()
        path = PurePosixPath(os.fsdecode(name))
        # git refuses ".." when it makes a tree, but not every tree was made by git.
        is_safe = not path.is_absolute() and ".." not in path.parts
        if mode in _FILE_MODES and path.suffix == ".py" and is_safe:
            yield blob, path


def _in(repository: Path, *arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return _git("--git-dir", str(repository), *arguments, data=data)


def _git(*arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run git without questions to the terminal; the result says whether it went well."""
    environment = {
        **os.environ,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": ":".join(GIT_SCHEMES),
        "GIT_SSH_COMMAND": os.environ.get("GIT_SSH_COMMAND", "ssh -o BatchMode=yes"),
        "LC_ALL": "C",
    }
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):  # set while a git hook runs
        environment.pop(name, None)
    return subprocess.run(
        ["git", *arguments], input=data, capture_output=True, env=environment, check=False
    )


def _reason(result: subprocess.CompletedProcess[bytes], url: str) -> str:
    lines = result.stderr.decode(errors="replace").replace(url, _shown(url)).strip().splitlines()
    return lines[0] if lines else f"git ended with {result.returncode}"


def _shown(url: str) -> str:
    """Return the URL without user and password."""
    return re.sub(r"//[^/]*@", "//", url)
