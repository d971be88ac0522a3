"""The model once more, slow and obvious: one window, one pair of tokens, one triple at a time.

It reads the parameters of a `GraphMERTModel` and runs none of its attention, decay or H-GAT.
"""

import itertools
import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from graph_builder.layout import ChainLayout
from graphmert.models.graphmert import GraphMERTModel


def floyd_warshall(layout: ChainLayout, are_roots_joined: bool = True) -> np.ndarray:
    """Return all shortest paths of the fixed graph, (N, N); infinity where there is none."""
    distances = np.full((layout.num_nodes, layout.num_nodes), np.inf)
    np.fill_diagonal(distances, 0)
    for one, other in chain_edges(layout, are_roots_joined):
        distances[one, other] = distances[other, one] = 1
    for middle in range(layout.num_nodes):
        through = distances[:, middle, None] + distances[None, middle, :]
        distances = np.minimum(distances, through)
    return distances


def chain_edges(layout: ChainLayout, are_roots_joined: bool = True) -> list[tuple[int, int]]:
    """Return root - next root, root - its leaves, leaf - next leaf of the same root."""
    edges = [(root, root + 1) for root in range(layout.num_roots - 1) if are_roots_joined]
    for root in range(layout.num_roots):
        leaves = [layout.leaf_position(root, slot) for slot in range(layout.leaves_per_root)]
        edges += [(root, leaf) for leaf in leaves]
        edges += list(itertools.pairwise(leaves))
    return edges


def naive_hgat(model: GraphMERTModel, states: Tensor, window: dict[str, Tensor]) -> Tensor:
    """Return the embeddings (N, C) after a loop over slots."""
    transform, leaf_vectors, head_vectors = (
        model.hgat.transform,
        model.hgat.attend_leaf,
        model.hgat.attend_head,
    )
    is_real = window["attention_mask"].bool()
    result = states.clone()
    for root, slots in enumerate(window["graph_structure"].tolist()):
        for slot, leaf in enumerate(slots):
            if leaf < 0 or not is_real[leaf]:
                continue
            start = int(window["head_starts"][root, slot])
            length = int(window["head_lengths"][root, slot])
            head = range(start, start + length) if start >= 0 else [root]
            relation = int(window["relation_ids"][root, slot])  # -1 is the last row: masked
            scores, values = [], []
            for token in head:
                if is_real[token]:
                    value = transform[relation] @ states[token]
                    own = transform[relation] @ states[leaf]
                    both = torch.cat([own, value])
                    vector = torch.cat([leaf_vectors[relation], head_vectors[relation]])
                    scores.append(F.leaky_relu(vector @ both))
                    values.append(value)
            if values:
                weights = torch.stack(scores).softmax(0)
                result[leaf] += sum(w * v for w, v in zip(weights, values, strict=True))
    return result


def naive_forward(
    model: GraphMERTModel, window: dict[str, Tensor]
) -> tuple[dict[int, Tensor], dict[tuple[int, int], Tensor]]:
    """Return the final state of each real position and the logits of each slot of a real root."""
    config, layout = model.config, model.config.layout
    distances = floyd_warshall(layout, config.are_roots_joined)
    emb = model.embeddings
    total = (
        emb.tokens.weight[window["input_ids"]]
        + emb.positions.weight
        + emb.token_types.weight[window["token_type_ids"]]
    )
    if config.use_knowledge_mark:
        named = window["graph_structure"][window["is_knowledge"]]
        for leaf in set(named[named >= 0].tolist()):
            total[leaf] = total[leaf] + emb.knowledge_mark
    states = _norm(total, emb.norm)
    if config.use_hgat:
        states = naive_hgat(model, states, window)
    real = window["attention_mask"].nonzero().flatten().tolist()
    for layer in model.layers:
        states = _naive_layer(layer, states, real, distances, config)
    logits = {}
    for root in range(layout.num_roots):
        for slot in range(layout.leaves_per_root):
            leaf = int(window["graph_structure"][root, slot])
            read = states[root]
            if config.relation_input == "root_and_leaf" and leaf >= 0:
                read = read + states[leaf]
            if root in real and (leaf < 0 or leaf in real):
                head = model.relation_head
                logits[root, slot] = head.weight @ read + head.bias
    return {position: states[position] for position in real}, logits


def _norm(x: Tensor, norm: torch.nn.LayerNorm) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    variance = centred.square().mean(-1, keepdim=True)
    return centred / (variance + norm.eps).sqrt() * norm.weight + norm.bias


def _naive_layer(layer, states: Tensor, real: list[int], distances: np.ndarray, config) -> Tensor:
    num_heads, width = config.num_attention_heads, config.hidden_size // config.num_attention_heads
    packed = layer.attention.query_key_value
    query, key, value = (states @ packed.weight.T + packed.bias).split(config.hidden_size, dim=-1)
    result = states.clone()
    for one in real:
        parts = []
        for head in range(num_heads):
            own = slice(head * width, (head + 1) * width)
            scores = []
            for other in real:
                score = query[one, own] @ key[other, own] / math.sqrt(width)
                if config.use_decay and np.isinf(distances[one, other]):
                    score = score * 0
                elif config.use_decay:
                    step = math.sqrt(distances[one, other] + 1) - layer.attention.decay.p[head]
                    decay = config.decay_base ** F.gelu(step)
                    score = score + decay.log() if config.decay_form == "added" else score * decay
                scores.append(score)
            weights = torch.stack(scores).softmax(0)
            parts.append(sum(w * value[o, own] for w, o in zip(weights, real, strict=True)))
        attended = layer.attention.output(torch.cat(parts))
        middle = _norm(states[one] + attended, layer.attention_norm)
        result[one] = _norm(middle + layer.outer(F.gelu(layer.inner(middle))), layer.output_norm)
    return result
