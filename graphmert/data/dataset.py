"""What a training or evaluation run reads: the splits of a data set and its tokenizer."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from tokenizers import Tokenizer

from graph_builder.dataset import Dataset, open_dataset
from graph_builder.errors import UserError
from graph_builder.manifest import SPLITS
from graph_builder.record import SCHEMA
from graphmert.data.pt_files import read_pt, table_from_pt
from graphmert.data.windows import WindowTable

MASK_TOKEN = "<mask>"
EXPORTED_VALIDATION = "validation-00000.pt"  # what is validated on beside an exported file
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
    """Read the train and validation splits of a data-set folder, or an exported `.pt` file and the
    validation file beside it. Raises UserError."""
    if path.suffix == ".pt":
        return _load_exported(path)
    dataset = open_dataset(path)
    return TrainingData(
        train=load_split(dataset, "train"),
        validation=load_split(dataset, "validation"),
        tokenizer_path=dataset.tokenizer_path,
        tokenizer=load_tokenizer(dataset.tokenizer_path),
        digest=dataset.digest,
        num_relations=len(dataset.manifest.shard_format.relation_names),
    )


def _load_exported(path: Path) -> TrainingData:
    """Read one `.pt` file to train on; its folder is that of the export."""
    values = read_pt(path)
    validation_path = path.with_name(EXPORTED_VALIDATION)
    validation = read_pt(validation_path)
    if validation["dataset"] != values["dataset"]:
        raise UserError(f"{validation_path}: of another data set than {path.name}")
    tokenizer_path = path.with_name("tokenizer")
    return TrainingData(
        train=table_from_pt(values),
        validation=table_from_pt(validation),
        tokenizer_path=tokenizer_path,
        tokenizer=load_tokenizer(tokenizer_path),
        digest=values["dataset"],
        num_relations=len(values["relation_names"]),
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


def mask_token_id(tokenizer: Tokenizer, folder: Path | str) -> int:
    """Return the id of <mask>; raise UserError where the tokenizer has none."""
    token_id = tokenizer.token_to_id(MASK_TOKEN)
    if token_id is None:
        raise UserError(f"{folder}: the tokenizer has no {MASK_TOKEN} token, which masking needs")
    return token_id
