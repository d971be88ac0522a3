"""The two objectives' losses, and the dense masking of relations.

Legend: B batch, R roots (128), L leaves per root (7), K relations (12), V vocabulary.
`create_relation_masking_labels` masks the dense tensors that `GraphMERTModel.forward` takes; the
trainer masks whole ragged batches instead (`masking.py`).
"""

from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from graph_builder.relations import NUM_RELATIONS

Loss = TypeVar("Loss", float, Tensor)
NO_LABEL = -100  # what torch's cross entropy leaves out
ABSENT = -1
MASKED_SHARE = 0.8  # of the chosen triples: the relation is masked
RANDOM_SHARE = 0.1  # a random relation stands there; the rest keep their own


def create_relation_masking_labels(
    relation_ids: Tensor,
    graph_structure: Tensor,
    mask_prob: float = 0.15,
    mask_value: int = -1,
    num_relations: int = NUM_RELATIONS,
    *,
    triple_ids: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Mask the relations of about `mask_prob` of the triples; return (masked ids, labels).

    `relation_ids` and `graph_structure` are (B, R, L) with -1 where there is no leaf; `triple_ids`
    (B, R, L) tells which triple of its window a slot belongs to, all of whose slots are masked
    alike (absent: each slot is a triple). Of the chosen triples 80% become `mask_value`, 10% a
    random relation, 10% stay. Labels are (B, R, L), -100 where nothing was chosen.
    """
    if relation_ids.shape != graph_structure.shape:
        raise ValueError(
            f"relation_ids {tuple(relation_ids.shape)} and graph_structure "
            f"{tuple(graph_structure.shape)} must have one shape"
        )
    is_present = (graph_structure != ABSENT) & (relation_ids >= 0)
    draws = _draw_per_triple(relation_ids, triple_ids, generator)  # 3 x (B, R, L)
    is_chosen = is_present & (draws[0] < mask_prob)
    is_random = is_chosen & (draws[1] >= MASKED_SHARE) & (draws[1] < MASKED_SHARE + RANDOM_SHARE)

    masked = relation_ids.masked_fill(is_chosen & (draws[1] < MASKED_SHARE), mask_value)
    random_relations = (draws[2] * num_relations).to(relation_ids.dtype)
    masked = torch.where(is_random, random_relations, masked)
    labels = relation_ids.long().masked_fill(~is_chosen, NO_LABEL)
    return masked, labels


def _draw_per_triple(
    relation_ids: Tensor, triple_ids: Tensor | None, generator: torch.Generator | None
) -> Tensor:
    """Return three uniform numbers for each slot, the same for all slots of a triple."""
    num_slots = relation_ids.numel()
    device = relation_ids.device
    if triple_ids is None:
        uniform = torch.rand(3, num_slots, generator=generator, device=device)
        return uniform.view(3, *relation_ids.shape)
    slots = torch.arange(num_slots, device=device)
    windows = slots // (num_slots // max(1, relation_ids.shape[0]))
    flat_ids = triple_ids.reshape(-1).long()
    # A slot outside every triple stands for itself: a negative key that no other slot has.
    keys = torch.stack([windows, torch.where(flat_ids >= 0, flat_ids, -1 - slots)], dim=1)
    unique_keys, triple_of_slot = torch.unique(keys, dim=0, return_inverse=True)
    uniform = torch.rand(3, len(unique_keys), generator=generator, device=device)
    return uniform[:, triple_of_slot].view(3, *relation_ids.shape)


def compute_relation_prediction_loss(relation_logits: Tensor, relation_labels: Tensor) -> Tensor:
    """Return the mean cross entropy (nats) over labelled slots; 0 where there is none.

    `relation_logits` (..., K) and `relation_labels` (...), -100 where a slot has no label: any
    leading shape, dense (B, R, L) as well as a list of edges.
    """
    loss_sum = summed_cross_entropy(relation_logits, relation_labels)
    return loss_sum / (relation_labels != NO_LABEL).sum().clamp(min=1)


def summed_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the summed cross entropy (nats, float32) of (..., V) logits over labelled places."""
    return functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]).float(),
        labels.reshape(-1),
        ignore_index=NO_LABEL,
        reduction="sum",
    )


def combined_loss(mlm_loss: Loss, mnm_loss: Loss, lambda_mlm: float) -> Loss:
    """Weigh the two objectives: lambda * MLM + (1 - lambda) * MNM."""
    return lambda_mlm * mlm_loss + (1.0 - lambda_mlm) * mnm_loss
