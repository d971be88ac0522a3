"""Linking: where the triples of a window hang, and what became of those that found no place.

A triple hangs on the first root of a mention of its head, and its tail's tokens fill consecutive
leaf slots there. Where no slots are left, it goes on to the mention's other roots, then to the
head's other mentions. Where the head has no mention with room, the triple hangs on its tail's
mention in the same way, reversed: its leaves spell the head. That is how `contains` and `has_field`
are seen at the member, and where the many calls of one function go; the rule is the same for all
relations, so that no place gives a relation away. Knowledge (see `knowledge.py`) comes before the
window's own triples, so that its places do not depend on these; one that says the same is placed.
A fact whose leaves at an equal word would look like another fact's (a field of a class and of its
base, at `self`) counts as placed, too, and does not hang: beside it, neither relation could be
asked for. Of the window's share of leaves it has taken its part.

A mention is the text of the name between identifier boundaries; for a dotted name also its last
part alone. The synthetic name that a window opens with is a mention too. A triple's own byte span
is looked at first.

`link_kernel.py` does it; tests/graph_builder/slow_linking.py says the same in plain Python.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from graph_builder import link_kernel
from graph_builder.entities import Triple
from graph_builder.relations import INSTANTIATES, RELATION_NAMES

# Outcomes. A cut triple has its first leaves, as many as a root holds; it does not count as placed.
# One that hangs on its tail counts where its leaves spell the last parts of its head, all that fit:
# of a module with a long path they are what the window itself calls it.
PLACED: Final = "placed"
SHORTENED: Final = "placed, the last parts of its head alone"
CUT: Final = "tail longer than a root's slots"
NO_MENTION: Final = "not mentioned in the window"
NO_ROOM: Final = "no free slots"
UNPLACED_REASONS: Final = (CUT, NO_MENTION, NO_ROOM)
OUTCOMES: Final = {
    link_kernel.PLACED: PLACED,
    link_kernel.SHORTENED: SHORTENED,
    link_kernel.CUT: CUT,
    link_kernel.NO_MENTION: NO_MENTION,
    link_kernel.NO_ROOM: NO_ROOM,
}


@dataclass
class LinkCounts:
    """Count what became of every triple and every chosen fact, distinct within a window."""

    triples: Counter[tuple[str, int]] = field(default_factory=Counter)  # (outcome, relation)
    facts: Counter[tuple[str, int]] = field(default_factory=Counter)
    instantiations: Counter[bool] = field(default_factory=Counter)  # of files: is it a guess

    def add_file(self, triples: Iterable[Triple]) -> None:
        """Count what a file states, before it is cut into windows."""
        self.instantiations.update(t.is_guess for t in triples if t.relation == INSTANTIATES)

    def add(self, linked: link_kernel.Linked) -> None:
        """Add what the kernel counted."""
        for counter, counts in (
            (self.triples, linked.triple_counts),
            (self.facts, linked.fact_counts),
        ):
            for outcome, relation in np.argwhere(counts).tolist():
                counter[OUTCOMES[outcome], relation] += int(counts[outcome, relation])

    def placed(self) -> dict[str, int]:
        """Return the number of the windows' own triples that were placed, by relation."""
        whole, shortened = self._of_outcome(PLACED), self.shortened()
        return {name: whole[name] + shortened[name] for name in RELATION_NAMES}

    def shortened(self) -> dict[str, int]:
        """Return the number of those placed that spell the last parts of their head alone."""
        return self._of_outcome(SHORTENED)

    def unplaced(self) -> dict[str, dict[str, int]]:
        """Return, by reason and relation, the number of those that were not."""
        return {reason: self._of_outcome(reason) for reason in UNPLACED_REASONS}

    def _of_outcome(self, outcome: str) -> dict[str, int]:
        return {name: self.triples[outcome, i] for i, name in enumerate(RELATION_NAMES)}
