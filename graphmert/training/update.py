"""One update of the model: forward passes over a global batch, one step of AdamW.

Legend: B rows of N tokens, C hidden size, V vocabulary, E edges of a row, K relations.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graphmert.data.packing import PackedRows
from graphmert.models.graphmert import GraphMERTModel
from graphmert.training.losses import NO_LABEL, combined_loss, summed_cross_entropy
from graphmert.training.processes import ALONE, Processes, held_back
from graphmert.training.settings import TrainSettings


@dataclass(frozen=True)
class UpdateSums:
    """What one update adds up in one process: means over many updates come from these."""

    mlm_loss: Tensor  # () nats, summed over labels
    num_mlm_labels: Tensor  # ()
    mnm_loss: Tensor  # () likewise
    num_mnm_labels: Tensor  # () labelled leaf slots, or their tokens
    gradient_norm: Tensor  # () before clipping; of each of several processes its equal part

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


class SummedLosses(nn.Module):
    """The losses of a forward pass as a module, whose gradients several processes can add up."""

    def __init__(self, model: GraphMERTModel, token_loss: TokenLoss = summed_token_loss) -> None:
        super().__init__()
        self.model, self._token_loss = model, token_loss

    def forward(self, rows: PackedRows) -> tuple[Tensor, Tensor]:
        """Return the summed MLM and MNM losses (), nats."""
        return summed_losses(self.model, rows, self._token_loss)


def update(
    losses: nn.Module,
    optimizer: torch.optim.Optimizer,
    passes: Sequence[PackedRows],
    settings: TrainSettings,
    autocast: AbstractContextManager[None],
    processes: Processes = ALONE,
) -> UpdateSums:
    """Take one step on these rows, whose losses weigh alike however they are split: each
    objective's sum is divided by its label count over all of them and over all processes.

    `losses` is a SummedLosses, made `with_summed_gradients` where there are several processes.
    """
    device = next(losses.parameters()).device
    passes = [rows.to(device) for rows in passes]
    own_labels = torch.stack(
        [
            _total([rows.mlm_labels != NO_LABEL for rows in passes]),
            _total(
                [
                    labels != NO_LABEL
                    for rows in passes
                    for labels in (rows.relation_labels, rows.tail_labels)
                ]
            ),
        ]
    )
    num_mlm_labels, num_mnm_labels = processes.sum(own_labels).clamp(min=1)
    mlm_loss, mnm_loss = torch.zeros((), device=device), torch.zeros((), device=device)
    for index, rows in enumerate(passes):
        is_last = index == len(passes) - 1
        with nullcontext() if is_last else held_back(losses):
            with autocast:
                mlm_sum, mnm_sum = losses(rows)
            loss = combined_loss(
                mlm_sum / num_mlm_labels, mnm_sum / num_mnm_labels, settings.lambda_mlm
            )
            loss.backward()
        mlm_loss += mlm_sum.detach()
        mnm_loss += mnm_sum.detach()
    gradient_norm = torch.nn.utils.clip_grad_norm_(losses.parameters(), settings.max_gradient_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return UpdateSums(
        mlm_loss, own_labels[0], mnm_loss, own_labels[1], gradient_norm / processes.size
    )


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
