"""What a data set is to be built from, and what came of it: the records that the flows pass on."""

from dataclasses import asdict, dataclass

from flows.defaults import VOCAB_SIZE
from graph_builder.manifest import canonical_sha256


@dataclass(frozen=True)
class DatasetRequest:
    """What a data set is to be built from."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...] = ()
    vocab_size: int = VOCAB_SIZE
    tokenizer: str | None = None  # folder of one that is used as it is; None: trained
    extends: str | None = None  # name of the data set that gives its shards and its tokenizer

    @property
    def name(self) -> str:
        """A folder name that is the same for the same request."""
        given = dict(vars(self))
        if self.extends is None:
            del given["extends"]
        return f"dataset-{canonical_sha256(given)[:12]}"

    @property
    def sources(self) -> tuple[str, ...]:
        return (*self.train, *self.validation, *self.test)

    def parameters(self) -> dict[str, object]:
        """Return the request as MLflow parameters, lists of sources as one line each."""
        values = asdict(self).items()
        return {
            name: " ".join(value) if isinstance(value, tuple) else value for name, value in values
        }

    def arguments(self) -> list[str]:
        """Return the options of `graph-builder build` that say the same."""
        chosen = ["--vocab_size", str(self.vocab_size)]
        for split in ("train", "validation", "test"):
            if specs := getattr(self, split):
                chosen += [f"--{split}", *specs]
        if self.tokenizer is not None:
            chosen += ["--tokenizer", self.tokenizer]
        return chosen


@dataclass(frozen=True)
class BuiltDataset:
    path: str
    digest: str  # the data set's identity
    is_reused: bool  # nothing had changed since it was built
