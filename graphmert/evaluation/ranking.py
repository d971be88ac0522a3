"""Ranks of right answers among candidates, and the measures that come of them.

Legend: Q questions, A candidates.
"""

import numpy as np
import numpy.typing as npt

from graphmert.evaluation.measures import Measures, measure

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


def mean_ranks(
    scores: npt.NDArray[np.floating], targets: IntArray, is_out: BoolArray | None = None
) -> FloatArray:
    """Return the rank (Q,), from 1, of each target among the candidates (Q, A).

    Candidates with equal scores share their mean rank, so that whoever says the same of all ranks
    as a blind guess does. `is_out` (Q, A) takes candidates out.
    """
    own = np.take_along_axis(scores, targets[:, None], axis=1)
    is_in = np.ones(scores.shape, dtype=np.bool_) if is_out is None else ~is_out
    num_better = ((scores > own) & is_in).sum(axis=1)
    num_equal = ((scores == own) & is_in).sum(axis=1)  # the target too
    return num_better + (num_equal + 1) / 2


def rank_measures(ranks: FloatArray, sources: npt.NDArray[np.str_], prefix: str = "") -> Measures:
    """Return hits@1, hits@10 and the mean reciprocal rank of (Q,) ranks."""
    figures = {"hits_at_1": ranks <= 1, "hits_at_10": ranks <= 10, "mrr": 1 / ranks}
    return {f"{prefix}{name}": measure(values, sources) for name, values in figures.items()}
