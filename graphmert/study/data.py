"""What a study reads: the splits of a data set, and each variant's view of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from graph_builder.dataset import open_dataset
from graphmert.data.dataset import load_split, load_tokenizer
from graphmert.data.fact_text import write_facts
from graphmert.data.leaf_choice import choose_leaves
from graphmert.data.windows import WindowTable
from graphmert.study.variants import Variant


@dataclass(frozen=True)
class StudyData:
    """Tables with all their leaves, on the CPU."""

    train: WindowTable
    held_out: Mapping[str, WindowTable]  # by split: validation, and test for the final table
    tokenizer: Tokenizer
    digest: str  # identity of the data set

    @property
    def vocab_size(self) -> int:
        return self.tokenizer.get_vocab_size(with_added_tokens=True)


def load_study_data(path: Path, splits: tuple[str, ...]) -> StudyData:
    """Read a data-set folder; raise UserError where it, or one of `splits`, cannot be read."""
    dataset = open_dataset(path)
    return StudyData(
        train=load_split(dataset, "train"),
        held_out={split: load_split(dataset, split) for split in splits},
        tokenizer=load_tokenizer(dataset.tokenizer_path),
        digest=dataset.digest,
    )


def seen_by(variant: Variant, table: WindowTable, seed: int, tokenizer: Tokenizer) -> WindowTable:
    """Return the table as this variant is given it."""
    chosen = choose_leaves(table, variant.leaves, seed)
    if variant.are_facts_text:
        chosen = write_facts(chosen, tokenizer).to(table.window_ids.device)
    return chosen
