"""Records and data sets that several tests of the builder share."""

from pathlib import Path

import click
import numpy as np
import pytest
from build_runs import copy_package
from tokenizers import Tokenizer

from graph_builder.record import ChainGraph
from graph_builder.source_text import SourceText, decode_source
from graph_builder.tokenizer import train_tokenizer


def _random_record(generator: np.random.Generator, index: int) -> ChainGraph:
    """Return a record that obeys the docstrings of `record.py`, with random content."""
    num_roots = int(generator.integers(3, 129))
    num_triples = int(generator.integers(0, 9))
    leaf_triples = np.repeat(np.arange(num_triples), generator.integers(1, 8, num_triples))
    anchors = np.sort(generator.choice(np.arange(1, 128), num_triples, replace=False))
    num_leaves = len(leaf_triples)
    starts = np.cumsum(generator.integers(1, 9, num_roots))
    return ChainGraph(
        window_id=int(generator.integers(-(2**63), 2**63)),
        source=f"path:source{index % 2}",
        revision="sha256:00",
        path=f"package/module_{index // 3}.py",
        qualified_name=f"package.module_{index // 3}.f{index}",
        kind=["function", "class", "module"][index % 3],
        window_index=index,
        start_line=index + 1,
        end_line=index + 9,
        root_ids=generator.integers(5, 500, num_roots).astype(np.int32),
        root_starts=starts.astype(np.int32),
        root_ends=(starts + 1).astype(np.int32),
        root_names=generator.integers(-1, 30, num_roots).astype(np.int16),
        leaf_ids=generator.integers(5, 500, num_leaves).astype(np.int32),
        leaf_roots=anchors[leaf_triples].astype(np.int16),
        leaf_names=generator.integers(-1, 30, num_leaves).astype(np.int16),
        leaf_triples=leaf_triples.astype(np.int16),
        triple_relations=generator.integers(0, 12, num_triples).astype(np.int8),
        triple_head_starts=anchors.astype(np.int16),
        triple_head_lengths=generator.integers(1, 3, num_triples).astype(np.int16),
        triple_is_reversed=generator.random(num_triples) < 0.2,
        triple_is_knowledge=generator.random(num_triples) < 0.3,
        triple_heads=tuple(f"head{i}" for i in range(num_triples)),
        triple_tails=tuple(f"tâil{i}" for i in range(num_triples)),
    )


@pytest.fixture(scope="session")
def random_records() -> list[ChainGraph]:
    generator = np.random.default_rng(0)
    return [_random_record(generator, index) for index in range(40)]


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
