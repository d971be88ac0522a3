"""Masked tokens and relations of a held-out split, added up by source.

The tokens that are asked for are the same for every variant, and so is which of them are rare: in
the full windows, only a knowledge leaf shows them. Relations are those of the variant's own leaves.
Legend: W windows, M masked roots, n labelled triples, K relations.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

from graph_builder.relations import NUM_RELATIONS
from graphmert.data.packing import pack
from graphmert.data.windows import RaggedBatch, WindowTable
from graphmert.evaluation.evaluate import knowledge_only, triple_log_probabilities
from graphmert.evaluation.measures import Measures, measure, window_sources
from graphmert.evaluation.metrics import confusion_counts
from graphmert.evaluation.token_texts import text_ids
from graphmert.evaluation.tuning import asking
from graphmert.models.graphmert import GraphMERTModel
from graphmert.training.losses import NO_LABEL
from graphmert.training.masking import MaskedBatch, MaskSettings, evaluation_masks

WINDOWS_PER_BATCH = 512
Confusions = dict[str, list[list[int]]]  # by source: (K, K) counts; row: label


@dataclass(frozen=True)
class MaskedTask:
    """The masked tokens of a split, window by window in the order of `order`."""

    order: Tensor  # (W,) windows by their number of roots
    is_rare: npt.NDArray[np.bool_]  # (M,)
    sources: npt.NDArray[np.str_]  # (W,) by window


@dataclass(frozen=True)
class MaskedScores:
    measures: Measures
    relations: dict[str, Confusions]  # of local and of knowledge triples


def make_masked_task(table: WindowTable, masks: MaskSettings, tokenizer: Tokenizer) -> MaskedTask:
    """Find the masked tokens of a split with all its leaves, and which of them are rare."""
    texts = text_ids(tokenizer)
    order = table.root_offsets.diff().argsort(stable=True)
    parts = []
    for batch, masked in _batches(table, order, masks, tokenizer.get_vocab_size()):
        is_rare = knowledge_only(batch, masked, texts)
        parts.append(is_rare[masked.mlm_labels != NO_LABEL].numpy())
    return MaskedTask(order, np.concatenate(parts), window_sources(table))


def score_masked(
    model: GraphMERTModel, task: MaskedTask, table: WindowTable, masks: MaskSettings
) -> MaskedScores:
    """Score a model on `table`, the windows of the task with whichever leaves."""
    tokens, triples = [], []
    with asking(model):
        for batch, masked in _batches(table, task.order, masks, model.config.vocab_size):
            scores, predicted = _score_batch(model, batch, masked)
            tokens.append(scores)
            triples.append(predicted)
    losses, is_hit, token_windows = np.concatenate(tokens, axis=1)
    ordered = task.sources[task.order.numpy()]
    sources = ordered[token_windows.astype(np.int64) + _firsts(tokens)]
    assert len(task.is_rare) == len(is_hit)
    rare = task.is_rare
    return MaskedScores(
        measures={
            "masked_tokens/accuracy": measure(is_hit, sources),
            "masked_tokens/loss": measure(losses, sources),
            "masked_tokens/rare_accuracy": measure(is_hit[rare], sources[rare]),
        },
        relations=_relations(triples, task),
    )


def _batches(
    table: WindowTable, order: Tensor, masks: MaskSettings, vocab_size: int
) -> Iterator[tuple[RaggedBatch, MaskedBatch]]:
    for chosen in order.split(WINDOWS_PER_BATCH):
        batch = table.batch(chosen)
        yield batch, evaluation_masks(batch, masks, vocab_size)


def _score_batch(
    model: GraphMERTModel, batch: RaggedBatch, masked: MaskedBatch
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return (loss, is hit, window) of each masked root (3, M) and (label, prediction, is
    knowledge, window) of each labelled triple (4, n); windows count from the batch's first."""
    rows = pack(batch, masked).to(model.device)
    hidden = model.encode(rows.inputs)  # (B, N, C)
    logits = model.lm_head(hidden.flatten(0, 1)[rows.mlm_tokens]).float()  # (M, V)
    losses = F.cross_entropy(logits, rows.mlm_labels, reduction="none")
    is_hit = logits.argmax(dim=-1) == rows.mlm_labels
    windows = batch.root_windows[rows.mlm_roots]
    tokens = torch.stack([losses.double(), is_hit.double(), windows.to(losses.device).double()])
    labels = masked.relation_labels
    by_triple = triple_log_probabilities(
        model.relation_logits(hidden, rows.inputs), rows, len(labels)
    )
    each = (labels, by_triple.argmax(dim=-1), batch.triple_is_knowledge, batch.triple_windows)
    triples = torch.stack([values.to(labels.device).long() for values in each])
    return tokens.cpu().numpy(), triples[:, labels != NO_LABEL].cpu().numpy()


def _relations(triples: list[npt.NDArray[np.int64]], task: MaskedTask) -> dict[str, Confusions]:
    """Return the confusion matrix of each kind and source."""
    ordered = task.sources[task.order.numpy()]
    found: dict[str, Confusions] = {"local": {}, "knowledge": {}}
    labels, predictions, is_knowledge, windows = np.concatenate(triples, axis=1)
    sources = ordered[windows + _firsts(triples)]
    for kind, flag in (("local", 0), ("knowledge", 1)):
        for source in np.unique(sources).tolist():
            chosen = (sources == source) & (is_knowledge == flag)
            counts = confusion_counts(labels[chosen], predictions[chosen], NUM_RELATIONS)
            found[kind][source] = counts.tolist()
    return found


def _firsts(parts: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.int64]:
    """Return for each column of the batches' arrays its batch's first window."""
    sizes = [part.shape[1] for part in parts]
    return np.repeat(np.arange(len(sizes)) * WINDOWS_PER_BATCH, sizes)
