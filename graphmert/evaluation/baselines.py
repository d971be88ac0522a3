"""What a relation score must be read against: the majority class and a count table.

The count table looks up what a model has before its eyes, the tokens of the head's mention and of
the leaves, as they are after masking, in counts taken from the training windows.
Legend: n triples, K relations.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from graph_builder.relations import NUM_RELATIONS
from graphmert.data.windows import RaggedBatch, WindowTable
from graphmert.evaluation.metrics import BoolArray, IntArray, RelationReport, report_relations
from graphmert.training.losses import NO_LABEL
from graphmert.training.masking import MaskedBatch, MaskSettings, evaluation_masks

Keys = npt.NDArray[np.uint64]
WINDOWS_PER_BATCH = 2048  # no gradient and no model here: as many as stay small in memory


@dataclass(frozen=True)
class VisibleTriples:
    """What is to be seen of each triple, (n,) each; a key is a hash of a run of token ids."""

    heads: Keys  # tokens of the head's mention
    tails: Keys  # tokens of the leaves
    relations: IntArray
    is_labelled: BoolArray  # its relation is to be predicted
    is_visible: BoolArray  # it has leaves and none of them is hidden or masked
    is_knowledge: BoolArray

    def where(self, keep: BoolArray) -> "VisibleTriples":
        return VisibleTriples(**{name: value[keep] for name, value in vars(self).items()})


@dataclass(frozen=True)
class CountTable:
    """The most frequent relation by (head, tail), else by tail, else by head, else of all."""

    by_head_and_tail: "_Level"
    by_tail: "_Level"
    by_head: "_Level"
    majority: int

    def predict(self, triples: VisibleTriples) -> IntArray:
        """Return the relation (n,) that the counts name for each triple."""
        predictions = np.full(len(triples.heads), self.majority, dtype=np.int64)
        self.by_head.overwrite(predictions, triples.heads)
        self.by_tail.overwrite(predictions, triples.tails)
        self.by_head_and_tail.overwrite(predictions, _pair_keys(triples))
        return predictions


@dataclass(frozen=True)
class _Level:
    keys: Keys  # sorted, distinct
    relations: IntArray  # most frequent relation of each key; the smaller id wins a tie

    def overwrite(self, predictions: IntArray, keys: Keys) -> None:
        if not len(self.keys):
            return
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        is_known = self.keys[places] == keys
        predictions[is_known] = self.relations[places[is_known]]


def fit_count_table(triples: VisibleTriples) -> CountTable:
    """Count the relations of training triples under each key."""
    counts = np.bincount(triples.relations, minlength=NUM_RELATIONS)
    return CountTable(
        by_head_and_tail=_level(_pair_keys(triples), triples.relations),
        by_tail=_level(triples.tails, triples.relations),
        by_head=_level(triples.heads, triples.relations),
        majority=int(counts.argmax()),
    )


def score_baselines(
    train: WindowTable, held_out: WindowTable, settings: MaskSettings, vocab_size: int
) -> dict[str, RelationReport]:
    """Fit both baselines on all visible training triples; score them on the labels of `held_out`.

    The masks are those of `evaluate`, so both are scored on exactly the labels of the model.
    """
    seen = visible_triples(train, settings, vocab_size)
    table = fit_count_table(seen.where(seen.is_visible))
    asked = visible_triples(held_out, settings, vocab_size)
    asked = asked.where(asked.is_labelled)
    majority = np.full(len(asked.relations), table.majority, dtype=np.int64)
    return {
        "majority": report_relations(asked.relations, majority, asked.is_knowledge),
        "count_table": report_relations(asked.relations, table.predict(asked), asked.is_knowledge),
    }


def visible_triples(table: WindowTable, settings: MaskSettings, vocab_size: int) -> VisibleTriples:
    """Mask every window of a table as evaluation does and return all its triples in order."""
    parts = []
    for chosen in torch.arange(table.num_windows).split(WINDOWS_PER_BATCH):
        batch = table.batch(chosen).to("cpu")
        parts.append(_visible_in_batch(batch, evaluation_masks(batch, settings, vocab_size)))
    return VisibleTriples(
        **{name: np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])}
    )


def _visible_in_batch(batch: RaggedBatch, masked: MaskedBatch) -> VisibleTriples:
    num_triples = len(batch.triple_relations)
    leaf_triples = batch.leaf_triples.numpy()
    order = np.argsort(leaf_triples, kind="stable")
    num_leaves = np.bincount(leaf_triples, minlength=num_triples)
    is_covered = masked.leaf_is_hidden | (masked.leaf_input_ids != batch.leaf_ids)
    num_covered = np.bincount(leaf_triples, weights=is_covered.numpy(), minlength=num_triples)
    return VisibleTriples(
        heads=run_keys(
            masked.root_input_ids.numpy(),
            batch.triple_head_starts.numpy(),
            batch.triple_head_lengths.numpy(),
        ),
        tails=run_keys(
            masked.leaf_input_ids.numpy()[order], np.cumsum(num_leaves) - num_leaves, num_leaves
        ),
        relations=batch.triple_relations.numpy(),
        is_labelled=masked.relation_labels.numpy() != NO_LABEL,
        is_visible=(num_leaves > 0) & (num_covered == 0),
        is_knowledge=batch.triple_is_knowledge.numpy(),
    )


def run_keys(tokens: npt.NDArray[np.integer], starts: IntArray, lengths: IntArray) -> Keys:
    """Hash each run tokens[start : start + length]; equal runs, and only they, share a key.

    (Up to a collision of 64-bit hashes.)
    """
    firsts = np.cumsum(lengths) - lengths
    offsets = np.arange(int(lengths.sum())) - np.repeat(firsts, lengths)
    ids = tokens[np.repeat(starts, lengths) + offsets].astype(np.uint64)
    hashes = _scramble(ids * np.uint64(4096) + offsets.astype(np.uint64))
    total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(hashes, dtype=np.uint64)])
    return total[firsts + lengths] - total[firsts]


def _scramble(values: Keys) -> Keys:
    """Spread 64-bit values with the finaliser of splitmix64 (Steele et al., 2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _pair_keys(triples: VisibleTriples) -> Keys:
    return _scramble(triples.heads) + triples.tails


def _level(keys: Keys, relations: IntArray) -> _Level:
    distinct, places = np.unique(keys, return_inverse=True)
    cells = np.bincount(places * NUM_RELATIONS + relations, minlength=len(distinct) * NUM_RELATIONS)
    return _Level(distinct, cells.reshape(-1, NUM_RELATIONS).argmax(axis=1))
