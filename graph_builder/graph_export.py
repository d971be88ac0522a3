"""The repository graph as a whole: tables of nodes and edges, a networkx graph, and files of both.

    graph-builder graph path:src --output graph.graphml    # GraphML, for Gephi, yEd, networkx ..
    graph-builder graph path:src --output graph            # nodes.parquet and edges.parquet

A node is an entity (see `graph_entities.py`), an edge a distinct (head, relation, tail) with the
number of places that state it. Both are sorted, so the same sources give the same bytes.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import networkx as nx
import pyarrow as pa
import pyarrow.parquet as pq

from graph_builder.errors import UserError
from graph_builder.graph_entities import KINDS, FileEntities, GraphEntity, bound_names
from graph_builder.relations import RELATION_NAMES
from graph_builder.repository import Repository
from graph_builder.whole_file import whole_file
from graph_builder.whole_folder import whole_folder

GRAPHML: Final = ".graphml"
NODE_SCHEMA: Final = pa.schema(  # path: of the file that defines it, empty where none does
    {"name": pa.string(), "kind": pa.string(), "path": pa.string()}
)
EDGE_SCHEMA: Final = pa.schema(  # count: places that state it
    {"head": pa.string(), "relation": pa.string(), "tail": pa.string(), "count": pa.int32()}
)


@dataclass(frozen=True)
class GraphTables:
    nodes: pa.Table  # of NODE_SCHEMA, by name
    edges: pa.Table  # of EDGE_SCHEMA, by head, relation, tail


def graph_tables(repository: Repository) -> GraphTables:
    """Return the nodes and edges of a repository."""
    nodes: dict[str, GraphEntity] = {}
    edges: Counter[tuple[str, str, str]] = Counter()
    bound = {facts.path: bound_names(facts) for facts in repository.files}
    for facts in repository.files:
        module = GraphEntity(facts.module, "module", facts.path)
        nodes[module.name] = module
        entities = FileEntities(repository, facts.path, bound)
        for triple in repository.triples(facts.path):
            head, tail = entities.ends(triple)
            edges[head.name, RELATION_NAMES[triple.relation], tail.name] += 1
            for each in (head, tail):
                nodes[each.name] = min(each, nodes.get(each.name, each), key=_rank)
    return _tables(nodes, edges)


def _rank(entity: GraphEntity) -> tuple[bool, int, str]:
    """Order what is said of one name: whoever defines it knows best what it is."""
    return not entity.path, KINDS.index(entity.kind), entity.path


def to_networkx(tables: GraphTables) -> nx.MultiDiGraph:
    """Return the graph with an edge for each distinct triple, keyed by the relation's name.

    Only on request: a million edges cost hundreds of MiB there.
    """
    graph = nx.MultiDiGraph()
    for node in tables.nodes.to_pylist():
        graph.add_node(node.pop("name"), **node)
    for edge in tables.edges.to_pylist():
        relation, count = edge["relation"], edge["count"]
        graph.add_edge(edge["head"], edge["tail"], relation, relation=relation, count=count)
    return graph


def write_graph(tables: GraphTables, output: Path) -> list[Path]:
    """Write `output` as GraphML where it ends in .graphml, else as a folder of Parquet files."""
    if output.suffix == GRAPHML:
        with whole_file(output) as temporary:
            nx.write_graphml(_numbered(to_networkx(tables)), temporary)
        return [output]
    check_graph_output(output)
    with whole_folder(output) as folder:
        pq.write_table(tables.nodes, folder / "nodes.parquet", compression="zstd")
        pq.write_table(tables.edges, folder / "edges.parquet", compression="zstd")
    return [output / "nodes.parquet", output / "edges.parquet"]


def check_graph_output(output: Path) -> None:
    """Raise UserError where `output` cannot be written, before any work is done."""
    if output.suffix == GRAPHML:
        if output.is_dir():
            raise UserError(f"{output}: a folder: choose another output")
    elif output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(
            f"{output}: is there already: name a file *{GRAPHML}, or a new or empty folder"
        )


def _tables(nodes: dict[str, GraphEntity], edges: Counter[tuple[str, str, str]]) -> GraphTables:
    node_rows = [nodes[name] for name in sorted(nodes)]
    edge_rows = [(*edge, edges[edge]) for edge in sorted(edges)]
    return GraphTables(_table(node_rows, NODE_SCHEMA), _table(edge_rows, EDGE_SCHEMA))


def _table(rows: Sequence[tuple], schema: pa.Schema) -> pa.Table:
    columns = [[row[at] for row in rows] for at in range(len(schema))]
    return pa.table(columns, schema=schema)


def _numbered(graph: nx.MultiDiGraph) -> nx.MultiDiGraph:
    """Return the graph with a number as the key of each edge: in GraphML a key is unique."""
    numbered = nx.MultiDiGraph()
    numbered.add_nodes_from(graph.nodes(data=True))
    edges = enumerate(graph.edges(data=True))
    numbered.add_edges_from((head, tail, number, data) for number, (head, tail, data) in edges)
    return numbered
