"""The compiled linking against the slow and obvious one: the same records, the same counts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_chains import slow_chain_graphs
from tokenizers import Tokenizer

from graph_builder.chains import ChainSettings, chain_graphs
from graph_builder.layout import ChainLayout
from graph_builder.linking import LinkCounts
from graph_builder.parsed_files import parse_files
from graph_builder.repository import Repository
from graph_builder.source_text import SourceText, decode_source

Files = dict[str, SourceText]


def check_same(files: Files, tokenizer: Tokenizer, settings: ChainSettings) -> int:
    """Compare both ways; return the number of triples."""
    repository = Repository(parse_files(files).facts)
    counts, slow_counts = LinkCounts(), LinkCounts()
    common = "path:x", "r1", files, repository, tokenizer, settings
    found, expected = chain_graphs(*common, counts), slow_chain_graphs(*common, slow_counts)
    num_triples = 0
    for record, slow in zip(found, expected, strict=True):
        for name, value in vars(slow).items():
            np.testing.assert_array_equal(getattr(record, name), value, err_msg=name)
        num_triples += len(slow.triple_heads)
    assert counts == slow_counts
    return num_triples


@pytest.mark.parametrize(
    "settings",
    [
        ChainSettings(),
        ChainSettings(leaves="local"),
        ChainSettings(leaves="knowledge", max_knowledge_leaves=5),
        ChainSettings(layout=ChainLayout(48, 2)),
    ],
    ids=["both", "local", "knowledge", "small"],
)
def test_a_real_package_is_linked_as_the_slow_way_does(
    click_files: Files, tokenizer: Tokenizer, settings: ChainSettings
) -> None:
    assert check_same(click_files, tokenizer, settings) > 1000


NAMES = st.sampled_from(["f", "g", "A", "self.x", "größe", "_much_longer_than_others", "m.f", "B"])
LINES = st.builds(
    str.format,
    st.sampled_from(
        [
            *("def {0}({1}): {2}()", "class A({0}):\n    {1} = {2}", "{0} = {1} + {2}({1})"),
            *("import {0}", "from m import f as {0}", "async def g(a: {1}) -> {2}: pass"),
            *(
                "class B:\n    def __init__(self, {1}):\n        self.x: {2} = {0}",
                "# {0} {1}\t{2}",
            ),
        ]
    ),
    *[NAMES] * 3,
)


@settings(max_examples=60)
@given(texts=st.lists(st.lists(LINES, max_size=12).map("\n".join), min_size=1, max_size=3))
def test_any_code_is_linked_as_the_slow_way_does(tokenizer: Tokenizer, texts: list[str]) -> None:
    files = {
        f"{name}.py": decode_source(text.encode()) for name, text in zip("mno", texts, strict=False)
    }
    check_same(files, tokenizer, ChainSettings(layout=ChainLayout(24, 3)))
