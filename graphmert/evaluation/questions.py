"""Ask a model about one triple at a time, with all else of its window to be seen.

Legend: Q questions, each a (window of a table, triple of that window); T triples of a batch in
which each question has a window to itself; E edges of a row, K relations.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from graphmert.data.packing import pack
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
    for batch, is_asked in question_batches(table, questions):
        relations = batch.triple_relations.masked_fill(is_asked, model.config.masked_relation)
        rows = pack(batch, replace(unmasked(batch), relation_inputs=relations)).to(model.device)
        logits = model.relation_logits(model.encode(rows.inputs), rows.inputs)  # (Q, E, K)
        by_triple = triple_log_probabilities(logits, rows, len(is_asked)).cpu()  # (T, K)
        answers.extend(by_triple[is_asked].softmax(dim=-1).tolist())
    return answers


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


def question_batches(
    table: WindowTable, questions: Sequence[Question]
) -> Iterator[tuple[RaggedBatch, Tensor]]:
    """Yield batches of a window a question, and (T,) bool: the triple that is asked about."""
    for start in range(0, len(questions), QUESTIONS_PER_BATCH):
        chosen = torch.tensor(questions[start : start + QUESTIONS_PER_BATCH])
        batch = table.batch(chosen[:, 0])
        yield batch, batch.triple_index == chosen[batch.triple_windows, 1]
