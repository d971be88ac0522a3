"""What needs no training, on the questions of a study: outcomes that its tables show beside others.

Count table and majority class answer for relations, BM25 searches code, and a table of training
counts says tails. Baselines of names and of variable misuse come with each run's own answers.
"""

from collections import defaultdict

from graphmert.evaluation.baselines import score_baselines
from graphmert.evaluation.bm25 import score_bm25
from graphmert.evaluation.measures import TaskReport
from graphmert.evaluation.tail_prediction import score_tails
from graphmert.evaluation.tail_table import fit_tail_table
from graphmert.evaluation.token_texts import text_ids
from graphmert.models.configuration import tiny
from graphmert.models.graphmert import GraphMERTModel
from graphmert.study.data import StudyData
from graphmert.study.outcome import Outcome, SplitOutcome
from graphmert.study.settings import StudySettings
from graphmert.study.tasks import StudyTasks


def baseline_outcomes(data: StudyData, tasks: StudyTasks, settings: StudySettings) -> list[Outcome]:
    """Return one outcome for each baseline, of all splits."""
    found: dict[str, dict[str, SplitOutcome]] = defaultdict(dict)
    masks = settings.masks(data)
    tails = fit_tail_table(data.train, text_ids(data.tokenizer))
    # Ranks of the table do not depend on the model that is asked beside it.
    nobody = GraphMERTModel(tiny(data.vocab_size)).eval()
    for split, own in tasks.held_out.items():
        scores = score_baselines(data.train, data.held_out[split], masks, data.vocab_size)
        for name, score in scores.items():
            found[name.replace("_", " ")][split] = SplitOutcome.of(
                score.measures, score.relations, {}
            )
        searched = TaskReport(score_bm25(own.search))  # nothing to tune: one figure for both
        found["BM25"][split] = SplitOutcome.of(
            {}, None, {"search": searched, "search_zero_shot": searched}
        )
        said = score_tails(nobody, own.tails, masks, tails).baselines["table"]
        found["table of tails"][split] = SplitOutcome.of({}, None, {"tails": TaskReport(said)})
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
