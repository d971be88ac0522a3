"""Compare the variants of a study: means, spreads, and intervals of paired differences.

Legend: S seeds, P sources (held-out repositories), Z bootstrap samples; the last dimension of sums
is questions and total.
A figure is a mean over the questions of all repositories. A difference is paired by seed; its
interval comes from drawing seeds and repositories anew, with replacement, for both variants alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from graphmert.study.outcome import Outcome, SplitOutcome

FloatArray = npt.NDArray[np.float64]
NUM_SAMPLES: Final = 2000
INTERVAL: Final = (2.5, 97.5)  # percent


def ratio(sums: FloatArray) -> FloatArray:
    """Return total / questions of (.., 2) sums; not a number where nothing was asked."""
    with np.errstate(invalid="ignore"):
        return sums[..., 1] / sums[..., 0]


@dataclass(frozen=True)
class Figure:
    """One column of the table."""

    title: str
    name: str  # key of `SplitOutcome.figures`, or of its `scores`
    unit: float = 100.0  # what a value is multiplied by to be shown
    digits: int = 2
    has_interval: bool = True  # False: a score of a whole split, which no draw of sources changes

    def sums(self, outcome: SplitOutcome, sources: Sequence[str]) -> FloatArray | None:
        """Return questions and total by source (P, 2); None where nothing was asked.

        A score that is no mean of questions stands as if it were the one question of each source.
        """
        if self.name in outcome.figures:
            by_source = outcome.figures[self.name]
            sums = np.array([by_source.get(source, (0, 0.0)) for source in sources], dtype=float)
            return sums if sums[:, 0].any() else None
        if self.name in outcome.scores:
            return np.array([(1.0, outcome.scores[self.name])] * len(sources))
        return None


FIGURES: Final = (
    Figure("masked tokens: accuracy", "token_accuracy"),
    Figure("masked tokens: loss (nats)", "token_loss", unit=1.0, digits=4),
    Figure("rare masked tokens: accuracy", "rare_token_accuracy"),
    Figure("rare masked tokens: loss (nats)", "rare_token_loss", unit=1.0, digits=4),
    Figure("names completed", "names/accuracy"),
    Figure("names that only knowledge shows", "names/rare_accuracy"),
    Figure("misuse: place told, or that nothing is swapped", "misuse/place_accuracy"),
    Figure("misuse: sound code left alone", "misuse/sound_accuracy"),
    Figure("misuse: located", "misuse/location_accuracy"),
    Figure("misuse: repaired", "misuse/repair_accuracy"),
    Figure("misuse: both", "misuse/joint_accuracy"),
    Figure("code search, zero-shot: MRR", "search_zero_shot/mrr", unit=1.0, digits=3),
    Figure("code search, tuned: MRR", "search/mrr", unit=1.0, digits=3),
    Figure("tails: hits@1", "tails/hits_at_1"),
    Figure("tails: hits@10", "tails/hits_at_10"),
    Figure("tails: MRR", "tails/mrr", unit=1.0, digits=3),
    Figure("tails of knowledge: MRR", "tails/knowledge_mrr", unit=1.0, digits=3),
    Figure("relations: accuracy", "relation_accuracy"),
    Figure("relations: macro-F1", "relation_macro_f1", unit=1.0, digits=3, has_interval=False),
    Figure("local relations: accuracy", "local_relation_accuracy"),
    Figure(
        "local relations: macro-F1",
        "local_relation_macro_f1",
        unit=1.0,
        digits=3,
        has_interval=False,
    ),
    Figure("knowledge relations: accuracy", "knowledge_relation_accuracy"),
    Figure(
        "knowledge relations: macro-F1",
        "knowledge_relation_macro_f1",
        unit=1.0,
        digits=3,
        has_interval=False,
    ),
)


@dataclass(frozen=True)
class Difference:
    """How much higher a variant's figure is than another's, over the seeds that both have."""

    mean: float
    low: float  # of the interval
    high: float
    num_seeds: int


@dataclass(frozen=True)
class Cell:
    """One figure of one variant."""

    mean: float  # over seeds
    spread: float  # standard deviation over seeds; 0 for one
    by_seed: dict[int, float]
    against: dict[str, Difference] = field(default_factory=dict)  # by the other variant


Table = dict[str, dict[str, Cell]]  # by variant, by the figure's title


def compare(
    outcomes: Sequence[Outcome], split: str, references: Sequence[str], seed: int = 0
) -> Table:
    """Return every figure of every variant, with its difference from each of `references`.

    What needs no training has one outcome, which stands beside every seed of the others.
    """
    untrained = {outcome.variant for outcome in outcomes if not outcome.num_updates}
    variants = list(dict.fromkeys(outcome.variant for outcome in outcomes))
    table: Table = {variant: {} for variant in variants}
    for figure in FIGURES:
        sums = _sums_by_variant(outcomes, split, figure)
        for variant, by_seed in sums.items():
            values = {seed: float(ratio(each.sum(0))) for seed, each in by_seed.items()}
            against = {}
            for other in references if figure.has_interval else ():
                ours, theirs = by_seed, sums.get(other, {})
                if variant in untrained and theirs:
                    ours = dict.fromkeys(theirs, next(iter(ours.values())))
                elif other in untrained and theirs:
                    theirs = dict.fromkeys(ours, next(iter(theirs.values())))
                if other != variant and ours.keys() & theirs.keys():
                    against[other] = _difference(ours, theirs, seed)
            found = list(values.values())
            spread = float(np.std(found, ddof=1)) if len(found) > 1 else 0.0
            table[variant][figure.title] = Cell(float(np.mean(found)), spread, values, against)
    return table


def _sums_by_variant(
    outcomes: Sequence[Outcome], split: str, figure: Figure
) -> dict[str, dict[int, FloatArray]]:
    """Return (P, 2) sums by variant and seed, the sources in one order for all."""
    sources = sorted(
        {
            source
            for outcome in outcomes
            for sums in outcome.splits[split].figures.values()
            for source in sums
        }
    )
    found: dict[str, dict[int, FloatArray]] = {}
    for outcome in outcomes:
        sums = figure.sums(outcome.splits[split], sources)
        if sums is not None:
            found.setdefault(outcome.variant, {})[outcome.seed] = sums
    return found


def _difference(
    ours: dict[int, FloatArray], theirs: dict[int, FloatArray], seed: int
) -> Difference:
    seeds = sorted(ours.keys() & theirs.keys())
    pairs = [np.stack([each[seed] for seed in seeds]) for each in (ours, theirs)]  # (S, P, 2)
    num_seeds, num_sources, _ = pairs[0].shape
    generator = np.random.default_rng(seed)
    drawn_sources = generator.multinomial(
        num_sources, np.full(num_sources, 1 / num_sources), NUM_SAMPLES
    )  # (Z, P)
    drawn_seeds = generator.multinomial(num_seeds, np.full(num_seeds, 1 / num_seeds), NUM_SAMPLES)
    values = [ratio(np.einsum("zp,spx->zsx", drawn_sources, sums)) for sums in pairs]
    differences = ((values[0] - values[1]) * drawn_seeds).sum(1) / num_seeds  # (Z,)
    low, high = np.nanpercentile(differences, INTERVAL)
    means = [ratio(sums.sum(1)).mean() for sums in pairs]
    return Difference(float(means[0] - means[1]), float(low), float(high), num_seeds)
