"""Knowledge, the slow and obvious way: which facts a window gets from its repository.

The rules are those of `graph_builder/knowledge.py`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import TypeVar
from zlib import crc32

from graph_builder.entities import NO_SPAN, Fact, Reference, Triple
from graph_builder.knowledge import MAX_NEAREST, OWNED_SHARE
from graph_builder.record import ChainGraph

Key = tuple[str, int, str]  # head, relation, tail
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class ChosenFact:
    """A fact for a window, with the names there that lead to what it is about."""

    fact: Fact
    references: tuple[Reference, ...]

    @property
    def key(self) -> Key:
        return self.fact.head, self.fact.relation, self.fact.tail

    @property
    def leaf_name(self) -> str:
        """Return what its leaves spell: the end of the fact that the reference is not."""
        return self.fact.head if self.fact.is_reversed else self.fact.tail


@dataclass(frozen=True, slots=True)
class Extent:
    """The bytes `start` .. `end` - 1 of a file."""

    path: str
    start: int
    end: int

    @classmethod
    def of(cls, record: ChainGraph) -> "Extent":
        """Return where the code of a window stands; its synthetic name stands nowhere."""
        is_code = record.root_starts >= 0
        return cls(record.path, int(record.root_starts[is_code].min()), int(record.root_ends.max()))

    def holds(self, fact: Fact) -> bool:
        """Return whether `fact` is stated here, or what its leaves spell is written here."""
        is_written = self.overlaps(fact.start, fact.end)
        return fact.path == self.path and (self.has(fact.site) or is_written)

    def has(self, site: int) -> bool:
        return self.start <= site < self.end

    def overlaps(self, start: int, end: int) -> bool:
        return start != NO_SPAN and any(self.has(at) for at in range(start, end))

    def distance(self, site: int) -> int:
        """Return how far from here a byte outside of it is; to one before it, at least 1."""
        return self.start - site if site < self.start else site - self.end


@dataclass(frozen=True, slots=True)
class Budget:
    """How much knowledge a window can take, in leaf tokens."""

    max_leaves: int  # in all
    leaves_of: Callable[[str], int]  # leaves that a name takes
    room_at: Callable[[Reference], int]  # slots of the mention that a reference is


def choose_owned(
    triples: Sequence[Triple], extent: Extent, budget: Budget, room_of: Callable[[str], int]
) -> list[Triple]:
    """Return those of a function's triples that its window at `extent` gets, the nearest first.

    room_of: slots at the mentions of a name without dots.
    """

    def order(at: int) -> tuple[int, bool, int]:
        site = triples[at].site
        is_after = site >= extent.end
        return extent.distance(site), is_after, at if is_after else -at

    outside = [at for at, triple in enumerate(triples) if not extent.has(triple.site)]
    left, room = budget.max_leaves // OWNED_SHARE, dict[str, int]()
    chosen: dict[Key, Triple] = {}
    for at in sorted(outside, key=order)[:MAX_NEAREST]:
        triple = triples[at]
        if extent.overlaps(triple.tail_start, triple.tail_end):
            continue
        key, name = (triple.head, triple.relation, triple.tail), triple.head.rpartition(".")[2]
        num_leaves = budget.leaves_of(triple.tail)
        room.setdefault(name, room_of(name))
        if key not in chosen and num_leaves <= min(left, room[name]):
            chosen[key] = triple
            left -= num_leaves
            room[name] -= num_leaves
    return list(chosen.values())


class FactShelf:
    """The facts of a repository, each entity's in hash order, sorted once."""

    def __init__(self, facts_of: Callable[[str], Sequence[Fact]]) -> None:
        self._facts_of = facts_of
        self._sorted: dict[str, list[Fact]] = {}

    def facts(self, entity: str) -> list[Fact]:
        """Return the facts about `entity` in hash order."""
        if entity not in self._sorted:
            facts = list(self._facts_of(entity))
            self._sorted[entity] = in_hash_order(facts, lambda f: (f.head, f.relation, f.tail))
        return self._sorted[entity]

    def _outside(self, entity: str, extent: Extent) -> Iterator[Fact]:
        return (fact for fact in self.facts(entity) if not extent.holds(fact))

    def choose(
        self,
        references: Iterable[Reference],
        extent: Extent,
        budget: Budget,
        owned: Sequence[Triple] = (),
    ) -> list[ChosenFact]:
        """Return the facts for the window at `extent` whose names `references` are.

        `owned` are chosen already. Each entity gives its first fact before one gives its second,
        and so on, and none gives more than its own mentions could hold.
        """
        by_entity: dict[str, list[Reference]] = {}
        for reference in references:
            by_entity.setdefault(reference.entity, []).append(reference)
        room = {entity: sum(map(budget.room_at, by_entity[entity])) for entity in by_entity}
        turns = [
            (turn, crc32(entity.encode()), entity, fact)
            for entity in by_entity
            for turn, fact in enumerate(islice(self._outside(entity, extent), budget.max_leaves))
        ]
        turns.sort(key=lambda turn: turn[:3])
        chosen: dict[Key, ChosenFact] = {}
        known = {(triple.head, triple.relation, triple.tail) for triple in owned}
        left = budget.max_leaves - sum(budget.leaves_of(triple.tail) for triple in owned)
        for _, _, entity, fact in turns:
            candidate = ChosenFact(fact, tuple(by_entity[entity]))
            num_leaves = budget.leaves_of(candidate.leaf_name)
            if candidate.key not in chosen.keys() | known and num_leaves <= min(left, room[entity]):
                chosen[candidate.key] = candidate
                left -= num_leaves
                room[entity] -= num_leaves
        return list(chosen.values())


def in_hash_order(
    items: Iterable[Item], key_of: Callable[[Item], Key], salt: int = 0
) -> list[Item]:
    """Sort by a hash of (head, tail), which says nothing of the relation.

    Items that share head and tail differ in relation alone; a second hash of the two names
    decides which of them comes first.
    """
    listed = list(items)
    if len(listed) < 2:
        return listed
    entries = []
    for index, item in enumerate(listed):
        head, relation, tail = key_of(item)
        entries.append((pair_hash(head, tail, salt), head, tail, relation, index))
    entries.sort()
    ordered = [listed[entry[-1]] for entry in entries]
    if len({entry[:3] for entry in entries}) < len(entries):
        _turn_equal_pairs(ordered, entries, salt)
    return ordered


def _turn_equal_pairs(
    ordered: list[Item], entries: list[tuple[int, str, str, int, int]], salt: int
) -> None:
    """Turn each run of items with equal head and tail round by a number that a hash draws."""
    first = 0
    for (_, head, tail), run in groupby(entries, key=lambda entry: entry[:3]):
        end = first + len(list(run))
        start = first + pair_hash(tail, head, salt) % (end - first)
        ordered[first:end] = ordered[start:end] + ordered[first:start]
        first = end


def pair_hash(first: str, second: str, salt: int) -> int:
    """Return a hash of two names, the same on every machine; each salt gives another one."""
    return crc32(f"{salt}\0{first}\0{second}".encode())
