"""The parts around attention: embeddings, encoder layer, language-model head. RoBERTa's shapes.

Legend: B rows, N tokens of a row, C hidden size, V vocabulary.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graphmert.models.attention import AttentionScope, BranchOutput, DecayAttention
from graphmert.models.configuration import GraphMERTConfig
from graphmert.models.dropout import Dropout
from graphmert.models.inputs import KNOWLEDGE_LEAF, ROOT, GraphInputs
from graphmert.models.token_ranges import TokenRanges

# A product whose width is not a multiple of this is several times slower on a GPU.
VOCABULARY_MULTIPLE = 64


class Embeddings(nn.Module):
    """Token, position and token-type embeddings, summed and normalised."""

    def __init__(self, config: GraphMERTConfig) -> None:
        super().__init__()
        self.tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.positions = nn.Embedding(config.layout.num_nodes, config.hidden_size)
        self.token_types = nn.Embedding(2, config.hidden_size)
        # What a leaf of knowledge has beside a leaf's type: its evidence lies elsewhere.
        self.knowledge_mark = (
            nn.Parameter(torch.zeros(config.hidden_size)) if config.use_knowledge_mark else None
        )
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, inputs: GraphInputs) -> Tensor:
        """Return (B, N, C)."""
        total = self.tokens(inputs.input_ids) + self.positions(inputs.position_ids)
        return self.finish(total, inputs.token_type_ids)

    def finish(self, total: Tensor, token_type_ids: Tensor) -> Tensor:
        """Add the types' embeddings to (B, N, C) and normalise; the part worth compiling.

        A row of two is chosen, not looked up: on a GPU the gradient of a look-up that hits a row
        thousands of times is added up in no fixed order, that of a choice is a plain sum.
        """
        root, leaf = self.token_types.weight
        types = token_type_ids[..., None]
        total = total + torch.where(types == ROOT, root, leaf)
        if self.knowledge_mark is not None:
            total = total + torch.where(types == KNOWLEDGE_LEAF, self.knowledge_mark, 0.0)
        normed = self.norm(total)
        # Under autocast a norm returns float32; what lies between layers need not be that wide.
        if torch.is_autocast_enabled(normed.device.type):
            normed = normed.to(torch.get_autocast_dtype(normed.device.type))
        return self.dropout(normed)


class EncoderLayer(nn.Module):
    """Attention and feed-forward, each added to its input and then normalised (post-norm)."""

    def __init__(self, config: GraphMERTConfig) -> None:
        super().__init__()
        self.attention = DecayAttention(config)
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.inner = nn.Linear(config.hidden_size, config.intermediate_size)
        self.outer = BranchOutput(config.intermediate_size, config.hidden_size)
        self.output_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, hidden: Tensor, scope: AttentionScope | TokenRanges) -> Tensor:
        """Return (B, N, C) from (B, N, C), of the same type."""
        dtype = hidden.dtype  # autocast would widen it
        hidden = self.attention_norm(hidden + self.dropout(self.attention(hidden, scope))).to(dtype)
        change = self.outer(F.gelu(self.inner(hidden)))
        return self.output_norm(hidden + self.dropout(change)).to(dtype)


class LanguageModelHead(nn.Module):
    """Scores of every token of the vocabulary; the decoder's weight is the token embedding's."""

    def __init__(self, config: GraphMERTConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return (..., V) from (..., C); call it on the positions that need scores only."""
        states = self.norm(F.gelu(self.dense(hidden)))
        num_tokens = len(self.decoder.weight)
        missing = -num_tokens % VOCABULARY_MULTIPLE
        if not (states.is_cuda and missing):
            return self.decoder(states)
        weight = F.pad(self.decoder.weight, (0, 0, 0, missing))
        bias = F.pad(self.decoder.bias, (0, missing))
        return F.linear(states, weight, bias)[..., :num_tokens]
