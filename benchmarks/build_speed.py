"""Measure the data side against its floors: ten packages, from files to a data set.

    python benchmarks/build_speed.py --work_dir data/build-speed

Floor A reads, parses (tree-sitter) and encodes (`tokenizers`, with offsets); floor B encodes with
the fastest encoder that gives the same ids. Both share the files and the tokenizer of the build.
Every measurement runs in a process of its own, one after the other, in rounds; figures are medians
of CPU seconds (of all processes together), so that other work on the machine matters little. Wall
seconds, for what two processes gain, mean something on a quiet machine only.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from graph_builder.build import build_dataset
from graph_builder.build_settings import BuildSettings
from graph_builder.extract_syntax import parse
from graph_builder.fast_encoder import fast_encoder
from graph_builder.source_files import read_files
from graph_builder.source_spec import parse_spec
from graph_builder.sources import ResolvedSource, resolve
from graph_builder.tokenizer import load_tokenizer, save_tokenizer, train_tokenizer

TRAIN = (
    "pypi:django==5.2.19",
    "pypi:numpy==2.4.6",
    "pypi:pandas==3.1.1",
    "pypi:scikit-learn==1.9.1",
    "pypi:pytest==9.2.0",
    "pypi:fastapi==0.165.0",
    "pypi:click==8.5.1",
)
VALIDATION = ("pypi:flask==3.1.3", "pypi:httpie==3.2.4")
TEST = ("pypi:requests==2.34.2",)
LARGEST = "pypi:pandas==3.1.1"
TOKENIZER_SOURCES = ("pypi:pytest==9.2.0", "pypi:fastapi==0.165.0", "pypi:click==8.5.1")
VOCAB_SIZE = 8192


@dataclass(frozen=True)
class Folder:
    path: Path

    @property
    def cache(self) -> Path:
        return self.path / "cache"

    @property
    def tokenizer(self) -> Path:
        return self.path / "tokenizer"

    def sources(self, specs: Sequence[str]) -> list[ResolvedSource]:
        return [resolve(parse_spec(spec), self.cache) for spec in specs]


def prepare(folder: Folder) -> None:
    """Fetch the packages and train the tokenizer, once."""
    sources = folder.sources((*TRAIN, *VALIDATION, *TEST))
    num_files = sum(len(source.files) for source in sources)
    print(f"{num_files:,} files, {sum(source.num_bytes for source in sources) / 1e6:.1f} MB")
    if not folder.tokenizer.exists():
        some = folder.sources(TOKENIZER_SOURCES)
        texts = (t.text for s in some for t in read_files(s.root, s.files).texts.values())
        save_tokenizer(train_tokenizer(texts, VOCAB_SIZE), folder.tokenizer)


def floor_a(folder: Folder, encode: Callable[[Tokenizer, str], object] | None = None) -> None:
    """Read, parse and encode every file, with the library."""
    tokenizer = load_tokenizer(folder.tokenizer)
    for source in folder.sources((*TRAIN, *VALIDATION, *TEST)):
        for text in read_files(source.root, source.files).texts.values():
            parse(text.utf8)
            if encode is None:
                encoding = tokenizer.encode(text.text, add_special_tokens=False)
                _ = encoding.ids, encoding.offsets
            else:
                encode(tokenizer, text.text)


def floor_b(folder: Folder) -> None:
    fast = fast_encoder(load_tokenizer(folder.tokenizer))
    assert fast is not None
    floor_a(folder, lambda _, text: fast.encode(text))


def build(folder: Folder, num_processes: int) -> None:
    """Build the data set with nothing parsed before."""
    output = folder.path / f"data-{num_processes}"
    shutil.rmtree(output, ignore_errors=True)
    shutil.rmtree(folder.cache / "parsed", ignore_errors=True)
    settings = BuildSettings(
        output,
        train=TRAIN,
        validation=VALIDATION,
        test=TEST,
        tokenizer=folder.tokenizer,
        num_processes=num_processes,
        cache_dir=folder.cache,
    )
    build_dataset(settings)
