"""Tables of random windows, for tests that need many different ones and no text."""

from chain_graph_examples import random_chain_graphs

from graph_builder.layout import ChainLayout
from graph_builder.shards import records_table
from graphmert.data.windows import WindowTable

VOCAB_SIZE = 500
SMALL = ChainLayout(num_roots=24)  # for tests that loop over every token


def random_table(seed: int, num_windows: int = 12, layout: ChainLayout = SMALL) -> WindowTable:
    records = random_chain_graphs(seed, num_windows, layout, VOCAB_SIZE, num_names=8)
    return WindowTable.from_arrow(records_table(records), layout)
