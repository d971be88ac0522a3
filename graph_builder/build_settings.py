"""The settings of a build, and the part of them that changes its outcome."""

import hashlib
import importlib.metadata
import unicodedata
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from graph_builder.cache_dir import default_cache_dir
from graph_builder.chains import ChainSettings
from graph_builder.layout import ChainLayout
from graph_builder.stdlib_names import STDLIB_NAMES

DEFAULT_VOCAB_SIZE: Final = 8192
# Libraries that decide on the bytes of a shard.
_LIBRARIES: Final = (
    "numba",
    "numpy",
    "pyarrow",
    "rensa",
    "tokenizers",
    "tree-sitter",
    "tree-sitter-python",
)
# Modules that read data sets or files and shape none.
_VIEWS: Final = frozenset(
    (
        "cli",
        "export_pt",
        "graph_export",
        "stats",
        "stats_page",
        "stats_plots",
        "stdlib_stubs",
        "summary",
        "triple_lines",
        "window_view",
    )
)


@dataclass(frozen=True)
class BuildSettings:
    output: Path  # folder of the data set
    train: tuple[str, ...] = ()  # source specs for each split ..
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()  # .. and those whose hash decides on the split
    tokenizer: Path | None = None  # load this one; None: train one on the training sources
    vocab_size: int = DEFAULT_VOCAB_SIZE  # tokens of a tokenizer that is trained here, at most
    leaves: Literal["local", "knowledge", "both"] = "both"  # which leaves go in
    max_knowledge_leaves: int = ChainSettings.max_knowledge_leaves  # in a window
    layout: ChainLayout = field(default_factory=ChainLayout)
    num_processes: int = 1  # batches of files that are worked on at the same time
    cache_dir: Path = field(default_factory=default_cache_dir)  # git repositories and wheels

    @property
    def chain_settings(self) -> ChainSettings:
        return ChainSettings(self.leaves, self.max_knowledge_leaves, self.layout)

    def identity(self, tokenizer_fingerprint: str | None) -> dict[str, Any]:
        """Return the settings that change the outcome, besides the sources.

        tokenizer_fingerprint: of the tokenizer that is loaded; None where one is trained.
        """
        return {
            "leaves": self.leaves,
            "max_knowledge_leaves": self.max_knowledge_leaves,
            "num_roots": self.layout.num_roots,
            "leaves_per_root": self.layout.leaves_per_root,
            "tokenizer": tokenizer_fingerprint or f"trained, at most {self.vocab_size} tokens",
        }


def builder_versions() -> dict[str, str]:
    """Return the versions of all code that decides on the bytes of a data set."""
    libraries = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    unicode = unicodedata.unidata_version  # of Python: which characters are of a word
    return {"graph_builder": f"sha256:{_code_sha256()}", "unicode": unicode, **libraries}


@cache
def _code_sha256() -> str:
    """Return a hash over this package's code, so that no change of it passes unnoticed."""
    modules = Path(__file__).parent.glob("*.py")
    digest = hashlib.sha256()
    for module in sorted([*modules, STDLIB_NAMES]):
        if module.stem not in _VIEWS:
            content = hashlib.sha256(module.read_bytes()).hexdigest()
            digest.update(f"{module.name} {content}\n".encode())
    return digest.hexdigest()
