"""Print the README's file tree: every Python file with the first sentence of its docstring.

    python docs/file_tree.py            prints it
    python docs/file_tree.py --write    puts it into README.md, in place of the old one

tests/test_readme.py compares its files with those of the checkout.
"""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {
    "graph_builder": "sources -> data set; no torch but for the .pt export",
    "graphmert": "model, training, evaluation, tracking; no Prefect, no parser",
    "flows": "the Prefect flows and the command that runs them",
    "tests": "mirrors the packages",
    "benchmarks": "measurements, with what reproduces them",
    "docs": "pages, and what prints their examples",
}
# Files that are not Python, and say here what they are.
OTHERS = {
    "docs/chain-graph.md": "the chain graph on one page, with an example",
    "docs/evaluation.md": "what a checkpoint is asked, of what, and beside which baselines",
    "docs/pipeline.md": "the steps of build-and-train, exit codes, the gate, where things are",
    "docs/relations.md": "the exact rules of the twelve relations",
    "docs/repository-graph.md": "the graph of names across files, its columns, from Python",
    "docs/data-flow.svg": "the picture above",
    "graph_builder/stdlib_names.txt": "the standard library's classes, one module a line",
    "flows/logging.yml": "what a terminal shows of a run",
    "docker/Dockerfile": "an image with the project and its environment",
    "docker/compose.yaml": "Prefect server, MLflow server and worker",
    ".ci/run": "what every change must pass",
    "Makefile": "the commands",
    "constraints.txt": "the exact version of everything that is installed",
    "prefect.yaml": "the deployments",
    "pyproject.toml": "packages, dependencies, settings of the tools",
}
INDENT = "  "


def tree() -> str:
    """Return the tree as lines, folders first, a clause behind each name."""
    paths = {path.relative_to(ROOT) for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")}
    files = {path for path in paths if path.name != "__init__.py"} | {Path(name) for name in OTHERS}
    tops = [*FOLDERS, *sorted({path.parts[0] for path in files} - set(FOLDERS))]
    lines = [line for top in tops for line in subtree(Path(top), files, 0)]
    width = max(len(name) for name, _ in lines) + 2
    return "\n".join(f"{name:<{width}}{clause}".rstrip() for name, clause in lines) + "\n"


def subtree(path: Path, files: set[Path], depth: int) -> list[tuple[str, str]]:
    """Return (indented name, clause) of a file, or of a folder and all that is in it."""
    if path in files:
        return [(INDENT * depth + path.name, clause(path))]
    lines = [(f"{INDENT * depth}{path.name}/", FOLDERS.get(path.as_posix(), ""))]
    inside = {file.parts[: len(path.parts) + 1] for file in files if path in file.parents}
    children = sorted((Path(*parts) for parts in inside), key=lambda each: (each in files, each))
    return lines + [line for child in children for line in subtree(child, files, depth + 1)]


def clause(path: Path) -> str:
    """Return what a file says of itself: the first sentence of a Python file's docstring."""
    if path.suffix != ".py":
        return OTHERS[path.as_posix()]
    docstring = ast.get_docstring(ast.parse((ROOT / path).read_text(encoding="utf-8"))) or ""
    return " ".join(docstring.split("\n\n")[0].split()).split(". ")[0].rstrip(".")


def write(readme: Path) -> None:
    """Put the tree in place of the old one: the text block below "The files"."""
    text = readme.read_text(encoding="utf-8")
    block = re.compile(r"(## The files\n\n```text\n).*?(```\n)", re.DOTALL)
    new = block.sub(lambda found: found.group(1) + tree() + found.group(2), text, count=1)
    readme.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        write(ROOT / "README.md")
    else:
        print(tree(), end="")
