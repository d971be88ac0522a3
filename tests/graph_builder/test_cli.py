"""The graph-builder command, run as a user runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from build_runs import COMMAND, arguments, contents, graph_builder, settings

from graph_builder import cli
from graph_builder.dataset import open_dataset
from graph_builder.shards import table_records


def assert_one_line(text: str, *words: str) -> None:
    assert text.count("\n") == 1
    assert text.startswith("graph-builder: ")
    for word in words:
        assert word in text


# build


def test_build_reuse_inspect_stats_and_export(
    sources: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = settings(sources, num_processes=2)
    first = graph_builder(*arguments(wanted))
    assert first.returncode == 0, first.stderr
    dataset = open_dataset(wanted.output)
    assert first.stdout.startswith(f"built {wanted.output} ({dataset.digest[:12]})\n")
    assert f"train: {dataset.manifest.num_windows('train'):,} windows of 7 files" in first.stdout
    assert cli.main(arguments(wanted)) == 0
    second = capsys.readouterr()
    assert second.out == first.stdout.replace("built", "reused", 1)
    assert second.err == ""

    windows = list(table_records(next(dataset.tables("test"))))
    number = max(range(len(windows)), key=lambda index: len(windows[index].triple_relations))
    window = windows[number]
    inspect = ["inspect", str(wanted.output), "--split", "test", "--window", str(number)]
    assert cli.main(inspect) == 0
    shown = capsys.readouterr().out
    code = (sources / "dbm" / window.path).read_bytes().decode().splitlines()
    assert code[window.start_line - 1].strip() in shown
    lines = shown.splitlines()
    assert sum(line.startswith("  root ") for line in lines) == len(window.triple_relations) > 0

    page = sources / "stats.html"
    assert cli.main(["stats", str(wanted.output), "--html", str(page)]) == 0
    tables, said = capsys.readouterr()
    assert_one_line(said, str(page))
    assert page.read_text().startswith("<!doctype html>")
    assert cli.main(["stats", str(wanted.output), "--html", str(sources)]) == 2
    assert_one_line(capsys.readouterr().err, "name a file for the page")
    for word in ("path:wsgiref", "placed %", "flows_to", "p99", "exact duplicates"):
        assert word in tables

    export = ["export", str(wanted.output), str(sources / "pt")]
    assert cli.main(export) == 0
    names = [f"{split}-00000.pt" for split in ("train", "validation", "test")]
    assert capsys.readouterr().out.splitlines() == [str(sources / "pt" / name) for name in names]
    assert cli.main(export) == 2
    assert_one_line(capsys.readouterr().err, "holds something already")


def test_files_that_cannot_be_used_are_counted_and_named(sources: Path) -> None:
    folder = sources / "html"
    (folder / "binary.py").write_bytes(b"\x00\x01")
    (folder / "latin.py").write_bytes(b"x = '\xe9'\n")
    (folder / "klingon.py").write_bytes(b"# coding: klingon\n")
    (folder / "huge.py").write_bytes(b"#" * (2**21 + 1))
    (folder / os.fsdecode(b"caf\xe9.py")).write_bytes(b"x = 1\n")
    (folder / "broken.py").write_text("def sound(a: int):\n    return a\n\ndef broken(:\n")
    (folder / "empty.py").write_text("")
    (folder / "deep.py").write_text("x = a" + ".b()" * 20_000)
    os.mkfifo(folder / "pipe.py")
    wanted = settings(sources)
    result = graph_builder(*arguments(wanted))
    assert result.returncode == 0, result.stderr
    lines = result.stderr.splitlines()
    for name, reason in [
        ("binary.py", "binary"),
        ("latin.py", "not decodable"),
        ("klingon.py", "unknown encoding"),
        ("huge.py", "too large"),
        ("caf\\udce9.py", "unreadable"),
        ("pipe.py", "unreadable"),
        ("deep.py", "nested too deeply"),
    ]:
        start = f"graph-builder: path:html: {name}: left out, {reason}: "
        assert sum(line.startswith(start) for line in lines) == 1
    assert sum("broken.py: 1 syntax errors" in line for line in lines) == 1
    assert (
        "files left out: unreadable 2, binary 1, nested too deeply 1, not decodable 1, "
        "too large 1, unknown encoding 1; with syntax errors: 1" in result.stdout
    )
    dataset = open_dataset(wanted.output)
    source = next(s for s in dataset.manifest.sources if s.source == "path:html")
    assert len(source.rejected) == 7
    assert source.syntax_errors == (("broken.py", 1),)
    windows = [w for table in dataset.tables("train") for w in table_records(table)]
    sound = [window for window in windows if window.qualified_name == "broken.sound"]
    assert "a" in sound[0].triple_tails


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"train": ("numpy",)}, 2, ["unknown source 'numpy'", "path:DIR"]),
        ({"train": ("path:gone",)}, 2, ["path:gone", "no such folder"]),
        ({"train": ("path:empty",)}, 2, ["path:empty", "no Python files"]),
        ({"train": ("installed:surely-not",)}, 2, ["installed:surely-not", "no package"]),
        ({"train": ("git+file:///nowhere/r@main",)}, 69, ["git+file", "cannot be fetched"]),
        ({"train": ("stdlib", "stdlib")}, 2, ["stdlib: named twice"]),
        ({"tokenizer": Path("gone")}, 2, ["gone", "tokenizer"]),
        ({"vocab_size": 100}, 2, ["100"]),
    ],
)
def test_bad_builds(
    sources: Path,
    change: dict,
    status: int,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(sources)
    (sources / "empty").mkdir()
    (sources / "empty" / "readme.txt").write_text("no code")
    wanted = settings(sources, **change)
    line = arguments(wanted)
    line += ["--tokenizer", str(wanted.tokenizer)] if wanted.tokenizer else []
    assert cli.main(line) == status
    said = capsys.readouterr()
    assert said.out == ""
    assert_one_line(said.err.splitlines(keepends=True)[-1], *words)
    assert not wanted.output.exists()


def test_no_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["inspect"], ["stats"], ["export"]):
        output = [str(tmp_path / "pt")] if words == ["export"] else []
        assert cli.main([*words, str(tmp_path), *output]) == 2
        assert_one_line(capsys.readouterr().err, "no data set")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [[], ["build"], ["bild"], ["build", "--num_processes", "x"]])
def test_usage_errors_end_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("usage: graph-builder")
    assert "x" not in words or said.endswith("x is not a positive number\n")


# triples

KEYS = [
    "path",
    "head",
    "relation",
    "tail",
    "head_start_byte",
    "head_end_byte",
    "tail_start_byte",
    "tail_end_byte",
]


def test_triples_of_files_of_one_repository(tmp_path: Path) -> None:
    package = tmp_path / "src" / "pkg"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "shapes.py").write_bytes(
        "# coding: latin-1\r\nclass Größe:\r\n    def __init__(self, x): pass\r\n".encode("latin-1")
    )
    (package / "use.py").write_text("from .shapes import Größe\n\ndef f(y):\n    return Größe(y)\n")
    result = graph_builder("triples", "src/pkg/use.py", "src/pkg/shapes.py", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    triples = [json.loads(line) for line in result.stdout.splitlines()]
    assert all(list(triple) == KEYS for triple in triples)
    said = {
        (triple["path"], triple["head"], triple["relation"], triple["tail"]) for triple in triples
    }
    assert {
        ("src/pkg/use.py", "Größe", "imported_from", "pkg.shapes"),
        ("src/pkg/use.py", "pkg.use", "contains", "f"),
        ("src/pkg/use.py", "f", "instantiates", "Größe"),
        ("src/pkg/use.py", "y", "flows_to", "x"),
        ("src/pkg/shapes.py", "pkg.shapes", "contains", "Größe"),
    } <= said
    for triple in triples:
        data = (tmp_path / triple["path"]).read_bytes()
        encoding = "latin-1" if triple["path"].endswith("shapes.py") else "utf-8"
        for side in ("head", "tail"):
            start, end = triple[f"{side}_start_byte"], triple[f"{side}_end_byte"]
            if start >= 0 and triple[side] != "pkg.shapes":
                assert data[start:end].decode(encoding) == triple[side]
            assert (start < 0) == (end < 0)


def test_rejected_files_are_named_and_the_others_printed(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text("import os\n")
    (tmp_path / "binary.py").write_bytes(b"\0")
    (tmp_path / "broken.py").write_text("def f(:\n  pass\nclass A(B): pass\n")
    result = graph_builder(
        "triples", "gone.py", "good.py", "binary.py", "broken.py", ".", cwd=tmp_path
    )
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "graph-builder: gone.py: left out, unreadable: No such file or directory",
        "graph-builder: binary.py: left out, binary: a NUL byte at offset 0",
        "graph-builder: .: left out, unreadable: not a regular file",
    ]
    paths = [json.loads(line)["path"] for line in result.stdout.splitlines()]
    assert paths[0] == "good.py"
    assert set(paths) == {"good.py", "broken.py"}


def test_triples_are_utf8_and_files_that_cannot_be_printed_too(tmp_path: Path) -> None:
    (tmp_path / "u.py").write_text("größe = 1\n", encoding="utf-8")
    (tmp_path / "loop.py").symlink_to("loop.py")
    odd = os.fsdecode(b"caf\xe9.py")
    (tmp_path / odd).symlink_to("u.py")
    result = subprocess.run(
        [*COMMAND, "triples", odd, "loop.py", "./u.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )
    assert result.returncode == 1
    assert_one_line(result.stderr.decode(), "loop.py: left out, unreadable")
    [line] = result.stdout.decode("utf-8").splitlines()
    triple = json.loads(line)
    assert (triple["path"], triple["tail"]) == ("caf\\udce9.py", "größe")


def test_a_reader_that_has_seen_enough(sources: Path) -> None:
    line = f"{sys.executable} -m graph_builder.cli triples {sources}/*/*/*.py | head -1"
    command = ["bash", "-c", line]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.count("\n") == 1
    assert result.stderr == ""


def test_bad_input_to_an_existing_data_set_changes_nothing(sources: Path) -> None:
    wanted = settings(sources)
    assert cli.main(arguments(wanted)) == 0
    before = contents(wanted.output)
    assert cli.main([*arguments(wanted), "--source", "path:nowhere"]) == 2
    assert cli.main(["inspect", str(wanted.output), "--window", "100000"]) == 2
    assert cli.main(["inspect", str(wanted.output), "--split", "dev"]) == 2
    assert contents(wanted.output) == before
