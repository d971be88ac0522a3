"""What a training or evaluation run reads: the splits of a data set and its tokenizer."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from tokenizers import Tokenizer

from graph_builder.dataset import Dataset, open_dataset
from graph_builder.errors import UserError
from graph_builder.manifest import SPLITS
from graph_builder.record import SCHEMA
from graphmert.data.windows import WindowTable

MASK_TOKEN = "<mask>"
STORED_FOR_READERS = ("triple_heads", "triple_tails")  # strings that training has no use for
COLUMNS = [name for name in SCHEMA.names if name not in STORED_FOR_READERS]


@dataclass(frozen=True)
class TrainingData:
    """Everything that a training run reads of a data set."""

    train: WindowTable
    validation: WindowTable
    tokenizer_path: Path  # folder of its files
    tokenizer: Tokenizer
    digest: str  # identity of the data set
    num_relations: int

    @property
    def vocab_size(self) -> int:
        return self.tokenizer.get_vocab_size(with_added_tokens=True)

    @property
    def mask_token_id(self) -> int:
        return mask_token_id(self.tokenizer, self.tokenizer_path)


def load_training_data(path: Path) -> TrainingData:
    """Read the train and validation splits of a data-set folder. Raises UserError."""
    dataset = open_dataset(path)
    return TrainingData(
        train=load_split(dataset, "train"),
        validation=load_split(dataset, "validation"),
        tokenizer_path=dataset.tokenizer_path,
        tokenizer=load_tokenizer(dataset.tokenizer_path),
        digest=dataset.digest,
        num_relations=len(dataset.manifest.shard_format.relation_names),
    )


def load_split(dataset: Dataset, split: str) -> WindowTable:
    """Read a whole split into memory; raise UserError where it has no windows."""
    tables = list(dataset.tables(split, COLUMNS))
    if not sum(table.num_rows for table in tables):
        raise UserError(
            f"{dataset.path}: the {split} split has no windows: "
            f"build a data set with sources for {', '.join(SPLITS)}"
        )
    return WindowTable.from_arrow(pa.concat_tables(tables), dataset.layout)


def load_tokenizer(folder: Path) -> Tokenizer:
    """Load `folder`/tokenizer.json; raise UserError where there is none."""
    path = folder / "tokenizer.json"
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises nothing more precise
        raise UserError(f"{path}: no tokenizer can be read there ({error})") from error


def mask_token_id(tokenizer: Tokenizer, folder: Path) -> int:
    """Return the id of <mask>; raise UserError where the tokenizer has none."""
    token_id = tokenizer.token_to_id(MASK_TOKEN)
    if token_id is None:
        raise UserError(f"{folder}: the tokenizer has no {MASK_TOKEN} token, which masking needs")
    return token_id
