"""GraphMERT: an encoder of code windows whose leaves are fed by a code graph.

Legend: B windows or rows, R roots (128), L leaves per root (7), N nodes of a window (1024) or
tokens of a row, E edges, C hidden size, V vocabulary, K relations (12).
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel, PreTrainedModel
from transformers import initialization as init
from transformers.utils import ModelOutput

from graphmert.models.attention import BranchOutput, choose_scope
from graphmert.models.configuration import GraphMERTConfig
from graphmert.models.decay import DistanceDecay
from graphmert.models.dense import dense_graph_inputs
from graphmert.models.encoder import Embeddings, EncoderLayer, LanguageModelHead
from graphmert.models.hgat import HGAT
from graphmert.models.inputs import GraphInputs

__all__ = ["GraphMERTConfig", "GraphMERTModel", "GraphMERTOutput"]


@dataclass
class GraphMERTOutput(ModelOutput):
    """What `GraphMERTModel.forward` returns."""

    last_hidden_state: Tensor | None = None  # (B, N, C)
    relation_logits: Tensor | None = None  # (B, R, L, K)


class GraphMERTModel(PreTrainedModel):
    """Embeddings, H-GAT on leaves, decayed encoder, and the two heads.

    `forward` takes the fixed-width tensors of whole windows; `encode` and `relation_logits` take
    packed rows and are what `forward` itself calls.
    """

    config_class = GraphMERTConfig
    base_model_prefix = "graphmert"
    _input_embed_layer = "tokens"  # where `transformers` looks, below `embeddings`
    _tied_weights_keys = {"lm_head.decoder.weight": "embeddings.tokens.weight"}  # noqa: RUF012

    def __init__(self, config: GraphMERTConfig) -> None:
        super().__init__(config)
        self.embeddings = Embeddings(config)
        self.hgat = HGAT(config) if config.use_hgat else None
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.num_hidden_layers))
        self.lm_head = LanguageModelHead(config)
        self.relation_head = nn.Linear(config.hidden_size, config.num_relations)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor,
        graph_structure: Tensor,
        relation_ids: Tensor,
        *,
        triple_ids: Tensor | None = None,
        head_starts: Tensor | None = None,
        head_lengths: Tensor | None = None,
        is_reversed: Tensor | None = None,
        is_knowledge: Tensor | None = None,
    ) -> GraphMERTOutput:
        """Encode whole windows.

        `input_ids`, `attention_mask`, `token_type_ids` are (B, N); the rest (B, R, L).
        `graph_structure` names the leaf (a position) that a slot feeds, -1 none; `relation_ids` is
        -1 where masked. Without `head_starts` and `head_lengths` each slot's head is its own root.
        Without `is_knowledge` all leaves count as local. `triple_ids` and `is_reversed` are taken
        so that a record passes whole, and not read: a direction would give a masked relation away.
        Raises ValueError for values outside the layout.
        """
        del triple_ids, is_reversed
        inputs = dense_graph_inputs(
            input_ids,
            attention_mask,
            token_type_ids,
            graph_structure,
            relation_ids,
            head_starts=head_starts,
            head_lengths=head_lengths,
            is_knowledge=is_knowledge,
            layout=self.config.layout,
            num_relations=self.config.num_relations,
        )
        hidden = self.encode(inputs)  # (B, N, C)
        logits = self.relation_logits(hidden, inputs)  # (B, E, K)
        return GraphMERTOutput(
            last_hidden_state=hidden, relation_logits=logits.view(*graph_structure.shape, -1)
        )

    def encode(self, inputs: GraphInputs) -> Tensor:
        """Return the final state of every token of every row, (B, N, C).

        States of tokens without a window (`window_index` -1) are finite and mean nothing.
        """
        hidden = self.embeddings(inputs)
        if self.hgat is not None:
            hidden = self.hgat(hidden, inputs)
        placed = inputs.with_roots_apart(self.config.root_distance)
        scope = choose_scope(placed, hidden, self.config.num_attention_heads)
        for layer in self.layers:
            hidden = layer(hidden, scope)
        return hidden

    def relation_logits(self, hidden: Tensor, inputs: GraphInputs) -> Tensor:
        """Return the scores of each relation for every edge, (B, E, K), from `encode`'s states.

        The head reads the root's state, plus the leaf's with `relation_input` "root_and_leaf" (a
        slot without a leaf has its root's alone).
        """
        num_rows, row_length, width = hidden.shape
        first = torch.arange(num_rows, device=hidden.device)[:, None] * row_length  # (B, 1)
        flat = hidden.reshape(-1, width)
        # Embedding look-ups: the gradient of plain indexing adds up in no fixed order.
        states = F.embedding(first + inputs.edge_root.clamp(min=0), flat)  # (B, E, C)
        if self.config.relation_input == "root_and_leaf":
            leaves = F.embedding(first + inputs.edge_leaf.clamp(min=0), flat)
            states = states + leaves * (inputs.edge_leaf >= 0)[:, :, None]
        return self.relation_head(states)

    @staticmethod
    def from_codebert(name_or_path: str | Path, **overrides: Any) -> "GraphMERTModel":
        """Return a model that starts from RoBERTa-shaped weights, such as CodeBERT's.

        `overrides` are fields of `GraphMERTConfig` that the weights do not fix. Raises ValueError
        where the weights are of another kind.
        """
        # Imported here, since codebert.py builds this class.
        from graphmert.models.codebert import load_codebert  # noqa: PLC0415

        return load_codebert(name_or_path, overrides)

    def get_output_embeddings(self) -> nn.Module:
        """Return the decoder whose weight is the token embedding's."""
        return self.lm_head.decoder

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Start as BERT does; called for every module by `post_init` and `from_pretrained`."""
        super()._init_weights(module)
        std = self.config.initializer_range
        num_branches = 1 + 2 * self.config.num_hidden_layers  # H-GAT, and two of each layer
        branch_std = std / math.sqrt(num_branches)
        if isinstance(module, BranchOutput):
            init.normal_(module.weight, mean=0.0, std=branch_std)
        elif isinstance(module, HGAT):
            init.normal_(module.transform, mean=0.0, std=branch_std)
            for parameter in (module.attend_leaf, module.attend_head):
                init.normal_(parameter, mean=0.0, std=std)
        elif isinstance(module, Embeddings) and module.knowledge_mark is not None:
            init.zeros_(module.knowledge_mark)
        elif isinstance(module, DistanceDecay):
            init.copy_(module.p, module.initial_p(len(module.p)))


# So that AutoModel.from_pretrained(checkpoint) finds the class by the checkpoint's model_type.
AutoConfig.register("graphmert", GraphMERTConfig)
AutoModel.register(GraphMERTConfig, GraphMERTModel)
