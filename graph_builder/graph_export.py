"""The repository graph as a networkx graph, for analysis and export.

Only on request: a million edges cost hundreds of MiB there.
"""

import networkx as nx

from graph_builder.relations import RELATION_NAMES
from graph_builder.repository import Repository


def to_networkx(repository: Repository) -> nx.MultiDiGraph:
    """Return the graph of all names: an edge for each distinct (head, relation, tail).

    Nodes are names as the triples print them; `kind` is "module", "class" or "function" where a
    definition of the repository has the name. Edges are keyed by the relation's name and carry
    `relation` and `count`, how often the repository states it.
    """
    graph = nx.MultiDiGraph()
    for facts in repository.files:
        graph.add_node(facts.module, kind="module")
        for definition in facts.definitions:
            graph.add_node(definition.name, kind=definition.kind)
    for facts in repository.files:
        for triple in repository.triples(facts.path):
            relation = RELATION_NAMES[triple.relation]
            if graph.has_edge(triple.head, triple.tail, key=relation):
                graph.edges[triple.head, triple.tail, relation]["count"] += 1
            else:
                graph.add_edge(triple.head, triple.tail, key=relation, relation=relation, count=1)
    return graph
