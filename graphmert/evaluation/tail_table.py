"""The table that tail prediction is read against: (head name, relation) -> tail, counted.

Legend: Q questions, A candidates.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from graphmert.data.windows import WindowTable
from graphmert.evaluation.leaf_questions import TokenIds, all_tails


@dataclass(frozen=True)
class TailTable:
    """How often each tail followed a head through a relation, and the relation by itself."""

    by_head: dict[tuple[TokenIds, int], Counter[TokenIds]]
    by_relation: dict[int, Counter[TokenIds]]

    def scores(
        self, heads: Sequence[TokenIds], relation: int, candidates: Sequence[TokenIds]
    ) -> npt.NDArray[np.float64]:
        """Return (Q, A): counts with the head; what of the relation has it decides ties."""
        of_relation = self.by_relation.get(relation, Counter())
        shares = np.array([of_relation[tail] for tail in candidates]) / (of_relation.total() + 1)
        scores = np.tile(shares, (len(heads), 1))
        place = {tail: at for at, tail in enumerate(candidates)}
        for row, head in enumerate(heads):
            for tail, count in self.by_head.get((head, relation), Counter()).items():
                if tail in place:
                    scores[row, place[tail]] += count
        return scores


def fit_tail_table(train: WindowTable, text_ids: Tensor) -> TailTable:
    """Count every triple of the train split whose leaves spell its tail."""
    tails = all_tails(train, text_ids)
    by_head: dict[tuple[TokenIds, int], Counter[TokenIds]] = defaultdict(Counter)
    by_relation: dict[int, Counter[TokenIds]] = defaultdict(Counter)
    for head, relation, tail in zip(
        tails.heads, tails.relations.tolist(), tails.tails, strict=True
    ):
        by_head[head, relation][tail] += 1
        by_relation[relation][tail] += 1
    return TailTable(dict(by_head), dict(by_relation))
