"""What needs no training, on the questions of a study: outcomes that its tables show beside others.

Count table and majority class answer for relations, BM25 searches code, a table of training counts
says tails, and each task's own chance or majority stands beside them.
"""

from collections import defaultdict

import numpy as np
import numpy.typing as npt
import torch

from graph_builder.relations import NUM_RELATIONS
from graphmert.data.windows import WindowTable
from graphmert.evaluation.baselines import (
    CountTable,
    fit_count_table,
    labelled_triples,
    training_triples,
)
from graphmert.evaluation.bm25 import score_bm25
from graphmert.evaluation.measures import Measures, window_sources
from graphmert.evaluation.metrics import confusion_counts
from graphmert.evaluation.tail_prediction import score_tails
from graphmert.evaluation.tail_table import fit_tail_table
from graphmert.evaluation.token_texts import text_ids
from graphmert.models.configuration import tiny
from graphmert.models.graphmert import GraphMERTModel
from graphmert.study.data import StudyData
from graphmert.study.masked_tokens import Confusions
from graphmert.study.outcome import Outcome, SplitOutcome, Sums, sums_of
from graphmert.study.settings import StudySettings
from graphmert.study.tasks import StudyTasks
from graphmert.training.losses import NO_LABEL
from graphmert.training.masking import MaskSettings, evaluation_masks

WINDOWS_PER_BATCH = 4096


def baseline_outcomes(data: StudyData, tasks: StudyTasks, settings: StudySettings) -> list[Outcome]:
    """Return one outcome for each baseline, of all splits."""
    found: dict[str, dict[str, SplitOutcome]] = defaultdict(dict)
    masks = settings.masks(data)
    counts = fit_count_table(training_triples(data.train))
    tails = fit_tail_table(data.train, text_ids(data.tokenizer))
    # Ranks of the table do not depend on the model that is asked beside it.
    nobody = GraphMERTModel(tiny(data.vocab_size)).eval()
    for split, own in tasks.held_out.items():
        table = data.held_out[split]
        found["count table"][split] = _of_relations(counts, table, masks, data.vocab_size, False)
        found["majority class"][split] = _of_relations(counts, table, masks, data.vocab_size, True)
        searched = score_bm25(own.search)  # nothing to tune: one figure for both columns
        found["BM25"][split] = _of_figures({"search_zero_shot": searched, "search": searched})
        said = score_tails(nobody, own.tails, masks, tails).baselines
        found["table of tails"][split] = _of_figures({"tails": said["table"]})
    return [
        Outcome(
            variant=name,
            seed=0,
            data_set=data.digest,
            settings={"num_questions": settings.num_questions},
            losses={},
            seconds={},
            splits=splits,
        )
        for name, splits in found.items()
    ]


def _of_figures(scores: dict[str, Measures]) -> SplitOutcome:
    figures: Sums = {}
    for task, measures in scores.items():
        figures |= sums_of(measures, f"{task}/")
    return SplitOutcome(figures, {})


def _of_relations(
    counts: CountTable, table: WindowTable, masks: MaskSettings, vocab_size: int, is_majority: bool
) -> SplitOutcome:
    """Answer every labelled triple of a split with all its leaves."""
    asked = labelled_triples(table, masks, vocab_size)
    predictions = counts.predict(asked)
    if is_majority:
        predictions = np.full_like(predictions, counts.majority)
    sources = window_sources(table)[_labelled_windows(table, masks, vocab_size)]
    found: dict[str, Confusions] = {}
    for kind, is_kind in (("local", ~asked.is_knowledge), ("knowledge", asked.is_knowledge)):
        found[kind] = {
            source: confusion_counts(
                asked.relations[chosen], predictions[chosen], NUM_RELATIONS
            ).tolist()
            for source in np.unique(sources).tolist()
            for chosen in (is_kind & (sources == source),)
        }
    return SplitOutcome({}, found)


def _labelled_windows(
    table: WindowTable, masks: MaskSettings, vocab_size: int
) -> npt.NDArray[np.int64]:
    """Return the window of each labelled triple, in the order of the windows."""
    parts = []
    for chosen in torch.arange(table.num_windows).split(WINDOWS_PER_BATCH):
        batch = table.batch(chosen)
        is_labelled = evaluation_masks(batch, masks, vocab_size).relation_labels != NO_LABEL
        parts.append(chosen[batch.triple_windows[is_labelled]])
    return torch.cat(parts).numpy()
