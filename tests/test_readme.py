"""The README says what is true: its Python snippet runs, its file tree and commands are real."""

import re
import shutil
from pathlib import Path

import pytest

from graph_builder.tokenizer import save_tokenizer, train_tokenizer
from graphmert.models.configuration import tiny
from graphmert.models.graphmert import GraphMERTModel

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FOLDERS = ("graph_builder", "graphmert", "flows", "tests", "benchmarks", "docs")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


def test_the_file_tree_is_that_of_the_checkout() -> None:
    """To mend it: `python docs/file_tree.py --write`."""
    (tree,) = [block for block in blocks("text") if block.startswith("graph_builder/")]
    tracked = {
        path.relative_to(ROOT).as_posix()
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "__init__.py"  # they have nothing to say
    }
    assert tree_files(tree) == tracked


def tree_files(tree: str) -> set[str]:
    """Return the Python files of a tree, folders put before their names."""
    files, folders = set(), [""]
    for line in tree.splitlines():
        name, _, clause = line.strip().partition(" ")
        depth = (len(line) - len(line.lstrip())) // 2
        folders[depth + 1 :] = [folders[depth] + name]
        if name.endswith(".py"):
            assert clause.strip(), f"{name} says nothing of itself"
            files.add(folders[depth] + name)
    return files


def test_links_and_pictures_lead_somewhere() -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_make_targets_that_are_named_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+(?:-[a-z]+)*)", "\n".join(blocks("sh"))))
    assert {"build-and-train", "test"} <= named <= targets


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A model with random weights, where the snippet looks for the last run's best checkpoint."""
    code = ROOT / "graph_builder" / "relations.py"
    folder = tmp_path / "runs" / "latest" / "checkpoints" / "best"
    tokenizer = train_tokenizer([code.read_text()], 400)
    GraphMERTModel(tiny(vocab_size=tokenizer.get_vocab_size())).save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    shutil.copytree(ROOT / "graph_builder", tmp_path / "graph_builder")
    return folder


def test_the_python_snippet_runs(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    for snippet in blocks("python"):
        names: dict[str, object] = {}
        exec(compile(snippet, "README.md", "exec"), names)
        assert names["checkpoint"]
    said = capsys.readouterr().out
    assert said.count(" -> ") == 5  # triples, each with the prediction for it
    assert "torch.Size([1, 1024, 128])" in said
