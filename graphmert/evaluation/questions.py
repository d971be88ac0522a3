"""Ask a model about one triple at a time, with all else of its window to be seen.

Legend: Q questions, each a (window of a table, triple of that window); T triples and F leaves of a
batch in which each question has a window to itself; E edges of a row, K relations, V vocabulary, C
hidden size.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from graphmert.data.packing import PackedRows, pack
from graphmert.data.windows import RaggedBatch, WindowTable
from graphmert.evaluation.evaluate import triple_log_probabilities
from graphmert.models.graphmert import GraphMERTModel
from graphmert.training.losses import NO_LABEL
from graphmert.training.masking import MaskedBatch

QUESTIONS_PER_BATCH = 32

Question = tuple[int, int]  # (window of the table, triple of that window)


@torch.no_grad()
def ask_relations(
    model: GraphMERTModel, table: WindowTable, questions: Sequence[Question]
) -> list[list[float]]:
    """Mask each triple's relation; return the probability of every relation, Q lists of K."""
    answers: list[list[float]] = []
    for batch, is_asked in _batches(table, questions):
        relations = batch.triple_relations.masked_fill(is_asked, model.config.masked_relation)
        rows = pack(batch, replace(unmasked(batch), relation_inputs=relations)).to(model.device)
        logits = model.relation_logits(model.encode(rows.inputs), rows.inputs)  # (Q, E, K)
        by_triple = triple_log_probabilities(logits, rows, len(is_asked)).cpu()  # (T, K)
        answers.extend(by_triple[is_asked].softmax(dim=-1).tolist())
    return answers


@torch.no_grad()
def ask_leaves(
    model: GraphMERTModel, table: WindowTable, questions: Sequence[Question], mask_token_id: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Mask the leaves of each triple, its relation to be seen.

    Yield for each question the log-probabilities (leaves, V) and the true token ids (leaves,).
    """
    for batch, is_asked in _batches(table, questions):
        leaf_is_asked = is_asked[batch.leaf_triples]  # (F,)
        leaves = batch.leaf_ids.masked_fill(leaf_is_asked, mask_token_id)
        rows = pack(batch, replace(unmasked(batch), leaf_input_ids=leaves)).to(model.device)
        states = model.encode(rows.inputs)[asked_leaves(rows, is_asked)]  # (leaves, C)
        scores = functional.log_softmax(model.lm_head(states).float(), dim=-1).cpu()
        windows = batch.leaf_windows[leaf_is_asked]
        sizes = torch.bincount(windows, minlength=batch.num_windows).tolist()
        yield from zip(scores.split(sizes), batch.leaf_ids[leaf_is_asked].split(sizes), strict=True)


def unmasked(batch: RaggedBatch) -> MaskedBatch:
    """Return a batch with nothing masked, hidden or asked for."""
    return MaskedBatch(
        root_input_ids=batch.root_ids,
        mlm_labels=torch.full_like(batch.root_ids, NO_LABEL),
        leaf_input_ids=batch.leaf_ids,
        leaf_is_hidden=torch.zeros_like(batch.leaf_ids, dtype=torch.bool),
        relation_inputs=batch.triple_relations,
        relation_labels=torch.full_like(batch.triple_relations, NO_LABEL),
    )


def asked_leaves(rows: PackedRows, is_asked: Tensor) -> tuple[Tensor, Tensor]:
    """Return (row, place in the row) of each leaf of the asked triples (T,), in the batch's order.

    Each window has a row to itself.
    """
    is_asked_edge = is_asked.to(rows.edge_triples.device)[rows.edge_triples.clamp(min=0)]  # (B, E)
    row, edge = (is_asked_edge & (rows.edge_triples >= 0)).nonzero(as_tuple=True)
    return row, rows.inputs.edge_leaf[row, edge]


def _batches(
    table: WindowTable, questions: Sequence[Question]
) -> Iterator[tuple[RaggedBatch, Tensor]]:
    """Yield batches of a window a question, and (T,) bool: the triple that is asked about."""
    for start in range(0, len(questions), QUESTIONS_PER_BATCH):
        chosen = torch.tensor(questions[start : start + QUESTIONS_PER_BATCH])
        batch = table.batch(chosen[:, 0])
        yield batch, batch.triple_index == chosen[batch.triple_windows, 1]
