"""Sources: from specs to files, with real folders, a real git repository and real wheels."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from graph_builder.errors import SourceUnavailable, UserError
from graph_builder.parsed_files import parse_files
from graph_builder.source_files import package_files, read_files
from graph_builder.source_spec import parse_spec
from graph_builder.source_text import UNREADABLE
from graph_builder.sources import ResolvedSource, resolve
from graph_builder.wheel_source import extract_python


def write_tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def resolved(text: str, tmp_path: Path) -> ResolvedSource:
    return resolve(parse_spec(text), tmp_path / "cache")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("stdlib", "stdlib"),
        ("installed:scikit-learn", "installed:scikit-learn"),
        ("path:/somewhere/deep/project", "path:project"),
        ("pypi:click==8.1.7", "pypi:click==8.1.7"),
        ("git+https://host.org/o/r.git@feature/x", "git+https://host.org/o/r.git@feature/x"),
        ("git+ssh://git@host.org/o/r@v1", "git+ssh://host.org/o/r@v1"),
        ("git+https://me:secret@host.org/o/r@v1", "git+https://host.org/o/r@v1"),
        ("git+file:///home/me/r@main", "git+file:r@main"),
    ],
)
def test_labels_keep_no_path_and_no_password(text: str, label: str) -> None:
    assert parse_spec(text).label == label


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("stdlib", "stdlib"),
        ("installed:Flask", "flask"),
        ("path:/somewhere/deep/project/", "project"),
        ("pypi:click==8.1.7", "click"),
        ("git+https://host.org/o/r.git@feature/x", "r"),
        ("git+ssh://git@host.org/o/r@v1", "r"),
        ("git+file:///home/me/r@main", "r"),
    ],
)
def test_names_are_those_of_folder_package_or_repository(text: str, name: str) -> None:
    assert parse_spec(text).name == name


@pytest.mark.parametrize(
    "text",
    [
        *("", "numpy", "path:", "installed:", "installed:../x", "installed:--help", "stdlib:json"),
        *("pypi:click", "pypi:click>=8", "pypi:-r==1", "pypi:click==-1", "ftp:x"),
        *("git+https://host/r", "git+ext::sh -c x@y", "git+https://host/r@--upload-pack=x"),
        *("git+https://host/r@a..b", "git+https://host/r@a:b", "git+https://host@v1", "git+@x"),
    ],
)
def test_what_is_no_spec(text: str) -> None:
    with pytest.raises(UserError, match="unknown source") as refused:
        parse_spec(text)
    assert "\n" not in str(refused.value)


def test_a_folder(tmp_path: Path) -> None:
    outside = write_tree(tmp_path / "outside", {"secret.py": "x = 1"})
    root = write_tree(
        tmp_path / "project",
        {
            "b.py": "b = 1",
            "pkg/__init__.py": "",
            "pkg/a.py": "a = 1",
            "pkg/notes.txt": "no",
            "tests/test_a.py": "yes",
            ".hidden/h.py": "",
            "node_modules/n.py": "",
            "pkg/__pycache__/c.py": "",
            "environment/pyvenv.cfg": "",
            "environment/lib/e.py": "",
        },
    )
    (root / "link_out.py").symlink_to(outside / "secret.py")
    (root / "link_in.py").symlink_to(root / "b.py")
    (root / "linked").symlink_to(outside)
    source = resolved(f"path:{root}", tmp_path)
    assert source.files == ("b.py", "link_in.py", "pkg/__init__.py", "pkg/a.py", "tests/test_a.py")
    assert source.label == "path:project"
    assert source.revision == f"sha256:{source.content_sha256}"
    assert source.num_bytes == 5 + 5 + 0 + 5 + 3


def test_a_folder_that_is_a_package_keeps_its_name(tmp_path: Path) -> None:
    files = {"src/pkg/__init__.py": "", "src/pkg/sub/__init__.py": "", "src/pkg/sub/a.py": "x = 1"}
    source = resolved(f"path:{write_tree(tmp_path, files) / 'src' / 'pkg' / 'sub'}", tmp_path)
    assert source.files == ("pkg/sub/__init__.py", "pkg/sub/a.py")
    assert source.root == tmp_path / "src"


def test_the_content_decides_the_hash(tmp_path: Path) -> None:
    files = {"a.py": "a = 1", "b.py": "b = 1"}
    one = resolved(f"path:{write_tree(tmp_path / 'x' / 'p', files)}", tmp_path)
    same = resolved(f"path:{write_tree(tmp_path / 'y' / 'p', files)}", tmp_path)
    assert one.content_sha256 == same.content_sha256
    seen = {one.content_sha256}
    for change in ({"a.py": "a = 2"}, {"a.py": "a = 1b", "b.py": " = 1"}, {"c.py": ""}):
        write_tree(tmp_path / "y" / "p", change)
        seen.add(resolved(f"path:{tmp_path / 'y' / 'p'}", tmp_path).content_sha256)
    assert len(seen) == 4


def test_what_cannot_be_listed_or_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_tree(tmp_path / "p", {"a.py": "a = 1", "closed/b.py": "b = 1"})
    (root / "loop.py").symlink_to("loop.py")
    list_folder = os.scandir

    def scandir(path: str) -> object:
        if path.endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return list_folder(path)

    monkeypatch.setattr(os, "scandir", scandir)
    source = resolved(f"path:{root}", tmp_path)
    assert source.files == ("a.py", "closed", "loop.py")
    found = read_files(source.root, source.files)
    assert list(found.texts) == ["a.py"]
    assert [(path, reason) for path, reason, _ in found.rejected] == [
        ("closed", UNREADABLE),
        ("loop.py", UNREADABLE),
    ]


def test_a_package_keeps_its_name_whatever_is_in_its_init(tmp_path: Path) -> None:
    root = write_tree(tmp_path, {"a/__init__.py": "", "a/b/c.py": "", "d/e.py": "", "d/f/g.py": ""})
    (root / "a" / "b" / "__init__.py").write_bytes(b"\0")
    files = ["a/b/c.py", "d/e.py", "d/f/g.py"]
    assert package_files(root, files) == {"a/__init__.py", "a/b/__init__.py"}
    parsed = parse_files(read_files(root, files).texts, package_files(root, files))
    assert [file.module for file in parsed.facts] == ["a.b.c", "e", "g"]


@pytest.mark.parametrize(
    ("files", "location", "message"),
    [
        ({"project/a.py": ""}, "gone", "no such folder"),
        ({"project/a.py": ""}, "project/a.py", "not a folder"),
        ({"project/a.txt": ""}, "project", "no Python files"),
    ],
)
def test_bad_folders(tmp_path: Path, files: dict[str, str], location: str, message: str) -> None:
    write_tree(tmp_path, files)
    with pytest.raises(UserError, match=message):
        resolved(f"path:{tmp_path / location}", tmp_path)


def test_names_that_are_not_utf8_have_a_hash(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / os.fsdecode(b"caf\xe9.py")).write_text("x = 1")
    assert len(resolved(f"path:{tmp_path / 'p'}", tmp_path).files) == 1


def test_the_standard_library(tmp_path: Path) -> None:
    source = resolved("stdlib", tmp_path)
    assert {"ast.py", "json/decoder.py", "asyncio/events.py"} <= set(source.files)
    folders = {part for file in source.files for part in file.split("/")[:-1]}
    assert not folders & {"test", "tests", "site-packages", "idlelib", "lib2to3", "__pycache__"}
    assert source.revision.startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")


@pytest.mark.parametrize(
    ("name", "file"), [("click", "click/core.py"), ("sklearn", "sklearn/base.py")]
)
def test_installed_packages(tmp_path: Path, name: str, file: str) -> None:
    source = resolved(f"installed:{name}", tmp_path)
    assert file in source.files
    assert (source.root / file).is_file()
    assert not any("tests" in file.split("/") for file in source.files)


def test_an_installed_package_is_not_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from graph_builder.sources import resolve\n"
        "from graph_builder.source_spec import parse_spec\n"
        "resolve(parse_spec('installed:click'), Path('.'))\n"
        "assert 'click' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


@pytest.mark.parametrize("name", ["surely-not-installed", "types-nothing"])
def test_a_package_that_is_not_installed(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=f"installed:{name}: no package"):
        resolved(f"installed:{name}", tmp_path)


def test_a_package_that_is_only_linked_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = "tiny-1.0.dist-info"
    origin = '{"url": "file:///home/me/tiny", "dir_info": {"editable": true}}'
    files = {
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        f"{info}/RECORD": "__editable___tiny_finder.py,,\n",
        f"{info}/direct_url.json": origin,
        "__editable___tiny_finder.py": "",
    }
    monkeypatch.syspath_prepend(write_tree(tmp_path / "site", files))
    with pytest.raises(UserError, match=r"installed:tiny: .* use path:/home/me/tiny"):
        resolved("installed:tiny", tmp_path)


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A repository with a hook that must not run, a link, and three commits."""
    root = tmp_path_factory.mktemp("git") / "project"
    write_tree(root, {"pkg/a.py": "a = 1\r\n", "README": "no", ".gitattributes": "*.py eol=lf\n"})
    (root / "link.py").symlink_to("/etc/passwd")
    git(root, "init", "--quiet")
    commits = []
    for number in range(3):
        (root / "pkg" / f"new{number}.py").write_text(f"n = {number}\n")
        git(root, "add", ".")
        git(root, "commit", "--quiet", "-m", str(number))
        commits.append(git(root, "rev-parse", "HEAD"))
    git(root, "tag", "-a", "v1", "-m", "one", commits[1])
    git(root, "branch", "feature/x", commits[0])
    hook = root / ".git" / "hooks" / "post-checkout"
    hook.write_text("#!/bin/sh\ntouch ran\n")
    hook.chmod(0o755)
    return root, commits


@pytest.mark.parametrize(
    ("revision", "number"),
    [("main", 2), ("v1", 1), ("feature/x", 0), ("commit", 0), ("short", 1), ("HEAD", 2)],
)
def test_git_revisions(
    tmp_path: Path, repository: tuple[Path, list[str]], revision: str, number: int
) -> None:
    root, commits = repository
    revision = {"commit": commits[0], "short": commits[1][:9]}.get(revision, revision)
    source = resolved(f"git+file://{root}@{revision}", tmp_path)
    assert source.revision == commits[number]
    news = tuple(f"pkg/new{index}.py" for index in range(number + 1))
    assert source.files == ("pkg/a.py", *news)
    stored = git(root, "cat-file", "blob", f"{commits[number]}:pkg/a.py")
    assert (source.root / "pkg/a.py").read_bytes().strip() == stored.encode()
    assert not (root / "ran").exists()


def test_git_repository_grows(tmp_path: Path, repository: tuple[Path, list[str]]) -> None:
    copy = tmp_path / "copy"
    subprocess.run(["git", "clone", "--quiet", repository[0], copy], check=True)
    first = resolved(f"git+file://{copy}@main", tmp_path)
    (copy / "pkg" / "a.py").write_text("a = 2\n")
    git(copy, "commit", "--quiet", "-a", "-m", "more")
    second = resolved(f"git+file://{copy}@main", tmp_path)
    assert first.revision != second.revision == git(copy, "rev-parse", "HEAD")
    # A shortened commit below a shallow one needs the history that was not fetched before.
    oldest = repository[1][0]
    assert resolved(f"git+file://{copy}@{oldest[:8]}", tmp_path).revision == oldest
    # A commit that is there already needs the repository no more.
    copy.rename(tmp_path / "moved")
    assert resolved(f"git+file://{copy}@{second.revision}", tmp_path) == second.__class__(
        f"git+file:copy@{second.revision}", *[getattr(second, name) for name in
        ("revision", "content_sha256", "root", "files", "num_bytes", "contents")]
    )  # fmt: skip


def test_bad_git_sources(tmp_path: Path, repository: tuple[Path, list[str]]) -> None:
    with pytest.raises(UserError, match="no branch, tag or commit 'gone'"):
        resolved(f"git+file://{repository[0]}@gone", tmp_path)
    with pytest.raises(SourceUnavailable, match="cannot be fetched") as refused:
        resolved(f"git+file://{tmp_path}/nowhere@main", tmp_path)
    assert "\n" not in str(refused.value)
    with pytest.raises(SourceUnavailable, match="cannot be fetched") as refused:
        resolved("git+http://me:secret@127.0.0.1:1/r@main", tmp_path)
    assert "secret" not in str(refused.value)


def make_wheel(folder: Path, files: dict[str, str]) -> Path:
    path = folder / "tiny_thing-1.0-py3-none-any.whl"
    metadata = "Metadata-Version: 2.1\nName: tiny-thing\nVersion: 1.0\n"
    info = "tiny_thing-1.0.dist-info"
    wheel = "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {f"{info}/METADATA": metadata, f"{info}/WHEEL": wheel, **files}.items():
            archive.writestr(name, text)
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def only_local_wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes wheels from, and nowhere else."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_a_wheel(tmp_path: Path, only_local_wheels: Path) -> None:
    wheel = make_wheel(only_local_wheels, {"tiny/__init__.py": "x = 1\n", "tiny/data.txt": "no"})
    source = resolved("pypi:Tiny_Thing==1.0", tmp_path)
    assert source.files == ("tiny/__init__.py",)
    assert source.revision == f"1.0+sha256:{source.content_sha256}"
    wheel.unlink()
    assert resolved("pypi:Tiny_Thing==1.0", tmp_path) == source  # from the cache


def test_packages_without_a_wheel_are_refused(tmp_path: Path, only_local_wheels: Path) -> None:
    setup = write_tree(only_local_wheels / "x", {"setup.py": "open('/tmp/ran', 'w')"}) / "setup.py"
    subprocess.run(
        ["tar", "czf", str(only_local_wheels / "only_source-1.0.tar.gz"), str(setup)], check=True
    )
    for name in ("only-source", "nothing-at-all"):
        with pytest.raises(SourceUnavailable, match=f"pypi:{name}==1.0: cannot be downloaded"):
            resolved(f"pypi:{name}==1.0", tmp_path)
    left = [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert left == []


@pytest.mark.parametrize("name", ["../outside.py", "/outside.py", "a/../../outside.py"])
def test_a_wheel_that_leads_out(tmp_path: Path, name: str) -> None:
    wheel = make_wheel(tmp_path / "w", {name: "x = 1"})
    with pytest.raises(UserError, match="leads out of the wheel"):
        extract_python(wheel, tmp_path / "w" / "target")
    assert not list(tmp_path.rglob("outside.py"))


def test_a_damaged_wheel(tmp_path: Path) -> None:
    (tmp_path / "bad.whl").write_bytes(b"PK no")
    with pytest.raises(UserError, match="damaged"):
        extract_python(tmp_path / "bad.whl", tmp_path / "target")
