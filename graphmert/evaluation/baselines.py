"""What a relation score must be read against: the majority class and a count table.

Both have a part for local triples and one for knowledge, since a model sees which is which.
The count table knows what a model has before its eyes, without understanding: whether the leaves
are knowledge, the tokens at the ends of the head's mention and of the leaves, how many there are,
the tokens beside the mention, and those beside the first place of the window that reads as the
leaves do. Each of them has counts from the training split; what they say of a relation is added up
as log-odds (naive Bayes). (Of both kinds together they are right 74.7% of the time instead of 78.5%
on the embedded default: benchmarks/results/2026-11-26-tiny-default.md.)
Legend: n triples, T triples and F leaves of a batch, K relations.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch

from graph_builder.relations import NUM_RELATIONS
from graphmert.data.windows import RaggedBatch, WindowTable
from graphmert.evaluation.measures import Measures, hit_measures, window_sources
from graphmert.evaluation.metrics import BoolArray, IntArray, RelationReport, report_relations
from graphmert.evaluation.questions import unmasked
from graphmert.training.losses import NO_LABEL
from graphmert.training.masking import MaskedBatch, MaskSettings, evaluation_masks

FloatArray = npt.NDArray[np.float64]
WINDOWS_PER_BATCH = 4096  # no model here: as many as stay small in memory
PSEUDO_COUNT = 5.0  # how many triples of the average kind each token is taken to have been seen in
MAX_LENGTH = 1024  # more than a mention or a run of leaves can have
NOWHERE = 1  # <pad>, which stands beside nothing


@dataclass(frozen=True)
class VisibleTriples:
    """What is to be seen of n triples, as a model sees it after masking."""

    clues: dict[str, IntArray]  # (n,) each: a token id, or a number made of two lengths
    relations: IntArray  # (n,)
    is_knowledge: BoolArray  # (n,)
    windows: IntArray  # (n,) index into the table

    def where(self, keep: BoolArray) -> Self:
        clues = {name: values[keep] for name, values in self.clues.items()}
        return type(self)(clues, self.relations[keep], self.is_knowledge[keep], self.windows[keep])


@dataclass(frozen=True)
class NaiveBayes:
    """Log-odds of every relation for each value of each clue, from counts."""

    log_prior: FloatArray  # (K,)
    log_odds: dict[str, FloatArray]  # by clue: (values, K), of value 0, 1, ..; unseen values: 0

    @classmethod
    def of(cls, triples: VisibleTriples) -> Self:
        """Count how often each value of each clue goes with each relation."""
        counts = np.bincount(triples.relations, minlength=NUM_RELATIONS)
        prior = (counts + 1.0) / (counts + 1.0).sum()
        return cls(
            log_prior=np.log(prior),
            log_odds={
                name: _log_odds(values, triples.relations, prior)
                for name, values in triples.clues.items()
            },
        )

    def predict(self, triples: VisibleTriples) -> IntArray:
        """Return the most likely relation (n,) of each triple; the smaller id wins a tie."""
        scores = np.tile(self.log_prior, (len(triples.relations), 1))
        for name, odds in self.log_odds.items():
            values = triples.clues[name]
            is_known = values < len(odds)
            scores[is_known] += odds[values[is_known]]
        return scores.argmax(axis=1)


@dataclass(frozen=True)
class CountTable:
    """One for each kind of leaves."""

    local: NaiveBayes
    knowledge: NaiveBayes

    def predict(self, triples: VisibleTriples) -> IntArray:
        """Return the most likely relation (n,) of each triple, by the counts of its kind."""
        is_knowledge = triples.is_knowledge
        predicted = np.zeros(len(triples.relations), dtype=np.int64)
        predicted[~is_knowledge] = self.local.predict(triples.where(~is_knowledge))
        predicted[is_knowledge] = self.knowledge.predict(triples.where(is_knowledge))
        return predicted


def fit_count_table(triples: VisibleTriples) -> CountTable:
    """Count the triples of each kind."""
    return CountTable(
        local=NaiveBayes.of(triples.where(~triples.is_knowledge)),
        knowledge=NaiveBayes.of(triples.where(triples.is_knowledge)),
    )


def majority_classes(triples: VisibleTriples) -> IntArray:
    """Return the most frequent relation of local triples, and that of knowledge; the smaller id
    wins a tie."""
    kinds = (triples.where(~triples.is_knowledge), triples.where(triples.is_knowledge))
    counts = [np.bincount(each.relations, minlength=NUM_RELATIONS) for each in kinds]
    return np.argmax(counts, axis=1)


@dataclass(frozen=True)
class BaselineScores:
    """What one baseline scores."""

    relations: RelationReport
    measures: Measures  # hits by source


def score_baselines(
    train: WindowTable, held_out: WindowTable, settings: MaskSettings, vocab_size: int
) -> dict[str, BaselineScores]:
    """Fit both baselines on every training triple; score them on the labels of `held_out`.

    The held-out masks are those of `evaluate`, so the labels are the model's, and so is what is to
    be seen. Training triples are taken unmasked: over its epochs a model sees each of them so.
    """
    triples = training_triples(train)
    table = fit_count_table(triples)
    asked = labelled_triples(held_out, settings, vocab_size)
    sources = window_sources(held_out)[asked.windows]
    predictions = {
        "majority": majority_classes(triples)[asked.is_knowledge.astype(np.int64)],
        "count_table": table.predict(asked),
    }
    return {
        name: BaselineScores(
            report_relations(asked.relations, predicted, asked.is_knowledge),
            hit_measures(predicted == asked.relations, asked.is_knowledge, sources),
        )
        for name, predicted in predictions.items()
    }


def training_triples(table: WindowTable) -> VisibleTriples:
    """Return all triples of a table, nothing masked."""
    return _concatenated(
        [visible_triples(batch, unmasked(batch), first) for first, batch in _batches(table)]
    )


def labelled_triples(table: WindowTable, settings: MaskSettings, vocab_size: int) -> VisibleTriples:
    """Return the triples whose relation evaluation asks for, in the order of the windows."""
    parts = []
    for first, batch in _batches(table):
        masked = evaluation_masks(batch, settings, vocab_size)
        is_labelled = (masked.relation_labels != NO_LABEL).numpy()
        parts.append(visible_triples(batch, masked, first).where(is_labelled))
    return _concatenated(parts)


def visible_triples(batch: RaggedBatch, masked: MaskedBatch, first_window: int) -> VisibleTriples:
    """Return the clues of the T triples of a batch on the CPU; its windows follow one another in
    the table from `first_window` on."""
    leaf_triples = batch.leaf_triples.numpy()
    order = np.argsort(leaf_triples, kind="stable")  # leaves by triple
    num_leaves = np.bincount(leaf_triples, minlength=len(batch.triple_relations))
    leaf_firsts = np.cumsum(num_leaves) - num_leaves
    leaves = masked.leaf_input_ids.numpy()[order]
    first_leaves, last_leaves = leaves[leaf_firsts], leaves[leaf_firsts + num_leaves - 1]
    roots = masked.root_input_ids.numpy()
    tail_starts, tail_ends = (
        _first_roots(batch, roots, ids) for ids in (first_leaves, last_leaves)
    )
    starts, lengths = batch.triple_head_starts.numpy(), batch.triple_head_lengths.numpy()
    return VisibleTriples(
        clues={
            "first_of_head": roots[starts],
            "last_of_head": roots[starts + lengths - 1],
            "before_head": roots[starts - 1],  # <s> at the least
            "after_head": roots[starts + lengths],  # </s> at the least
            "first_leaf": first_leaves,
            "last_leaf": last_leaves,
            "before_first_leaf": np.where(tail_starts >= 0, roots[tail_starts - 1], NOWHERE),
            "after_last_leaf": np.where(tail_ends >= 0, roots[tail_ends + 1], NOWHERE),
            "lengths": lengths * MAX_LENGTH + num_leaves,
        },
        relations=batch.triple_relations.numpy(),
        is_knowledge=batch.triple_is_knowledge.numpy(),
        windows=batch.triple_windows.numpy() + first_window,
    )


def _first_roots(batch: RaggedBatch, roots: IntArray, token_ids: IntArray) -> IntArray:
    """Return for each triple (T,) the first root of its window that is its token; -1 for none."""
    num_tokens = int(max(roots.max(initial=0), token_ids.max(initial=0))) + 1
    present, firsts = np.unique(batch.root_windows.numpy() * num_tokens + roots, return_index=True)
    wanted = batch.triple_windows.numpy() * num_tokens + token_ids
    places = np.searchsorted(present, wanted).clip(max=max(len(present) - 1, 0))
    return np.where(present[places] == wanted, firsts[places], -1)


def _batches(table: WindowTable) -> Iterator[tuple[int, RaggedBatch]]:
    """Yield batches of windows that follow one another, each with the index of its first one."""
    for chosen in torch.arange(table.num_windows).split(WINDOWS_PER_BATCH):
        yield int(chosen[0]), table.batch(chosen).to("cpu")


def _concatenated(parts: list[VisibleTriples]) -> VisibleTriples:
    return VisibleTriples(
        clues={
            name: np.concatenate([part.clues[name] for part in parts]) for name in parts[0].clues
        },
        relations=np.concatenate([part.relations for part in parts]),
        is_knowledge=np.concatenate([part.is_knowledge for part in parts]),
        windows=np.concatenate([part.windows for part in parts]),
    )


def _log_odds(values: IntArray, relations: IntArray, prior: FloatArray) -> FloatArray:
    """Return log P(relation | value) / P(relation), (largest value + 1, K)."""
    num_values = int(values.max(initial=-1)) + 1
    cells = np.bincount(values * NUM_RELATIONS + relations, minlength=num_values * NUM_RELATIONS)
    counts = cells.reshape(num_values, NUM_RELATIONS)
    shares = counts + PSEUDO_COUNT * prior
    return np.log(shares / shares.sum(axis=1, keepdims=True) / prior)
