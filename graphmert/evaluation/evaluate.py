"""Score a model on a split under the fixed evaluation masks: everything that a report says.

Legend: W windows, R roots, F leaves, T triples of a batch; M masked roots, n labelled triples, B
rows, N tokens and E edges of a row, C hidden size, K relations. Sums run in float64 on the CPU.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from graphmert.data.packing import PackedRows, pack
from graphmert.data.windows import RaggedBatch, WindowTable
from graphmert.evaluation.measures import Measures, hit_measures, measure, window_sources
from graphmert.evaluation.metrics import report_relations
from graphmert.evaluation.report import EvaluationReport
from graphmert.models.graphmert import GraphMERTModel
from graphmert.training.losses import NO_LABEL
from graphmert.training.masking import MaskedBatch, MaskSettings, evaluation_masks
from graphmert.training.processes import ALONE, Processes


@torch.no_grad()
def evaluate(
    model: GraphMERTModel,
    table: WindowTable,
    mask_settings: MaskSettings,
    batch_size: int = 32,
    device: torch.device | str = "cpu",
    *,
    text_ids: Tensor | None = None,
    all_leaves: WindowTable | None = None,
    processes: Processes = ALONE,
) -> EvaluationReport:
    """Score `model`, which is on `device`, on every window of `table`, `batch_size` at a time.

    Several `processes` that hold the same model share the batches; all get the whole report.
    `text_ids` (V,) says which tokens spell the same text (`token_texts.py`); absent: each only
    its own. `all_leaves` are the same windows with all their leaves, where `table` lacks some:
    which tokens only knowledge shows is read there. The model is left in the mode that it was in.
    Raises ValueError for an empty table.
    """
    if table.num_windows == 0:
        raise ValueError("the split has no windows to evaluate on")
    if text_ids is None:
        text_ids = torch.arange(model.config.vocab_size)
    text_ids = text_ids.to(table.window_ids.device)
    # Windows of like length together: rows are padded to the longest of their batch.
    order = table.num_tokens.argsort(stable=True)
    outcomes = []
    with _evaluation_mode(model):
        for chosen in processes.share(order.split(batch_size)):
            batch = table.batch(chosen)
            masked = evaluation_masks(batch, mask_settings, model.config.vocab_size)
            whole, whole_masked = batch, masked
            if all_leaves is not None:
                whole = all_leaves.batch(chosen)
                whole_masked = evaluation_masks(whole, mask_settings, model.config.vocab_size)
            is_only = knowledge_only(whole, whole_masked, text_ids)
            outcomes.append(_score_batch(model, batch, masked, device, is_only, chosen.cpu()))
    return _report(table, _concatenated(processes.gather(outcomes)))


@dataclass(frozen=True)
class Outcome:
    """What was asked and what the model said, on the CPU."""

    token_losses: Tensor  # (M,) nats
    token_is_hit: Tensor  # (M,) bool
    token_bytes: Tensor  # (M,)
    token_is_knowledge_only: Tensor  # (M,) bool
    token_windows: Tensor  # (M,) index into the table
    slot_losses: Tensor  # (labelled leaf slots,) nats
    labels: Tensor  # (n,) relations
    predictions: Tensor  # (n,)
    confidences: Tensor  # (n,) probability of the prediction
    is_knowledge: Tensor  # (n,) bool
    triple_windows: Tensor  # (n,) index into the table


def triple_log_probabilities(edge_logits: Tensor, rows: PackedRows, num_triples: int) -> Tensor:
    """Return (T, K): the mean log-probability of each relation over a triple's leaf slots.

    `edge_logits` is (B, E, K). A triple without a visible leaf gets zeros.
    """
    is_edge = rows.edge_triples >= 0
    owners = rows.edge_triples[is_edge]
    log_probabilities = functional.log_softmax(edge_logits[is_edge].float(), dim=-1)
    sums = log_probabilities.new_zeros(num_triples, edge_logits.shape[-1])
    sums.index_add_(0, owners, log_probabilities)
    return sums / torch.bincount(owners, minlength=num_triples).clamp(min=1)[:, None]


def knowledge_only(batch: RaggedBatch, masked: MaskedBatch, text_ids: Tensor) -> Tensor:
    """Return (R,) bool: labelled roots whose text is to be seen in a knowledge leaf alone.

    That is, a visible knowledge leaf of the window spells the text and neither a visible root nor
    a visible local leaf does.
    """
    is_shown = ~masked.leaf_is_hidden
    is_knowledge = batch.triple_is_knowledge[batch.leaf_triples]

    def keys(windows: Tensor, token_ids: Tensor) -> Tensor:
        return windows * len(text_ids) + text_ids[token_ids]

    leaf_keys = keys(batch.leaf_windows, batch.leaf_ids)
    in_window = torch.cat(
        [
            keys(batch.root_windows, masked.root_input_ids),
            leaf_keys[is_shown & ~is_knowledge],
        ]
    )
    answers = keys(batch.root_windows, batch.root_ids)
    is_only = torch.isin(answers, leaf_keys[is_shown & is_knowledge])
    return is_only & ~torch.isin(answers, in_window) & (masked.mlm_labels != NO_LABEL)


def _score_batch(
    model: GraphMERTModel,
    batch: RaggedBatch,
    masked: MaskedBatch,
    device: torch.device | str,
    is_knowledge_only: Tensor,
    windows: Tensor,
) -> Outcome:
    """Score the windows with these indices in the table; `is_knowledge_only` is (R,)."""
    packed = pack(batch, masked)
    rows = packed.to(device)
    hidden = model.encode(rows.inputs)  # (B, N, C)
    logits = model.lm_head(hidden.flatten(0, 1)[rows.mlm_tokens]).float()  # (M, V)
    edge_logits = model.relation_logits(hidden, rows.inputs).float()  # (B, E, K)
    slot_losses = functional.cross_entropy(
        edge_logits.flatten(0, 1), rows.relation_labels.flatten(), reduction="none"
    )
    is_labelled = masked.relation_labels != NO_LABEL
    by_triple = triple_log_probabilities(edge_logits, rows, len(is_labelled)).cpu()  # (T, K)
    confidences, predictions = by_triple[is_labelled.cpu()].softmax(dim=-1).max(dim=-1)
    return Outcome(
        token_losses=functional.cross_entropy(logits, rows.mlm_labels, reduction="none").cpu(),
        token_is_hit=(logits.argmax(dim=-1) == rows.mlm_labels).cpu(),
        token_bytes=batch.root_bytes[packed.mlm_roots].cpu(),
        token_is_knowledge_only=is_knowledge_only[packed.mlm_roots].cpu(),
        token_windows=windows[batch.root_windows[packed.mlm_roots].cpu()],
        slot_losses=slot_losses[rows.relation_labels.flatten() != NO_LABEL].cpu(),
        labels=masked.relation_labels[is_labelled].cpu(),
        predictions=predictions,
        confidences=confidences,
        is_knowledge=batch.triple_is_knowledge[is_labelled].cpu(),
        triple_windows=windows[batch.triple_windows[is_labelled].cpu()],
    )


def _report(table: WindowTable, outcome: Outcome) -> EvaluationReport:
    total_loss = float(outcome.token_losses.double().sum())
    num_bytes = int(outcome.token_bytes.sum())
    return EvaluationReport(
        num_windows=table.num_windows,
        num_masked_tokens=len(outcome.token_losses),
        num_masked_bytes=num_bytes,
        mlm_loss=total_loss / max(len(outcome.token_losses), 1),
        mlm_accuracy=_mean(outcome.token_is_hit),
        bits_per_byte=total_loss / math.log(2) / max(num_bytes, 1),
        mnm_loss=_mean(outcome.slot_losses),
        relations=report_relations(
            outcome.labels.numpy(),
            outcome.predictions.numpy(),
            outcome.is_knowledge.numpy(),
            outcome.confidences.double().numpy(),
        ),
        num_knowledge_only_tokens=int(outcome.token_is_knowledge_only.sum()),
        knowledge_only_accuracy=_mean(outcome.token_is_hit[outcome.token_is_knowledge_only]),
        measures=_measures(window_sources(table), outcome),
    )


def _measures(sources: npt.NDArray[np.str_], outcome: Outcome) -> Measures:
    """Return the sums by source of tokens and relations; `sources` (W,) is by window."""
    of_tokens = sources[outcome.token_windows.numpy()]
    is_rare = outcome.token_is_knowledge_only.numpy()
    is_hit, losses = outcome.token_is_hit.numpy(), outcome.token_losses.numpy()
    return {
        "token_accuracy": measure(is_hit, of_tokens),
        "token_loss": measure(losses, of_tokens),
        "rare_token_accuracy": measure(is_hit[is_rare], of_tokens[is_rare]),
        "rare_token_loss": measure(losses[is_rare], of_tokens[is_rare]),
        **hit_measures(
            (outcome.predictions == outcome.labels).numpy(),
            outcome.is_knowledge.numpy(),
            sources[outcome.triple_windows.numpy()],
        ),
    }


def _mean(values: Tensor) -> float:
    """Return the mean; 0 of nothing."""
    return float(values.double().mean()) if len(values) else 0.0


def _concatenated(outcomes: list[Outcome]) -> Outcome:
    return Outcome(
        **{name: torch.cat([vars(each)[name] for each in outcomes]) for name in vars(outcomes[0])}
    )


@contextmanager
def _evaluation_mode(model: GraphMERTModel) -> Iterator[None]:
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
