"""A whole data-set folder of random windows: what the trainer reads, made in milliseconds."""

from pathlib import Path

from chain_graph_examples import random_chain_graphs

from graph_builder.layout import ChainLayout
from graph_builder.manifest import Manifest, ShardEntry, TokenizerEntry, save_manifest
from graph_builder.shards import ShardFormat, file_sha256, write_shard
from graph_builder.tokenizer import fingerprint, save_tokenizer, train_tokenizer

LAYOUT = ChainLayout(num_roots=24, leaves_per_root=3)
NUM_WINDOWS = {"train": 40, "validation": 10, "test": 10}
VOCAB_SIZE = 270  # 5 special tokens, 256 bytes, some pairs


def write_toy_dataset(folder: Path, vocab_size: int = VOCAB_SIZE) -> Path:
    """Write train, validation and test, one shard each; return `folder`."""
    tokenizer = train_tokenizer([Path(__file__).read_text(encoding="utf-8")], vocab_size)
    save_tokenizer(tokenizer, folder / "tokenizer")
    shard_format = ShardFormat(fingerprint(tokenizer), LAYOUT.num_roots, LAYOUT.leaves_per_root)
    shards = []
    for seed, (split, num_windows) in enumerate(NUM_WINDOWS.items()):
        records = random_chain_graphs(seed, num_windows, LAYOUT, vocab_size)
        path = folder / "shards" / split / "toy.parquet"
        write_shard(path, records, shard_format)
        shards.append(
            ShardEntry(
                path=str(path.relative_to(folder)),
                source=f"path:{split}",
                split=split,
                key=split,
                num_windows=num_windows,
                num_bytes=path.stat().st_size,
                sha256=file_sha256(path),
            )
        )
    entry = TokenizerEntry("tokenizer", shard_format.tokenizer, vocab_size, ())
    save_manifest(folder, Manifest(shard_format, {}, {}, "toy", entry, (), tuple(shards)))
    return folder
