"""One update of the model: forward passes over a global batch, one step of AdamW.

Legend: B rows of N tokens, C hidden size, V vocabulary, E edges of a row, K relations.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graphmert.data.packing import PackedRows
from graphmert.models.graphmert import GraphMERTModel
from graphmert.training.losses import NO_LABEL, combined_loss, summed_cross_entropy
from graphmert.training.settings import TrainSettings


@dataclass(frozen=True)
class UpdateSums:
    """What one update adds up: means over many updates come from these."""

    mlm_loss: Tensor  # () nats, summed over labels
    num_mlm_labels: Tensor  # ()
    mnm_loss: Tensor  # () likewise
    num_mnm_labels: Tensor  # () labelled leaf slots, or their tokens
    gradient_norm: Tensor  # () before clipping

    def stacked(self) -> Tensor:
        """Return all as float64 (5,), on the device."""
        return torch.stack([value.detach().double() for value in vars(self).values()])


def summed_token_loss(head: nn.Module, states: Tensor, labels: Tensor) -> Tensor:
    """Return the summed cross entropy () of the vocabulary's scores of `states` (labels, C)."""
    return summed_cross_entropy(head(states), labels)


TokenLoss = Callable[[nn.Module, Tensor, Tensor], Tensor]


def make_optimizer(model: GraphMERTModel, settings: TrainSettings) -> torch.optim.AdamW:
    """Return AdamW that decays matrices only: norms, biases and decay exponents are vectors."""
    parameters = list(model.parameters())
    groups = [
        {
            "params": [each for each in parameters if each.ndim >= 2],
            "weight_decay": settings.weight_decay,
        },
        {"params": [each for each in parameters if each.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=settings.betas, fused=True)


def update(
    model: GraphMERTModel,
    optimizer: torch.optim.Optimizer,
    passes: Sequence[PackedRows],
    settings: TrainSettings,
    autocast: AbstractContextManager[None],
    token_loss: TokenLoss = summed_token_loss,
) -> UpdateSums:
    """Take one step on these rows, whose losses weigh alike however they are split: each
    objective's sum is divided by its label count over all of them."""
    device = model.device
    passes = [rows.to(device) for rows in passes]
    num_mlm_labels = _total([rows.mlm_labels != NO_LABEL for rows in passes])
    num_mnm_labels = _total(
        [
            labels != NO_LABEL
            for rows in passes
            for labels in (rows.relation_labels, rows.tail_labels)
        ]
    )
    mlm_loss, mnm_loss = torch.zeros((), device=device), torch.zeros((), device=device)
    for rows in passes:
        with autocast:
            mlm_sum, mnm_sum = summed_losses(model, rows, token_loss)
        loss = combined_loss(
            mlm_sum / num_mlm_labels.clamp(min=1),
            mnm_sum / num_mnm_labels.clamp(min=1),
            settings.lambda_mlm,
        )
        loss.backward()
        mlm_loss += mlm_sum.detach()
        mnm_loss += mnm_sum.detach()
    gradient_norm = torch.nn.utils.clip_grad_norm_(model.parameters(), settings.max_gradient_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return UpdateSums(mlm_loss, num_mlm_labels, mnm_loss, num_mnm_labels, gradient_norm)


def summed_losses(
    model: GraphMERTModel, rows: PackedRows, token_loss: TokenLoss = summed_token_loss
) -> tuple[Tensor, Tensor]:
    """Return the summed MLM and MNM losses () of one forward pass."""
    hidden = model.encode(rows.inputs)  # (B, N, C)
    # The vocabulary's scores only where a label asks for them: (labels, V), not (B, N, V).
    asked = F.embedding(rows.mlm_tokens, hidden.flatten(0, 1))  # (labels, C)
    mlm_loss = token_loss(model.lm_head, asked, rows.mlm_labels)
    relation_logits = model.relation_logits(hidden, rows.inputs)  # (B, E, K)
    mnm_loss = summed_cross_entropy(relation_logits, rows.relation_labels)
    if len(rows.tail_labels):
        tails = F.embedding(rows.tail_tokens, hidden.flatten(0, 1))  # (labels, C)
        mnm_loss = mnm_loss + token_loss(model.lm_head, tails, rows.tail_labels)
    return mlm_loss, mnm_loss


def _total(are_labels: list[Tensor]) -> Tensor:
    return torch.stack([is_label.sum() for is_label in are_labels]).sum()
