"""Print the worked example of chain-graph.md, from the two files that the page shows.

python docs/chain_graph_example.py
"""

import re
from pathlib import Path

from graph_builder.chains import ChainSettings, chain_graphs
from graph_builder.extract import extract
from graph_builder.modules import module_name
from graph_builder.repository import Repository
from graph_builder.source_text import decode_source
from graph_builder.tokenizer import train_tokenizer
from graph_builder.window_view import view_lines

PAGE = Path(__file__).parent / "chain-graph.md"
SHOWN = "shop.cart.total"


def example() -> str:
    """Return the view of the window of `SHOWN`, built from the page's own code blocks."""
    blocks = re.findall(r"`(\S+\.py)`:\n\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    files = {path: decode_source(code.encode()) for path, code in blocks}
    files["shop/__init__.py"] = decode_source(b"")
    facts = [extract(path, module_name(path, files.keys()), text) for path, text in files.items()]
    tokenizer = train_tokenizer([text.text for text in files.values()] * 3, 330)
    made = chain_graphs("path:shop", "", files, Repository(facts), tokenizer, ChainSettings())
    [window] = [window for window in made if window.qualified_name == SHOWN]
    return "\n".join(view_lines(window, tokenizer)) + "\n"


if __name__ == "__main__":
    print(example(), end="")
