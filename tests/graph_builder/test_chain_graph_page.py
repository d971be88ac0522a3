"""The worked example of docs/chain-graph.md is what the code prints today."""

import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_example_of_the_page_is_current() -> None:
    program = [sys.executable, str(DOCS / "chain_graph_example.py")]
    printed = subprocess.run(program, capture_output=True, text=True, check=True).stdout
    page = (DOCS / "chain-graph.md").read_text()
    shown = page.rpartition("```text\n")[2].partition("```")[0]
    assert printed.count("->") > 8
    assert shown == printed
