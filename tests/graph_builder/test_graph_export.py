"""The graph of a repository: entities by qualified name, edges with counts, files of both."""

import json
import re
from collections import Counter
from pathlib import Path

import networkx as nx
import pyarrow.parquet as pq
import pytest
from extracted_rows import repository_of

from graph_builder import cli
from graph_builder.graph_export import GraphTables, graph_tables, to_networkx
from graph_builder.relations import RELATION_NAMES

SHOP = {
    "shop/__init__.py": "from .prices import Price as Money, parse",
    "shop/prices.py": """
        class Base:
            rate: int = 3
        class Price(Base):
            def __init__(self, text: str): self.amount = text
            def total(self, other: "Price") -> "Price":
                amount = self.amount
                rate = self.rate
                return self.total(amount)
        def parse(text): return Price(text)
        """,
    "shop/cart.py": """
        import shop, decimal
        from shop import Money
        LIMIT: decimal.Decimal = make()
        def total(lines):
            first = lines
            shop.parse(first)
            shop.parse(first)
            return Money(LIMIT).append(lines)
        """,
    "lonely.py": "",
}


@pytest.fixture(scope="module")
def tables() -> GraphTables:
    return graph_tables(repository_of(SHOP))


def edges(tables: GraphTables) -> dict[str, int]:
    rows = tables.edges.to_pylist()
    return {f"{row['head']} {row['relation']} {row['tail']}": row["count"] for row in rows}


def kinds(tables: GraphTables) -> dict[str, str]:
    return {row["name"]: row["kind"] + "?" * (not row["path"]) for row in tables.nodes.to_pylist()}


def test_names_lead_to_the_entities_behind_them(tables: GraphTables) -> None:
    cart = {edge: count for edge, count in edges(tables).items() if edge.startswith("shop.cart")}
    assert cart == {
        "shop.cart imports shop": 1,
        "shop.cart imports decimal": 1,
        "shop.cart declares shop.cart.LIMIT": 1,
        "shop.cart.LIMIT has_type decimal.Decimal": 1,
        "shop.cart calls make": 1,
        "shop.cart contains shop.cart.total": 1,
        "shop.cart.total has_parameter shop.cart.total.lines": 1,
        "shop.cart.total declares shop.cart.total.first": 1,
        "shop.cart.total.lines flows_to shop.cart.total.first": 1,
        "shop.cart.total calls shop.prices.parse": 2,
        "shop.cart.total.first flows_to shop.prices.parse.text": 2,
        "shop.cart.total instantiates shop.prices.Price": 1,
        "shop.cart.LIMIT flows_to shop.prices.Price.__init__.text": 1,
        "shop.cart.total calls append": 1,
    }
    assert edges(tables)["shop.prices.Price imported_from shop"] == 1


def test_fields_belong_to_the_class_that_has_them(tables: GraphTables) -> None:
    found = edges(tables)
    for edge in (
        "shop.prices.Base has_field shop.prices.Base.rate",
        "shop.prices.Base.rate has_type int",
        "shop.prices.Price inherits shop.prices.Base",
        "shop.prices.Price has_field shop.prices.Price.amount",
        "shop.prices.Price.__init__.text has_type str",
        "shop.prices.Price.__init__.text flows_to shop.prices.Price.amount",
        "shop.prices.Price.amount flows_to shop.prices.Price.total.amount",
        "shop.prices.Base.rate flows_to shop.prices.Price.total.rate",
        "shop.prices.Price.total calls shop.prices.Price.total",
        "shop.prices.Price.total returns shop.prices.Price",
        "shop.prices.Price.total.amount flows_to shop.prices.Price.total.other",
    ):
        assert edge in found


def test_nodes_know_what_they_are(tables: GraphTables) -> None:
    known = {
        "lonely": "module",
        "shop": "module",
        "shop.cart": "module",
        "shop.prices.Price": "class",
        "shop.prices.Price.total": "function",
        "shop.prices.Price.amount": "field",
        "shop.prices.parse.text": "parameter",
        "shop.cart.LIMIT": "variable",
        "decimal": "module?",
        "decimal.Decimal": "class?",
        "str": "type?",
        "append": "function?",
    }
    assert {name: kinds(tables)[name] for name in known} == known
    paths = {row["name"]: row["path"] for row in tables.nodes.to_pylist()}
    assert paths["shop.prices.Price.__init__.text"] == "shop/prices.py"
    assert paths["shop.cart.LIMIT"] == paths["shop.cart"] == "shop/cart.py"


def test_every_triple_is_counted_in_one_edge(tables: GraphTables) -> None:
    repository = repository_of(SHOP)
    triples = [t for facts in repository.files for t in repository.triples(facts.path)]
    by_relation: Counter[str] = Counter()
    for row in tables.edges.to_pylist():
        by_relation[row["relation"]] += row["count"]
    assert by_relation == Counter(RELATION_NAMES[triple.relation] for triple in triples)
    ends = {end for row in tables.edges.to_pylist() for end in (row["head"], row["tail"])}
    assert ends | {"lonely"} == set(kinds(tables))


def test_files_below_a_namespace_folder_are_imported_by_their_whole_path() -> None:
    files = {
        "pkg/__init__.py": "from pkg.space.deep import Thing",
        "pkg/space/deep.py": "class Thing: pass",
        "use.py": "import pkg\npkg.Thing()",
    }
    assert "use instantiates deep.Thing" in edges(graph_tables(repository_of(files)))


def test_the_command_writes_graphml_and_parquet(
    sources: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec, graphml, folder = f"path:{sources}/json", sources / "g.graphml", sources / "graph"
    assert cli.main(["graph", spec, "--output", str(graphml)]) == 0
    assert cli.main(["graph", spec, "--output", str(folder)]) == 0
    names = [graphml, folder / "nodes.parquet", folder / "edges.parquet"]
    assert capsys.readouterr().out.splitlines() == [str(name) for name in names]
    tables = GraphTables(*(pq.read_table(name) for name in names[1:]))
    read = nx.read_graphml(graphml)
    assert dict(read.nodes(data=True)) == dict(to_networkx(tables).nodes(data=True))
    assert sorted(json.dumps(edge) for edge in read.edges(data=True)) == sorted(
        json.dumps(edge) for edge in to_networkx(tables).edges(data=True)
    )
    edge = to_networkx(tables).edges["json", "json.dumps", "contains"]
    assert edge == {"relation": "contains", "count": 1}
    before = {name: name.read_bytes() for name in names}
    assert cli.main(["graph", spec, "--output", str(graphml)]) == 0
    assert {name: name.read_bytes() for name in names} == before


def test_the_command_refuses_what_it_cannot_write(
    sources: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = sources / "taken"
    taken.mkdir()
    (taken / "mine.txt").write_text("mine")
    for output in (taken, taken / "mine.txt"):
        assert cli.main(["graph", f"path:{sources}/json", "--output", str(output)]) == 2
        assert "is there already" in capsys.readouterr().err
    assert cli.main(["graph", f"path:{sources}/nowhere", "--output", str(sources / "g")]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert not (sources / "g").exists()


def test_files_left_out_of_a_graph_are_named(
    sources: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (sources / "json" / "binary.py").write_bytes(b"\0")
    output = ["--output", str(sources / "g")]
    assert cli.main(["graph", f"path:{sources}/json", *output]) == 1
    assert "binary.py: left out, binary" in capsys.readouterr().err
    assert (sources / "g" / "nodes.parquet").exists()


def test_the_snippet_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = Path(__file__).parents[2] / "docs" / "repository-graph.md"
    [snippet] = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    package = tmp_path / "src" / "pkg"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from pkg.errors import Bad as Wrong\n")
    (package / "errors.py").write_text("class Bad(Exception): pass\n")
    (package / "use.py").write_text("import pkg\ndef f():\n    pkg.Wrong(1)\n    pkg.Wrong(2)\n")
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, "repository-graph.md", "exec"), {})
    assert capsys.readouterr().out == "pkg.use.f instantiates pkg.errors.Bad (2)\n"
