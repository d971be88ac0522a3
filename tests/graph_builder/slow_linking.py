"""Linking, the slow and obvious way: one window, one triple after the other.

The rules are those of `graph_builder/linking.py`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from slow_knowledge import ChosenFact, Key, in_hash_order
from slow_mentions import Mention, WindowMentions
from slow_spelling import Spelling, Spellings

from graph_builder.entities import Reference, Triple
from graph_builder.layout import ChainLayout
from graph_builder.linking import (
    CUT,
    NO_MENTION,
    NO_ROOM,
    PLACED,
    SHORTENED,
    LinkCounts,
)


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
        self._linked: list[LinkedTriple] = []
        self._said: set[Key] = set()  # facts that a placed one looks like

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

    def room_of(self, name: str) -> int:
        """Return the number of slots, taken or free, at the mentions of a name without dots."""
        mentions = self._mentions.of_name(name)
        return sum(mention.num_roots for mention in mentions) * self._layout.leaves_per_root

    def add_local(self, triples: Iterable[Triple]) -> None:
        """Place the window's own triples, equal ones once; those that knowledge says are placed."""
        distinct = {(triple.head, triple.relation, triple.tail): triple for triple in triples}
        known = {linked.key for linked in self._linked} | self._said
        for key in in_hash_order(distinct, lambda key: key):
            outcome = PLACED if key in known else self._add_local(distinct[key])
            self._counts.triples[outcome, key[1]] += 1

    def add_owned(self, triples: Iterable[Triple]) -> None:
        """Place what the rest of the function states at the mentions of its heads."""
        for triple in triples:
            key = triple.head, triple.relation, triple.tail
            mentions = self._mentions.of_name(triple.head)
            outcome = self._place(key, mentions, is_reversed=False, is_knowledge=True)
            self._counts.facts[outcome, triple.relation] += 1

    def add_knowledge(self, facts: Sequence[ChosenFact]) -> None:
        """Place chosen facts at the names that lead to what they are about."""
        for chosen in in_hash_order(facts, lambda fact: fact.key):
            self._counts.facts[self._add_knowledge(chosen), chosen.fact.relation] += 1

    def _add_local(self, triple: Triple) -> str:
        """Hang a triple on its head or its tail, first where its leaves lose less of a name."""
        key = triple.head, triple.relation, triple.tail
        outcomes = set()
        for is_reversed in sorted(
            (False, True), key=lambda is_reversed: self._loss(key, is_reversed)
        ):
            name, at = (triple.tail, triple[5:7]) if is_reversed else (triple.head, triple[3:5])
            outcome = self._place(key, self._mentions.of(name, *at), is_reversed)
            if outcome not in (NO_MENTION, NO_ROOM):
                return outcome
            outcomes.add(outcome)
        return NO_ROOM if NO_ROOM in outcomes else NO_MENTION

    def _loss(self, key: Key, is_reversed: bool) -> int:
        return (PLACED, SHORTENED, CUT).index(self._spelled(key, is_reversed)[1])

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
        if is_knowledge and self._is_said(relation, leaves, mention, is_reversed):
            self._said.add(key)
            return PLACED
        self._free_slots[root] -= num_slots
        self._linked.append(
            LinkedTriple(head, relation, tail, root, mention, leaves, is_reversed, is_knowledge)
        )
        return outcome

    def _is_said(
        self, relation: int, leaves: Spelling, mention: Mention, is_reversed: bool
    ) -> bool:
        """Return whether a placed fact looks the same, at this word or at an equal one."""
        looks = (relation, leaves.ids, mention.last_word, is_reversed)
        return looks in [
            (each.relation, each.spelling.ids, each.mention.last_word, each.is_reversed)
            for each in self._linked
        ]

    def _find_slots(self, mentions: Iterable[Mention], num_slots: int) -> tuple[int, Mention] | str:
        """Return the first root with room and the mention that it is in, or why there is none."""
        outcome = NO_MENTION
        for mention in mentions:
            for root in mention.roots:
                if self._free_slots[root] >= num_slots:
                    return root, mention
            outcome = NO_ROOM
        return outcome
