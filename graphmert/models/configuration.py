"""The model's configuration, and its presets: `tiny`, `small`, `paper` and `codebert`."""

from typing import Any, Final

from transformers import PreTrainedConfig

from graph_builder.layout import ChainLayout
from graph_builder.relations import NUM_RELATIONS

RELATION_INPUTS: Final = ("root_and_leaf", "root")
PRESETS: Final = ("tiny", "small", "paper", "codebert")  # functions of this module
DECAY_FORMS: Final = ("product", "added")
# Between neighbouring roots where nothing joins them: further than any two that are joined.
APART: Final = 4
SIZES: Final = (
    "vocab_size",
    "hidden_size",
    "num_attention_heads",
    "intermediate_size",
    "num_roots",
    "leaves_per_root",
    "num_relations",
)
RATES: Final = ("hidden_dropout_prob", "hgat_dropout")


class GraphMERTConfig(PreTrainedConfig):
    """Sizes and settings of a `GraphMERTModel`; the defaults are CodeBERT's sizes."""

    model_type = "graphmert"

    vocab_size: int = 50_265
    hidden_size: int = 768  # C
    num_hidden_layers: int = 12
    num_attention_heads: int = 12  # H
    intermediate_size: int = 3072  # inner width of the feed-forward block
    hidden_dropout_prob: float = 0.1  # after the embeddings, the attention and the feed-forward
    layer_norm_eps: float = 1e-5
    initializer_range: float = 0.02  # standard deviation of initial weights; residual branches less

    num_roots: int = ChainLayout().num_roots  # tokens of a window
    leaves_per_root: int = ChainLayout().leaves_per_root  # leaf slots of each root
    num_relations: int = NUM_RELATIONS  # K
    relation_input: str = "root_and_leaf"  # final states that the relation head reads, or "root"
    use_knowledge_mark: bool = True  # False: leaves of knowledge look as local ones
    use_hgat: bool = True  # False: a leaf is its own tokens, and a visible relation is not read
    hgat_dropout: float = 0.3  # on W_r h_j (arXiv 2510.09580, released settings)

    use_decay: bool = True  # False: plain attention
    decay_base: float = 0.6  # lambda (arXiv 2510.09580)
    decay_initial_p: float = 1.0  # of the first head, so that distance 0 has decay 1
    decay_last_initial_p: float = 12.0  # of the last head, which sees a whole window alike; the
    # others lie evenly between
    is_decay_learnable: bool = True  # False: p stays at its initial value
    decay_form: str = "added"  # the decay's logarithm to the score, or their "product" (paper)
    are_roots_joined: bool = True  # False: decay 0 but within a root and its leaves (prior art)

    pad_token_id: int | None = 1
    bos_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 2
    tie_word_embeddings: bool = True

    def __post_init__(self, **kwargs: Any) -> None:
        """Refuse settings that do not fit together."""
        super().__post_init__(**kwargs)
        self._check_numbers()
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of "
                f"num_attention_heads {self.num_attention_heads}"
            )
        if self.relation_input not in RELATION_INPUTS:
            raise ValueError(
                f"relation_input {self.relation_input!r} is not one of {', '.join(RELATION_INPUTS)}"
            )
        if self.decay_form not in DECAY_FORMS:
            raise ValueError(
                f"decay_form {self.decay_form!r} is not one of {', '.join(DECAY_FORMS)}"
            )
        if self.decay_form == "added" and not self.are_roots_joined:
            raise ValueError(
                "decay_form 'added' with are_roots_joined False: a decay of 0 has no logarithm"
            )

    def _check_numbers(self) -> None:
        for name in SIZES:
            size = getattr(self, name)
            if not (isinstance(size, int) and size > 0):
                raise ValueError(f"{name} {size!r} is not a whole number greater than 0")
        for name in RATES:
            rate = getattr(self, name)
            if not (isinstance(rate, int | float) and 0 <= rate < 1):
                raise ValueError(f"{name} {rate!r} is not a number from 0 to below 1")
        for name in ("layer_norm_eps", "decay_base"):
            value = getattr(self, name)
            if not (isinstance(value, int | float) and value > 0):
                raise ValueError(f"{name} {value!r} is not a number greater than 0")

    @property
    def layout(self) -> ChainLayout:
        """The chain graph that the positions and distances follow."""
        return ChainLayout(self.num_roots, self.leaves_per_root)

    @property
    def root_distance(self) -> int:
        """Edges between neighbouring roots."""
        return 1 if self.are_roots_joined else APART

    @property
    def num_distances(self) -> int:
        """Distances 0, 1, .. that two tokens of a window can have."""
        return self.root_distance * (self.num_roots - 1) + 3

    @property
    def masked_relation(self) -> int:
        """Id of a relation that is present but unknown: one past the real ones."""
        return self.num_relations


def tiny(vocab_size: int = 8192) -> GraphMERTConfig:
    """Return a model that trains on a CPU within minutes."""
    return GraphMERTConfig(
        vocab_size=vocab_size,
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,  # with 4 a CPU trains a third fewer windows a second
        intermediate_size=256,
        hidden_dropout_prob=0.0,  # a few epochs of a small model do not overfit
        # Learns what is near sooner: after one epoch of the embedded default's data 2.342 bits a
        # masked byte, with the decay added and p spread 2.426.
        decay_form="product",
        decay_last_initial_p=1.0,
    )


def small(vocab_size: int = 16_384) -> GraphMERTConfig:
    """Return a model between `tiny` and `paper`: an hour or so of one modest GPU."""
    return GraphMERTConfig(
        vocab_size=vocab_size,
        hidden_size=256,
        num_hidden_layers=6,
        num_attention_heads=4,
        intermediate_size=1024,
    )


def paper(vocab_size: int = 50_265) -> GraphMERTConfig:
    """Return the size that the paper trained (arXiv 2510.09580)."""
    return GraphMERTConfig(
        vocab_size=vocab_size,
        hidden_size=512,
        num_hidden_layers=12,
        num_attention_heads=8,
        intermediate_size=2048,
    )


def codebert(vocab_size: int = 50_265) -> GraphMERTConfig:
    """Return CodeBERT's size, the one `GraphMERTModel.from_codebert` fills."""
    return GraphMERTConfig(vocab_size=vocab_size)
