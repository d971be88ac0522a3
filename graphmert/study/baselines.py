"""What needs no training, on the questions of a study: outcomes that its tables show beside others.

    python -m graphmert.study.baselines DATASET --split validation --output baselines.jsonl

Count table and majority class answer for relations, BM25 searches code, and a table of training
counts says tails. Baselines of names and of variable misuse come with each run's own answers.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from graph_builder.errors import UserError
from graph_builder.whole_file import write_whole
from graphmert.evaluation.baselines import score_baselines
from graphmert.evaluation.bm25 import score_bm25
from graphmert.evaluation.measures import TaskReport
from graphmert.evaluation.tail_prediction import score_tails
from graphmert.evaluation.tail_table import fit_tail_table
from graphmert.evaluation.token_texts import text_ids
from graphmert.models.configuration import tiny
from graphmert.models.graphmert import GraphMERTModel
from graphmert.study.data import StudyData, load_study_data
from graphmert.study.outcome import Outcome, SplitOutcome
from graphmert.study.settings import StudySettings, add_settings, settings_of
from graphmert.study.tasks import SplitTasks, make_held_out_tasks
from graphmert.training.console import say


def baseline_outcomes(
    data: StudyData, tasks: Mapping[str, SplitTasks], settings: StudySettings
) -> list[Outcome]:
    """Return one outcome for each baseline, of all splits."""
    found: dict[str, dict[str, SplitOutcome]] = defaultdict(dict)
    masks = settings.masks(data)
    tails = fit_tail_table(data.train, text_ids(data.tokenizer))
    # Ranks of the table do not depend on the model that is asked beside it.
    nobody = GraphMERTModel(tiny(data.vocab_size)).eval()
    for split, own in tasks.items():
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


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        settings = settings_of(options)
        data = load_study_data(options.data_path, (options.split,))
        outcomes = baseline_outcomes(data, make_held_out_tasks(data, settings), settings)
        lines = "".join(f"{outcome.to_json()}\n" for outcome in outcomes)
        write_whole(options.output, lines.encode())
    except (UserError, ValueError, OSError) as error:
        print(f"graphmert-study: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    say(f"done: {options.output}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Ask what needs no training.")
    parser.add_argument("data_path", type=Path, metavar="DATASET")
    parser.add_argument("--split", default="validation", help="(default %(default)s)")
    parser.add_argument("--output", type=Path, required=True)
    add_settings(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
