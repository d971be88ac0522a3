"""Records and data sets that several tests of the builder share."""

from pathlib import Path

import click
import pytest
from build_runs import copy_package
from chain_graph_examples import random_chain_graphs
from tokenizers import Tokenizer

from graph_builder.record import ChainGraph
from graph_builder.source_text import SourceText, decode_source
from graph_builder.tokenizer import train_tokenizer


@pytest.fixture(scope="session")
def random_records() -> list[ChainGraph]:
    return random_chain_graphs(seed=0, num_windows=40)


@pytest.fixture(scope="session")
def click_files() -> dict[str, SourceText]:
    """The installed click, decoded, by path relative to the folder that holds the package."""
    package = Path(click.__file__).parent
    paths = sorted(package.rglob("*.py"))
    return {str(p.relative_to(package.parent)): decode_source(p.read_bytes()) for p in paths}


@pytest.fixture(scope="session")
def tokenizer(click_files: dict[str, SourceText]) -> Tokenizer:
    return train_tokenizer((source.text for source in click_files.values()), 2000)


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A folder with four small packages of the standard library, each a source."""
    for name in ("json", "html", "wsgiref", "dbm"):
        copy_package(name, tmp_path)
    return tmp_path
