"""Builds of small real sources: the same bytes however they come about."""

import dataclasses
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from build_runs import COMMAND, arguments, contents, copy_package, settings

from graph_builder import build, build_settings, file_batch
from graph_builder.build import build_dataset
from graph_builder.dataset import Dataset, open_dataset
from graph_builder.duplicates import own_tokens
from graph_builder.errors import UserError
from graph_builder.manifest import SPLITS
from graph_builder.parsed_files import ParsedFiles
from graph_builder.relations import RELATION_NAMES
from graph_builder.shards import table_records
from graph_builder.source_text import SourceText
from graph_builder.tokenizer import decode_bytes, load_tokenizer


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the four sources with their data set in `data`, to be read only."""
    folder = tmp_path_factory.mktemp("built")
    for name in ("json", "html", "wsgiref", "dbm"):
        copy_package(name, folder)
    build_dataset(settings(folder))
    return folder


@pytest.fixture
def copied(built: Path, tmp_path: Path) -> Path:
    """A copy of `built` that a test may change."""
    return Path(shutil.copytree(built, tmp_path / "copied"))


def test_every_source_is_in_its_split(built: Path) -> None:
    dataset = open_dataset(built / "data")
    dataset.verify()
    splits = {source.source: source.split for source in dataset.manifest.sources}
    assert splits == {
        "path:json": "train",
        "path:html": "train",
        "path:wsgiref": "validation",
        "path:dbm": "test",
    }
    for shard in dataset.manifest.shards:
        windows = list(table_records(dataset.read(shard)))
        assert len(windows) == shard.num_windows > 0
        assert {window.source for window in windows} == {shard.source}


def test_windows_spell_the_bytes_of_their_files(built: Path) -> None:
    dataset = open_dataset(built / "data")
    tokenizer = load_tokenizer(dataset.tokenizer_path)
    for table in dataset.tables("train"):
        for window in table_records(table):
            file = built / window.source.removeprefix("path:") / window.path
            own = window.root_starts >= 0
            start, end = window.root_starts[own][0], window.root_ends[own][-1]
            assert decode_bytes(tokenizer, window.root_ids[own]) == file.read_bytes()[start:end]


def test_nothing_says_where_or_when_it_was_built(built: Path) -> None:
    assert str(built).encode() not in b"".join(contents(built / "data").values())
    for split in ("train", "validation", "test"):
        for table in open_dataset(built / "data").tables(split, ["source", "revision", "path"]):
            assert str(built) not in str(table.to_pydict())


def test_the_folder_does_not_matter(built: Path, copied: Path) -> None:
    shutil.rmtree(copied / "data")
    build_dataset(settings(copied))
    assert contents(copied / "data") == contents(built / "data")


def test_two_processes_give_the_same_bytes(built: Path) -> None:
    build_dataset(settings(built, "data2", num_processes=2))
    assert contents(built / "data2") == contents(built / "data")


def refuse_work(*arguments: object) -> None:
    raise AssertionError("nothing was to be built")


def test_the_same_again_is_reused(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "build_batch", refuse_work)
    monkeypatch.setattr(build, "make_tokenizer", refuse_work)
    before = (built / "data" / "manifest.json").stat()
    summary = build_dataset(settings(built, num_processes=2))
    assert summary.is_reused
    assert (built / "data" / "manifest.json").stat() == before


def test_an_extension_builds_the_newcomer_alone(copied: Path) -> None:
    before = contents(copied / "data")
    copy_package("xml", copied)
    said: list[str] = []
    wanted = settings(copied)
    wanted = dataclasses.replace(wanted, train=(*wanted.train, f"path:{copied}/xml"))
    manifest = build_dataset(wanted, said.append).dataset.manifest
    assert [line.split(":")[1] for line in said] == ["xml"]
    after = contents(copied / "data")
    new = {name for name in after if name not in before}
    assert [name.split("/")[2].rpartition("-")[0] for name in new] == ["path-xml"]
    del before["manifest.json"]
    assert {name: after[name] for name in before} == before
    generations = {source.source: source.generation for source in manifest.sources}
    assert generations.pop("path:xml") == 1
    assert set(generations.values()) == {0}
    assert manifest.tokenizer.trained_on == ("path:html", "path:json")
    assert build_dataset(wanted).is_reused


def test_a_changed_source_is_built_alone(copied: Path) -> None:
    before = contents(copied / "data")
    (copied / "html" / "new.py").write_text("def new(x):\n    return x\n")
    said: list[str] = []
    build_dataset(settings(copied), said.append)
    assert [line.split(":")[1] for line in said] == ["html"]
    after = contents(copied / "data")
    gone = before.keys() - after.keys()
    assert [name.split("/")[-1].rpartition("-")[0] for name in gone] == ["path-html"]
    assert all(
        after[name] == before[name] for name in before.keys() & after.keys() - {"manifest.json"}
    )


@pytest.mark.parametrize("change", ["removed", "moved", "settings", "damaged"])
def test_other_changes_give_what_a_fresh_build_gives(
    built: Path, copied: Path, change: str
) -> None:
    wanted, fresh = settings(copied), copied / "fresh"
    match change:
        case "removed":
            wanted = dataclasses.replace(wanted, train=wanted.train[:1])
        case "moved":
            wanted = dataclasses.replace(
                wanted, train=wanted.train[:1], test=(*wanted.test, wanted.train[1])
            )
        case "settings":
            wanted = dataclasses.replace(wanted, leaves="local")
        case "damaged":
            shard = next((copied / "data").rglob("*html*.parquet"))
            shard.write_bytes(shard.read_bytes()[:-1] + b"?")
            fresh = built / "data"
    assert not build_dataset(wanted).is_reused
    if not fresh.exists():
        build_dataset(dataclasses.replace(wanted, output=fresh))
    assert contents(copied / "data") == contents(fresh)


def test_a_loaded_tokenizer_is_kept_as_it_is(built: Path, copied: Path) -> None:
    wanted = settings(copied, "given", tokenizer=built / "data" / "tokenizer")
    manifest = build_dataset(wanted).dataset.manifest
    trained = open_dataset(built / "data").manifest
    assert manifest.tokenizer.fingerprint == trained.tokenizer.fingerprint
    assert manifest.tokenizer.trained_on == ()
    assert [shard.num_windows for shard in manifest.shards] == [
        shard.num_windows for shard in trained.shards
    ]


def test_sources_of_the_hash_rule_and_added_ones(
    sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graph_builder.splits.HELD_OUT_PACKAGES", ("iniconfig",))
    said: list[str] = []
    wanted = settings(sources, train=(), validation=(), sources=(f"path:{sources}/json",))
    manifest = build_dataset(wanted, said.append).dataset.manifest
    splits = {source.split: source.source for source in manifest.sources}
    assert splits == {"train": "path:json", "validation": "installed:iniconfig", "test": "path:dbm"}
    assert "installed:iniconfig: added, since validation would be empty" in said


# Interruptions


# The command, which stands still once it has said so many lines: so the kill meets it there.
PAUSING = """
import signal, sys
from graph_builder import cli
say, lines_left = cli._say, int(sys.argv[1])
def say_and_pause(line):
    global lines_left
    say(line)
    lines_left -= 1
    if lines_left == 0:
        signal.pause()
cli._say = say_and_pause
sys.exit(cli.main(sys.argv[2:]))
"""


@pytest.mark.parametrize(("num_lines", "num_processes"), [(1, 1), (4, 1), (2, 2)])
def test_a_killed_build_goes_on(
    built: Path, tmp_path: Path, num_lines: int, num_processes: int
) -> None:
    """Kill -9 after some lines: the tokenizer, then each source, tells when it is done."""
    wanted = dataclasses.replace(
        settings(built), output=tmp_path / "data", num_processes=num_processes
    )
    command = [sys.executable, "-c", PAUSING, str(num_lines), *arguments(wanted)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for _ in range(num_lines):
        assert process.stderr.readline().startswith("graph-builder: ")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    descriptors = [os.pidfd_open(int(child)) for child in children]
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "data" / "manifest.json").exists()
    for descriptor in descriptors:  # nobody stays at work
        assert select.select([descriptor], [], [], 30)[0]
        os.close(descriptor)
    build_dataset(wanted)
    assert contents(tmp_path / "data") == contents(built / "data")


@pytest.mark.parametrize(
    "trace", ["cache/parsed/*/*.pack", "data/.building/*.arrow", "data/shards/*/*.parquet"]
)
def test_a_build_killed_at_its_work_goes_on(built: Path, tmp_path: Path, trace: str) -> None:
    """Kill -9 as soon as a first file of one kind is there: parsed, linked, in its place."""
    wanted = dataclasses.replace(
        settings(built), output=tmp_path / "data", cache_dir=tmp_path / "cache"
    )
    process = subprocess.Popen([*COMMAND, *arguments(wanted)], stderr=subprocess.DEVNULL)
    while not any(tmp_path.glob(trace)) and process.poll() is None:
        pass
    process.kill()
    process.wait()
    build_dataset(wanted)
    assert contents(tmp_path / "data") == contents(built / "data")


@pytest.fixture
def parsed_paths(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are parsed from now on."""
    paths: list[str] = []
    parse = file_batch.parse_files

    def record(texts: Mapping[str, SourceText], packages: Iterable[str]) -> ParsedFiles:
        paths.extend(texts)
        return parse(texts, packages)

    monkeypatch.setattr(file_batch, "parse_files", record)
    return paths


def test_only_a_changed_file_is_parsed(copied: Path, parsed_paths: list[str]) -> None:
    """The other files of its source are linked again from what was parsed before."""
    (copied / "cache").rename(copied / "cache.before")
    wanted = settings(copied)
    build_dataset(dataclasses.replace(wanted, output=copied / "first"))
    num_files = len(parsed_paths)
    assert num_files == sum(s.num_files for s in open_dataset(copied / "first").manifest.sources)
    parsed_paths.clear()
    changed = copied / "json" / "json" / "scanner.py"
    changed.write_text(changed.read_text() + "\n\ndef added(x):\n    return x\n")
    build_dataset(dataclasses.replace(wanted, output=copied / "first"))
    assert parsed_paths == ["json/scanner.py"]
    # A data set of its own finds everything parsed, and is what it is without anything parsed.
    parsed_paths.clear()
    build_dataset(dataclasses.replace(wanted, output=copied / "second"))
    assert parsed_paths == []
    shutil.rmtree(copied / "cache")
    build_dataset(dataclasses.replace(wanted, output=copied / "third"))
    assert contents(copied / "second") == contents(copied / "third")
    assert len(parsed_paths) == num_files


@pytest.mark.parametrize("kept", [0, 5, -9])
def test_what_is_damaged_is_parsed_again(copied: Path, parsed_paths: list[str], kept: int) -> None:
    """All files of a pack without its index; of one that lacks its end, the last."""
    before = contents(copied / "data")
    counts = {source.num_files for source in open_dataset(copied / "data").manifest.sources}
    shutil.rmtree(copied / "data")
    pack, *_ = (copied / "cache" / "parsed").rglob("*.pack")
    pack.write_bytes(pack.read_bytes()[:kept])
    build_dataset(settings(copied))
    assert len(parsed_paths) in (counts if kept >= 0 else {1})
    assert contents(copied / "data") == before


def test_files_are_cut_into_batches_by_their_bytes_alone(
    built: Path, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_batch, "BATCH_BYTES", 20_000)
    build_dataset(settings(copied, "small"))
    small = open_dataset(copied / "small").manifest
    assert len(small.shards) > len(small.sources)

    def windows(dataset: Dataset, split: str) -> list[dict[str, Any]]:
        return [row for table in dataset.tables(split) for row in table.to_pylist()]

    for split in SPLITS:
        assert windows(open_dataset(copied / "small"), split) == windows(
            open_dataset(built / "data"), split
        )


def test_work_that_was_done_is_not_done_again(
    sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interruption(Exception):
        pass

    def interrupt(*arguments: object) -> None:
        raise Interruption

    with monkeypatch.context() as patch:
        patch.setattr(build, "assemble", interrupt)
        with pytest.raises(Interruption):
            build_dataset(settings(sources))
    parts = {
        path: path.stat()
        for path in (sources / "data" / ".building").iterdir()
        if path.name != "lock"
    }
    assert len(parts) == 2 * 4 + 1
    monkeypatch.setattr("graph_builder.source_task._write_batch", refuse_work)
    monkeypatch.setattr("graph_builder.build_tokenizer.train_tokenizer", refuse_work)
    build_dataset(settings(sources))
    assert not (sources / "data" / ".building").exists()


# Duplicates


def windows_of(table: pa.Table) -> set[bytes]:
    return {tokens.tobytes() for tokens in own_tokens(table)}


def test_duplicates_go_from_training(sources: Path) -> None:
    alone = build_dataset(settings(sources)).dataset
    shutil.copy(sources / "wsgiref/wsgiref/util.py", sources / "json/json/util_copy.py")
    long = (sources / "dbm/dbm/dumb.py").read_text().replace("_commit", "_renamed", 1)
    (sources / "html" / "almost.py").write_text(long)
    manifest = build_dataset(settings(sources, "mixed")).dataset.manifest
    counts = {source.source: source.duplicates for source in manifest.sources}
    before = {source.source: source.duplicates for source in alone.manifest.sources}
    assert counts["path:wsgiref"] == before["path:wsgiref"]
    assert counts["path:dbm"] == before["path:dbm"]
    assert counts["path:json"]["exact"] > before["path:json"]["exact"]
    assert counts["path:html"]["exact"] > 10
    mixed = open_dataset(sources / "mixed")
    seen: set[bytes] = set()
    for shard in mixed.manifest.shards:
        table = mixed.read(shard)
        assert seen.isdisjoint(windows_of(table))
        seen |= windows_of(table)


def test_near_duplicates_go_from_training(sources: Path) -> None:
    text = (sources / "dbm/dbm/dumb.py").read_text()
    (sources / "html" / "almost.py").write_text(text.replace("for ", "for  "))
    manifest = build_dataset(settings(sources, "mixed")).dataset.manifest
    counts = {source.source: source.duplicates["near"] for source in manifest.sources}
    assert counts.pop("path:html") > 0
    assert set(counts.values()) == {0}


def test_a_newcomer_loses_to_what_is_there(copied: Path) -> None:
    before = contents(copied / "data")
    held_out = copy_package("xml", copied)
    shutil.copy(copied / "json/json/decoder.py", held_out)
    wanted = settings(copied)
    wanted = dataclasses.replace(wanted, test=(*wanted.test, f"path:{held_out}"))
    manifest = build_dataset(wanted).dataset.manifest
    counts = {source.source: source.duplicates for source in manifest.sources}
    assert counts["path:xml"]["exact"] >= 10
    after = contents(copied / "data")
    assert all(after[name] == before[name] for name in before if name != "manifest.json")


LIBRARY = """
class wrench: pass

class Box:
    lid: int

def hammer(nail: wrench, *, force: int) -> Box:
    return isinstance(nail, other.thing)
"""
USER = """
from toolbox import Box, hammer, wrench
from other import thing
import toolbox as tb

def work(job):
    hammer(job)
    wrench(), tb.wrench(), thing()
    return Box()
"""


def test_a_source_of_another_split_tells_nothing(sources: Path) -> None:
    """The shard of a source is the same whatever is known of its imports in other sources."""
    for name, code in (("toolbox", LIBRARY), ("app", USER)):
        (sources / name / name).mkdir(parents=True)
        (sources / name / name / "__init__.py").write_text(code)
    html, app = f"path:{sources}/html", f"path:{sources}/app"
    alone = build_dataset(settings(sources, train=(html,), test=(app,))).dataset
    wanted = {"train": (html, f"path:{sources}/toolbox"), "tokenizer": alone.tokenizer_path}
    beside = build_dataset(settings(sources, "beside", test=(app,), **wanted)).dataset
    [mine], [same] = (list(dataset.tables("test")) for dataset in (alone, beside))
    assert mine.equals(same)

    [window] = [window for window in table_records(mine) if window.kind == "function"]
    assert not window.triple_is_knowledge.any()
    keys = zip(window.triple_relations.tolist(), window.triple_tails, strict=True)
    called = {tail: RELATION_NAMES[relation] for relation, tail in keys}
    assert called["wrench"] == called["tb.wrench"] == called["thing"] == "calls"
    known = beside.manifest.sources[-1].instantiates
    assert known == {"known": 0, "guessed": 1}  # Box: by its looks alone

    # In one source the same files do know each other.
    both = shutil.copytree(sources / "toolbox", sources / "both")
    shutil.copytree(sources / "app" / "app", both / "app")
    wanted = {"train": (html,), "test": (f"path:{both}",)}
    together = build_dataset(settings(sources, "together", **wanted)).dataset
    [all_windows] = (list(table_records(table)) for table in together.tables("test"))
    assert any(window.triple_is_knowledge.any() for window in all_windows)


# Bad input


def test_a_split_of_nothing_but_duplicates(sources: Path) -> None:
    shutil.copytree(sources / "json", sources / "again")
    wanted = settings(
        sources, validation=(f"path:{sources}/again",), train=(f"path:{sources}/json",)
    )
    with pytest.raises(UserError, match="train is empty: path:json"):
        build_dataset(wanted)
    assert not wanted.output.exists()


def test_bad_input_leaves_the_data_set_that_is_there(copied: Path) -> None:
    before = contents(copied / "data")
    for change in ({"train": (f"path:{copied}/gone",)}, {"tokenizer": copied / "gone"}):
        with pytest.raises(UserError):
            build_dataset(settings(copied, **change))
    shutil.rmtree(copied / "wsgiref" / "wsgiref")
    (copied / "wsgiref" / "binary.py").write_bytes(b"\0")
    with pytest.raises(UserError, match="path:wsgiref: none of its Python files can be used"):
        build_dataset(settings(copied))
    assert contents(copied / "data") == before


def test_a_data_set_of_another_format(copied: Path) -> None:
    manifest = copied / "data" / "manifest.json"
    values = json.loads(manifest.read_text())
    values["shard_format"]["format_version"] = 99
    manifest.write_text(json.dumps(values))
    before = contents(copied / "data")
    with pytest.raises(UserError, match="another format"):
        build_dataset(settings(copied))
    assert contents(copied / "data") == before


def test_a_folder_that_holds_something_else(sources: Path) -> None:
    (sources / "data").mkdir()
    (sources / "data" / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="no data set"):
        build_dataset(settings(sources))
    assert contents(sources / "data") == {"thesis.txt": b"years of work"}
    with pytest.raises(UserError, match="not a folder"):
        build_dataset(settings(sources, "data/thesis.txt"))


def test_two_builds_at_once(sources: Path) -> None:
    folder = sources / "data" / ".building"
    folder.mkdir(parents=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another build is at work"):
            build_dataset(settings(sources))
    assert folder.exists()


def test_a_lock_without_a_name_is_none(sources: Path) -> None:
    """A build that opened the lock of one that ended, and removed it, does not hold the folder."""
    folder = sources / "data" / ".building"
    folder.mkdir(parents=True)
    open_lock = Path.open

    def opened(path: Path, *arguments: Any, **options: Any) -> Any:
        file = open_lock(path, *arguments, **options)
        if path.name == "lock":
            path.unlink()
        return file

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", opened)
        with pytest.raises(UserError, match="another build is at work"):
            build_dataset(settings(sources))


def test_other_code_makes_another_data_set(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {**build_settings.builder_versions(), "tree-sitter": "0"}
    assert versions["graph_builder"].startswith("sha256:")
    monkeypatch.setattr("graph_builder.build_plan.builder_versions", lambda: versions)
    said: list[str] = []
    assert not build_dataset(settings(copied), said.append).is_reused
    assert said[0].endswith("building it anew")
    assert len(said) == 2 + 4
