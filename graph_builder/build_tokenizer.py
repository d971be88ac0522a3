"""The tokenizer of a build: loaded from a path, taken over from the base, or trained now."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from graph_builder.build_folder import BuildFolder
from graph_builder.build_plan import BuildPlan
from graph_builder.layout import ChainLayout
from graph_builder.manifest import TokenizerEntry, canonical_sha256
from graph_builder.shards import ShardFormat
from graph_builder.source_files import read_files
from graph_builder.sources import ResolvedSource
from graph_builder.tokenizer import fingerprint, load_tokenizer, save_tokenizer, train_tokenizer
from graph_builder.whole_folder import whole_folder

TOKENIZER_FOLDER: Final = "tokenizer"  # in the data set


@dataclass(frozen=True)
class BuildTokenizer:
    entry: TokenizerEntry  # what the manifest says of it
    path: Path  # folder of its files while the build is at work

    def shard_format(self, layout: ChainLayout) -> ShardFormat:
        return ShardFormat(self.entry.fingerprint, layout.num_roots, layout.leaves_per_root)


def make_tokenizer(
    plan: BuildPlan, folder: BuildFolder, say: Callable[[str], None]
) -> BuildTokenizer:
    """Return the tokenizer of this build; one that is trained sees training sources only."""
    given = plan.settings.tokenizer
    if given is None and plan.base is not None and plan.is_extension:
        return BuildTokenizer(plan.base.manifest.tokenizer, plan.base.tokenizer_path)
    sources = [shard.source for shard in plan.shards if shard.split == "train"]
    contents = [source.content_sha256 for source in sources]
    path = folder.tokenizer(canonical_sha256([plan.identity, plan.versions, contents])[:12])
    if not path.is_dir():
        with whole_folder(path) as temporary:
            if given is None:
                say(f"tokenizer: training on {len(sources)} sources")
                tokenizer = train_tokenizer(_texts(sources), plan.settings.vocab_size)
            else:
                tokenizer = load_tokenizer(given)
            save_tokenizer(tokenizer, temporary)
    tokenizer = load_tokenizer(path)
    labels = tuple(source.label for source in sources) if given is None else ()
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    return BuildTokenizer(
        TokenizerEntry(TOKENIZER_FOLDER, fingerprint(tokenizer), size, labels), path
    )


def _texts(sources: Sequence[ResolvedSource]) -> Iterator[str]:
    for source in sources:
        for text in read_files(source.root, source.files).texts.values():
            yield text.text
