"""Import directions: graph_builder <- graphmert <- flows, and what each may use from outside."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What graphmert may use of graph_builder: the record, the reading of data sets, and two things
# that both need: the error that is one line for the user, and files that are whole or not there.
READING = frozenset(
    f"graph_builder.{name}"
    for name in ("dataset", "layout", "manifest", "record", "relations", "shards")
) | {"graph_builder.errors", "graph_builder.whole_file", "graph_builder.whole_folder"}
# Prediction from source text: the one use of the builder itself, inside functions.
PREDICTION = {
    ("graphmert/prediction.py", "graph_builder.chains"),
    ("graphmert/prediction.py", "graph_builder.tokenizer"),
}
TRACKING = "graphmert/tracking/"
REGISTRY = "graphmert/tracking/registry.py"  # packs the code of both packages with a served model
EXPORT = "graph_builder/export_pt.py"


def python_files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield every module that a file imports and whether it does so inside a function."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [node.module or ""]
            if node.module in ("graph_builder", "graphmert", "flows"):  # `from package import file`
                names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        outer = parents.get(node)
        while outer is not None and not isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef):
            outer = parents.get(outer)
        yield from ((name, outer is not None) for name in names)


def found(package: str, *modules: str) -> dict[str, list[str]]:
    """Return {file: imports} of those files of a package that import one of the modules."""
    wrong: dict[str, list[str]] = {}
    for path in python_files(package):
        names = [
            name
            for name, _ in imports(path)
            if any(name == module or name.startswith(f"{module}.") for module in modules)
        ]
        if names:
            wrong[path.relative_to(ROOT).as_posix()] = names
    return wrong


def test_the_builder_knows_nothing_of_what_uses_it() -> None:
    assert not found("graph_builder", "graphmert", "flows", "prefect", "mlflow", "transformers")


def test_the_builder_has_torch_only_for_its_export() -> None:
    assert set(found("graph_builder", "torch")) <= {EXPORT}


def test_graphmert_knows_neither_flows_nor_prefect_nor_the_parser() -> None:
    assert not found("graphmert", "flows", "prefect", "tree_sitter", "tree_sitter_python")


def test_mlflow_is_for_tracking_alone() -> None:
    users = found("graphmert", "mlflow")
    assert users
    assert all(path.startswith(TRACKING) for path in users), users


def test_graphmert_reads_data_sets_and_no_more_of_the_builder() -> None:
    lazy = set()
    for path in python_files("graphmert"):
        file = path.relative_to(ROOT).as_posix()
        for name, is_lazy in imports(path):
            if name.split(".")[0] != "graph_builder" or name in READING:
                continue
            if name == "graph_builder" and file == REGISTRY:
                continue
            assert is_lazy, f"{file} imports {name} at the top"
            lazy.add((file, name))
    assert lazy <= PREDICTION


BLOCKED = """
import sys
for name in ("prefect", "mlflow", "tree_sitter", "tree_sitter_python", "networkx", "pandas",
             "rensa", "matplotlib", "sklearn"):
    sys.modules[name] = None  # `import name` now raises ImportError
"""


@pytest.mark.parametrize("module", ["graphmert.training.cli", "graphmert.models.graphmert"])
def test_training_needs_only_its_own_dependencies(module: str) -> None:
    code = f"{BLOCKED}\nimport {module}"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_reading_a_data_set_needs_no_parser_and_no_torch() -> None:
    blocked = f"{BLOCKED}\nsys.modules['torch'] = sys.modules['transformers'] = None"
    code = f"{blocked}\nimport graph_builder.dataset"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
