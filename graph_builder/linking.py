"""Linking: where the triples of a window hang, and what became of those that found no place.

A triple hangs on the first root of a mention of its head, and its tail's tokens fill consecutive
leaf slots there. Where no slots are left, it goes on to the mention's other roots, then to the
head's other mentions. Where the head has no mention with room, the triple hangs on its tail's
mention in the same way, reversed: its leaves spell the head. That is how `contains` and `has_field`
are seen at the member, and where the many calls of one function go; the rule is the same for all
relations, so that no place gives a relation away. Knowledge (see `knowledge.py`) comes after the
window's own triples, in what room they leave.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from graph_builder.entities import Reference, Triple
from graph_builder.knowledge import ChosenFact, Key, in_hash_order
from graph_builder.layout import ChainLayout
from graph_builder.mentions import Mention, WindowMentions
from graph_builder.relations import INSTANTIATES, RELATION_NAMES
from graph_builder.spelling import Spelling, Spellings

# Outcomes. A cut triple has its first leaves, as many as a root holds; it does not count as placed.
# One that hangs on its tail counts where its leaves spell the last parts of its head, all that fit:
# of a module with a long path they are what the window itself calls it.
PLACED: Final = "placed"
SHORTENED: Final = "placed, the last parts of its head alone"
CUT: Final = "tail longer than a root's slots"
NO_MENTION: Final = "not mentioned in the window"
NO_ROOM: Final = "no free slots"
STATED_HERE: Final = "stated in the window too"  # knowledge only
_LOSSES: Final = (PLACED, SHORTENED, CUT)  # of a name's tokens: none, some, the more so
UNPLACED_REASONS: Final = (CUT, NO_MENTION, NO_ROOM)


@dataclass(frozen=True, slots=True)
class LinkedTriple:
    """A triple with its place: its leaves fill the next free slots of `root`."""

    head: str
    relation: int
    tail: str
    root: int
    mention: Mention
    spelling: Spelling  # of what its leaves hold
    is_reversed: bool
    is_knowledge: bool

    @property
    def key(self) -> Key:
        return self.head, self.relation, self.tail


@dataclass
class LinkCounts:
    """Count what became of every triple and every chosen fact, distinct within a window."""

    triples: Counter[tuple[str, int]] = field(default_factory=Counter)  # (outcome, relation)
    facts: Counter[tuple[str, int]] = field(default_factory=Counter)
    instantiations: Counter[bool] = field(default_factory=Counter)  # of files: is it a guess

    def add_file(self, triples: Iterable[Triple]) -> None:
        """Count what a file states, before it is cut into windows."""
        self.instantiations.update(t.is_guess for t in triples if t.relation == INSTANTIATES)

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


class WindowLinker:
    """Place triples in the slots of one window, one after the other."""

    def __init__(
        self,
        layout: ChainLayout,
        mentions: WindowMentions,
        spellings: Spellings,
        counts: LinkCounts,
    ) -> None:
        self._layout, self._mentions = layout, mentions
        self._spellings, self._counts = spellings, counts
        self._free_slots = [layout.leaves_per_root] * layout.num_roots
        self._seen: set[Key] = set()
        self._linked: list[LinkedTriple] = []

    def linked(self, salt: int) -> list[LinkedTriple]:
        """Return the placed triples in the order of their leaves: on each root, hash order.

        The salt, another one for each window, keeps pairs of triples that many windows share from
        standing in the same order in all of them, which a model could learn.
        """
        ordered = in_hash_order(self._linked, lambda linked: linked.key, salt)
        return sorted(ordered, key=lambda linked: linked.root)

    def num_leaves(self, name: str) -> int:
        """Return the number of leaves that spell `name`."""
        return len(self._spellings.fitting(name, self._layout.leaves_per_root).ids)

    def num_slots(self, reference: Reference) -> int:
        """Return the number of slots, taken or free, at the mention that `reference` is."""
        mention = self._mentions.of_reference(reference.start, reference.end)
        return mention.num_roots * self._layout.leaves_per_root if mention else 0

    def add_local(self, triples: Iterable[Triple]) -> None:
        """Place the window's own triples, equal ones once."""
        distinct = {(triple.head, triple.relation, triple.tail): triple for triple in triples}
        self._seen |= distinct.keys()
        for head, relation, tail in in_hash_order(distinct, lambda key: key):
            outcome = self._add_local(distinct[head, relation, tail])
            self._counts.triples[outcome, relation] += 1

    def add_knowledge(self, facts: Sequence[ChosenFact]) -> None:
        """Place chosen facts at the names that lead to what they are about."""
        for chosen in in_hash_order(facts, lambda fact: fact.key):
            outcome = STATED_HERE if chosen.key in self._seen else self._add_knowledge(chosen)
            self._counts.facts[outcome, chosen.fact.relation] += 1

    def _add_local(self, triple: Triple) -> str:
        """Hang a triple on its head or its tail, first where its leaves lose less of a name."""
        key = triple.head, triple.relation, triple.tail
        outcomes = set()
        for is_reversed in self._directions(key):
            name, at = (triple.tail, triple[5:7]) if is_reversed else (triple.head, triple[3:5])
            outcome = self._place(key, self._mentions.of(name, *at), is_reversed)
            if outcome not in (NO_MENTION, NO_ROOM):
                return outcome
            outcomes.add(outcome)
        return NO_ROOM if NO_ROOM in outcomes else NO_MENTION

    def _directions(self, key: Key) -> tuple[bool, bool]:
        at_head = _LOSSES.index(self._spelled(key, is_reversed=False)[1])
        if at_head and _LOSSES.index(self._spelled(key, is_reversed=True)[1]) < at_head:
            return True, False
        return False, True

    def _spelled(self, key: Key, is_reversed: bool) -> tuple[Spelling, str]:
        """Return what the leaves of a triple spell, and the outcome where they find a place."""
        name, max_tokens = key[0] if is_reversed else key[2], self._layout.leaves_per_root
        leaves = self._spellings.fitting(name, max_tokens)
        if leaves is self._spellings.of(name):
            return leaves, PLACED
        last = self._spellings.of(name.rpartition(".")[2])
        return leaves, SHORTENED if is_reversed and len(last.ids) <= max_tokens else CUT

    def _add_knowledge(self, chosen: ChosenFact) -> str:
        found = (self._mentions.of_reference(r.start, r.end) for r in chosen.references)
        mentions = (mention for mention in found if mention)
        return self._place(chosen.key, mentions, chosen.fact.is_reversed, is_knowledge=True)

    def _place(
        self, key: Key, mentions: Iterable[Mention], is_reversed: bool, is_knowledge: bool = False
    ) -> str:
        head, relation, tail = key
        leaves, outcome = self._spelled(key, is_reversed)
        num_slots = len(leaves.ids)
        place = self._find_slots(mentions, num_slots)
        if isinstance(place, str):
            return place
        root, mention = place
        self._free_slots[root] -= num_slots
        self._linked.append(
            LinkedTriple(head, relation, tail, root, mention, leaves, is_reversed, is_knowledge)
        )
        return outcome

    def _find_slots(self, mentions: Iterable[Mention], num_slots: int) -> tuple[int, Mention] | str:
        """Return the first root with room and the mention that it is in, or why there is none."""
        outcome = NO_MENTION
        for mention in mentions:
            for root in mention.roots:
                if self._free_slots[root] >= num_slots:
                    return root, mention
            outcome = NO_ROOM
        return outcome
