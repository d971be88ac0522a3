"""Questions for the text of a triple's leaves: which ones, and a batch in which they are masked.

Legend: Q questions, T triples and F leaves of a batch, B rows and their E edges, V vocabulary, C
hidden size.
A tail is asked for with its head and its relation to be seen. All its leaves are masked, and every
other triple of the window whose leaves spell the same is hidden: no leaf restates the answer.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from graphmert.data.counter_random import bits, uniform, window_keys
from graphmert.data.packing import PackedRows, pack
from graphmert.data.windows import RaggedBatch, WindowTable
from graphmert.evaluation.questions import Question, question_batches, unmasked
from graphmert.models.graphmert import GraphMERTModel
from graphmert.training.masking import MaskedBatch, MaskSettings

TokenIds = tuple[int, ...]
WINDOWS_PER_BATCH = 4096
# Streams of random numbers, apart from those of masking.
_QUESTION, _TEXT, _EXAMPLE = range(100, 103)


@dataclass(frozen=True)
class TailQuestions:
    """Q triples whose leaves spell their tail, each with a window to itself."""

    windows: npt.NDArray[np.int64]  # (Q,) of the table
    triples: npt.NDArray[np.int64]  # (Q,) of that window
    relations: npt.NDArray[np.int64]  # (Q,)
    is_knowledge: npt.NDArray[np.bool_]  # (Q,)
    heads: list[TokenIds]  # Q mentions that the triples hang on, as tokens of one spelling
    tails: list[TokenIds]  # Q leaves, token ids

    def __len__(self) -> int:
        return len(self.tails)

    def where(self, chosen: npt.NDArray[np.int64]) -> "TailQuestions":
        return TailQuestions(
            self.windows[chosen],
            self.triples[chosen],
            self.relations[chosen],
            self.is_knowledge[chosen],
            [self.heads[index] for index in chosen],
            [self.tails[index] for index in chosen],
        )


def all_tails(table: WindowTable, text_ids: Tensor) -> TailQuestions:
    """Return every triple of a table whose leaves spell its tail, in the order of the windows.

    `text_ids` (V,) gives tokens of the same text one id (`token_texts.py`), so that a head is one
    head with and without a space before it.
    """
    parts = [
        _tails_of(table.batch(chosen).to("cpu"), chosen, text_ids.cpu())
        for chosen in torch.arange(table.num_windows).split(WINDOWS_PER_BATCH)
    ]
    return TailQuestions(
        windows=np.concatenate([part.windows for part in parts]),
        triples=np.concatenate([part.triples for part in parts]),
        relations=np.concatenate([part.relations for part in parts]),
        is_knowledge=np.concatenate([part.is_knowledge for part in parts]),
        heads=[head for part in parts for head in part.heads],
        tails=[tail for part in parts for tail in part.tails],
    )


def draw_tails(
    table: WindowTable, tails: TailQuestions, num_questions: int, seed: int
) -> TailQuestions:
    """Return `num_questions` of the tails, or all: the same ones wherever the triples are."""
    keys = window_keys(table.window_ids.cpu()[torch.from_numpy(tails.windows)], seed, _QUESTION)
    priorities = bits(keys, torch.from_numpy(tails.triples)).numpy()
    return tails.where(np.sort(np.argsort(priorities, kind="stable")[:num_questions]))


def draw_examples(batch: RaggedBatch, share: float, seed: int) -> Tensor:
    """Return (T,) bool: about a share of the triples whose leaves spell their tail."""
    keys = window_keys(batch.window_ids, seed, _EXAMPLE)[batch.triple_windows]
    return ~batch.triple_is_reversed & (uniform(keys, batch.triple_index) < share)


def ask_triples(batch: RaggedBatch, is_asked: Tensor, settings: MaskSettings) -> MaskedBatch:
    """Mask the leaves of the asked triples (T,); hide leaves of others that spell the same."""
    same = tail_keys(batch)
    is_sibling = torch.isin(same, same[is_asked]) & ~is_asked
    return replace(
        unmasked(batch),
        leaf_input_ids=batch.leaf_ids.masked_fill(
            is_asked[batch.leaf_triples], settings.mask_token_id
        ),
        leaf_is_hidden=is_sibling[batch.leaf_triples],
    )


@torch.no_grad()
def ask_leaves(
    model: GraphMERTModel, table: WindowTable, questions: Sequence[Question], settings: MaskSettings
) -> Iterator[tuple[Tensor, Tensor]]:
    """Ask for the leaves of each triple, its relation to be seen.

    Yield for each question the log-probabilities (leaves, V) and the true token ids (leaves,).
    """
    for batch, is_asked in question_batches(table, questions):
        leaf_is_asked = is_asked[batch.leaf_triples]  # (F,)
        scores = leaf_log_probabilities(model, batch, is_asked, settings).cpu()
        windows = batch.leaf_windows[leaf_is_asked]
        sizes = torch.bincount(windows, minlength=batch.num_windows).tolist()
        yield from zip(scores.split(sizes), batch.leaf_ids[leaf_is_asked].split(sizes), strict=True)


def leaf_log_probabilities(
    model: GraphMERTModel, batch: RaggedBatch, is_asked: Tensor, settings: MaskSettings
) -> Tensor:
    """Mask the leaves of the asked triples (T,); return (leaves, V), in the batch's order."""
    rows = pack(batch, ask_triples(batch, is_asked, settings)).to(model.device)
    states = model.encode(rows.inputs)[asked_leaves(rows, is_asked)]  # (leaves, C)
    return functional.log_softmax(model.lm_head(states).float(), dim=-1)


def asked_leaves(rows: PackedRows, is_asked: Tensor) -> tuple[Tensor, Tensor]:
    """Return (row, place in the row) of each leaf of the asked triples (T,), in the batch's order.

    Each window has a row to itself.
    """
    is_asked_edge = is_asked.to(rows.edge_triples.device)[rows.edge_triples.clamp(min=0)]  # (B, E)
    row, edge = (is_asked_edge & (rows.edge_triples >= 0)).nonzero(as_tuple=True)
    return row, rows.inputs.edge_leaf[row, edge]


def tail_keys(batch: RaggedBatch) -> Tensor:
    """Return a hash (T,) of (window, tokens of the leaves): equal for equal ones."""
    leaves = torch.arange(len(batch.leaf_ids), device=batch.leaf_ids.device)
    firsts = torch.full_like(batch.triple_relations, len(leaves))
    firsts.scatter_reduce_(0, batch.leaf_triples, leaves, "amin")
    ranks = leaves - firsts[batch.leaf_triples]
    keys = window_keys(batch.leaf_windows, _TEXT)
    terms = bits(keys + batch.leaf_ids, ranks)
    return torch.zeros_like(batch.triple_relations).index_add_(0, batch.leaf_triples, terms)


def _tails_of(batch: RaggedBatch, windows: Tensor, text_ids: Tensor) -> TailQuestions:
    num_triples = len(batch.triple_relations)
    num_leaves = torch.bincount(batch.leaf_triples, minlength=num_triples)
    asked = (~batch.triple_is_reversed & (num_leaves > 0)).nonzero().flatten()
    order = batch.leaf_triples.argsort(stable=True)
    firsts = (num_leaves.cumsum(0) - num_leaves)[asked].tolist()
    leaves = batch.leaf_ids[order].tolist()
    roots = text_ids[batch.root_ids].tolist()
    starts = batch.triple_head_starts[asked].tolist()
    lengths = batch.triple_head_lengths[asked].tolist()
    return TailQuestions(
        windows=windows[batch.triple_windows[asked]].numpy(),
        triples=batch.triple_index[asked].numpy(),
        relations=batch.triple_relations[asked].numpy(),
        is_knowledge=batch.triple_is_knowledge[asked].numpy(),
        heads=[
            tuple(roots[start : start + length])
            for start, length in zip(starts, lengths, strict=True)
        ],
        tails=[
            tuple(leaves[first : first + count])
            for first, count in zip(firsts, num_leaves[asked].tolist(), strict=True)
        ],
    )
