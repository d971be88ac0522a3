"""Start a GraphMERT model from RoBERTa-shaped weights, such as CodeBERT's.

Legend: C hidden size, N nodes of the layout (1024).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, RobertaConfig, RobertaForMaskedLM

from graphmert.models.configuration import GraphMERTConfig
from graphmert.models.graphmert import GraphMERTModel

# RoBERTa numbers positions from padding_idx + 1 on.
POSITION_OFFSET = 2

# RoBERTa's name of each layer's part -> ours; query, key and value are joined apart.
LAYER_PARTS = {
    "attention.output.dense": "attention.output",
    "attention.output.LayerNorm": "attention_norm",
    "intermediate.dense": "inner",
    "output.dense": "outer",
    "output.LayerNorm": "output_norm",
}
# The parts that RoBERTa's weights need not hold.
OWN_PARTS = ("embeddings.knowledge_mark", "hgat.", "relation_head.", "lm_head.")


def load_codebert(name_or_path: str | Path, overrides: Mapping[str, Any]) -> GraphMERTModel:
    """Return a model with the encoder, and the language-model head if there is one, of RoBERTa.

    What RoBERTa does not have starts as in any new model: H-GAT, the relation head, the mark of
    knowledge, positions past its table. A leaf's token type starts as a root's. Raises ValueError
    where the weights are of another kind, OSError where there are none.
    """
    source = AutoConfig.from_pretrained(name_or_path)
    if not isinstance(source, RobertaConfig) or source.hidden_act != "gelu":
        raise ValueError(
            f"{name_or_path} is a {source.model_type!r} model; from_codebert needs RoBERTa's shape "
            "with the gelu activation"
        )
    loaded: Any = RobertaForMaskedLM.from_pretrained(
        name_or_path, dtype=torch.float32, output_loading_info=True
    )
    roberta, loading = loaded
    model = GraphMERTModel(_configuration(source, overrides))
    weights = _encoder_weights(roberta.roberta.state_dict(), model)
    if not any(name.startswith("lm_head.") for name in loading["missing_keys"]):
        weights |= _head_weights(roberta.lm_head.state_dict())
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected, unexpected
    assert all(name.startswith(OWN_PARTS) or name.endswith("decay.p") for name in missing), missing
    return model.eval()


def _configuration(source: RobertaConfig, overrides: Mapping[str, Any]) -> GraphMERTConfig:
    """Return the sizes that RoBERTa's weights fix, and ours for the rest."""
    fixed = (
        "vocab_size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "hidden_dropout_prob",
        "layer_norm_eps",
        "initializer_range",
        "pad_token_id",
        "bos_token_id",
        "eos_token_id",
    )
    return GraphMERTConfig(**{name: getattr(source, name) for name in fixed} | dict(overrides))


def _encoder_weights(roberta: Mapping[str, Tensor], model: GraphMERTModel) -> dict[str, Tensor]:
    """Return RoBERTa's embeddings and layers under our names."""
    positions = roberta["embeddings.position_embeddings.weight"][POSITION_OFFSET:]
    table = model.embeddings.positions.weight.detach().clone()  # (N, C)
    num_known = min(len(positions), len(table))
    table[:num_known] = positions[:num_known]
    token_type = roberta["embeddings.token_type_embeddings.weight"][:1]  # (1, C)
    weights = {
        "embeddings.tokens.weight": roberta["embeddings.word_embeddings.weight"],
        "embeddings.positions.weight": table,
        "embeddings.token_types.weight": token_type.repeat(2, 1),
        "embeddings.norm.weight": roberta["embeddings.LayerNorm.weight"],
        "embeddings.norm.bias": roberta["embeddings.LayerNorm.bias"],
    }
    for index in range(model.config.num_hidden_layers):
        weights |= _layer_weights(roberta, f"encoder.layer.{index}.", f"layers.{index}.")
    return weights


def _layer_weights(roberta: Mapping[str, Tensor], theirs: str, ours: str) -> dict[str, Tensor]:
    """Return one layer's weights under our names."""
    weights = {}
    for kind in ("weight", "bias"):
        parts = [
            roberta[f"{theirs}attention.self.{part}.{kind}"] for part in ("query", "key", "value")
        ]
        weights[f"{ours}attention.query_key_value.{kind}"] = torch.cat(parts)
        for their_part, our_part in LAYER_PARTS.items():
            weights[f"{ours}{our_part}.{kind}"] = roberta[f"{theirs}{their_part}.{kind}"]
    return weights


def _head_weights(head: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the language-model head's own weights under our names (its decoder is tied)."""
    return {
        "lm_head.dense.weight": head["dense.weight"],
        "lm_head.dense.bias": head["dense.bias"],
        "lm_head.norm.weight": head["layer_norm.weight"],
        "lm_head.norm.bias": head["layer_norm.bias"],
        "lm_head.decoder.bias": head["bias"],
    }
