"""Knowledge: which settled facts a window gets from the rest of its repository.

Candidates are the facts about each entity that a name in the window leads to, the synthetic name
that it opens with too; and, of a window that is a part of a longer function, what the rest of that
function states about names in the window: parameters, local names, types, calls, flows. Three rules
keep them from telling the model what the window says:

- Where the evidence is decides, not what the window's text says: a triple stated in this window's
  bytes is no candidate, nor is one whose other end, which its leaves would spell, is written there
  (a statement cut in two, the parameters of a function within); one stated anywhere else is.
- Choice and order come from the names in the facts and from where they are stated alone, so they
  are the same whatever else the window says. A fact is about one of its ends: were it about
  whichever is mentioned, the place of a leaf would tell that the other is not.
- A chosen fact is knowledge even if the window states it too, and is placed before the window's own
  triples. Were it gone or masked then, what is to be seen would tell what the window says, or, for
  an answer that is masked, what it is not.

What the rest of the function states takes half of the leaves at most, the nearest first; then the
entities take turns, each one's facts in the order of a hash.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np

from graph_builder.compiled import borrowing, inner
from graph_builder.hash_order import NO_SALT, is_equal, sort_by_hash, turn_equal_pairs
from graph_builder.link_tables import Array, Number, Rules, Tables, num_leaves

OWNED_SHARE: Final = 2  # what the rest of its function states takes half of a window's knowledge
MAX_NEAREST: Final = 2048  # how many triples of its function a window looks at, the nearest


@inner
def sorted_facts(tables: Tables) -> Array:
    """Return all facts, those of each entity in hash order."""
    facts, names, name_bytes = tables.facts, tables.names, tables.name_bytes
    order = np.arange(facts.size).astype(np.int32)
    for entity in tables.entities:
        mine = order[entity.first_fact : entity.end_fact]
        sort_by_hash(facts, mine, mine.size, NO_SALT, names, name_bytes)
        turn_equal_pairs(facts, mine, mine.size, NO_SALT, names, name_bytes)
    return order


@inner
def choose_owned(tables: Tables, rules: Rules, window: int, room: Array) -> Array:
    """Return the triples of the rest of the window's function that it gets, the nearest first.

    `room`, for each text, is all 0, and is so again in the end.
    """
    this, triples, names = tables.windows[window], tables.triples, tables.names
    spans = tables.triple_spans
    left, num = rules.max_knowledge_leaves // OWNED_SHARE, 0
    chosen = np.empty(left, dtype=np.int32)
    if this.first_owned == this.first_triple and this.end_owned == this.end_triple:
        return chosen[:0]
    _add_room(tables, rules, window, room)
    before, after = this.first_triple - 1, np.int64(this.end_triple)
    for _ in range(MAX_NEAREST):
        if left == 0 or (before < this.first_owned and after >= this.end_owned):
            break
        if _is_nearer(tables, window, before, after):
            triple, before = before, before - 1
        else:
            triple, after = after, after + 1
        if _is_written_in(tables, window, spans[triple].tail_start, spans[triple].tail_end):
            continue
        head = tables.parts[names[triples[triple].head].end_part - 1]
        taken = num_leaves(tables, triples[triple].tail)
        if taken <= min(left, room[head]) and not has_equal(triples, chosen[:num], triples[triple]):
            chosen[num] = triple
            num += 1
            left -= taken
            room[head] -= taken
    for word in range(this.first_word, this.end_word):
        room[tables.words[word].text] = 0
    room[this.name_text] = 0
    return chosen[:num]


@borrowing
def _add_room(tables: Tables, rules: Rules, window: int, room: Array) -> None:
    """Add the slots, taken or free, at the words of a window to those of their texts."""
    this = tables.windows[window]
    room[this.name_text] += this.num_name_tokens * rules.leaves_per_root
    for word in tables.words[this.first_word : this.end_word]:
        if this.first_token <= word.first_token and word.end_token <= this.end_token:
            room[word.text] += (word.end_token - word.first_token) * rules.leaves_per_root


@borrowing
def _is_nearer(tables: Tables, window: int, before: int, after: int) -> bool:
    """Tell whether a triple before the window is to be had, and none after it is nearer."""
    this, sites = tables.windows[window], tables.triple_sites
    if before < this.first_owned or after >= this.end_owned:
        return before >= this.first_owned
    return this.start - sites[before] <= sites[after] - this.end


@inner
def choose_facts(
    tables: Tables, rules: Rules, window: int, fact_order: Array, owned: Array
) -> Array:
    """Return the facts that a window gets beside the chosen triples `owned`, in hash order."""
    facts, places = tables.facts, tables.fact_places
    entities = _entities_of(tables, window)
    room = _room_of(tables, rules, window, entities)
    next_facts = np.empty(entities.size, dtype=np.int32)
    for at in range(entities.size):
        next_facts[at] = tables.entities[entities[at]].first_fact
    left, num = rules.max_knowledge_leaves, 0
    for triple in owned:
        left -= num_leaves(tables, tables.triples[triple].tail)
    chosen = np.empty(left, dtype=np.int32)
    for _ in range(rules.max_knowledge_leaves):  # one turn of each entity
        is_over = True
        for at in range(entities.size):
            end = tables.entities[entities[at]].end_fact
            while next_facts[at] < end and _is_here(tables, window, fact_order[next_facts[at]]):
                next_facts[at] += 1
            if next_facts[at] == end:
                continue
            is_over = False
            fact = fact_order[next_facts[at]]
            next_facts[at] += 1
            leaves = facts[fact].head if places[fact].is_reversed else facts[fact].tail
            taken = num_leaves(tables, leaves)
            if taken <= min(left, room[at]) and not (
                has_equal(facts, chosen[:num], facts[fact])
                or has_equal(tables.triples, owned, facts[fact])
            ):
                chosen[num] = fact
                num += 1
                left -= taken
                room[at] -= taken
        if is_over or left == 0:
            break
    sort_by_hash(facts, chosen, num, NO_SALT, tables.names, tables.name_bytes)
    turn_equal_pairs(facts, chosen, num, NO_SALT, tables.names, tables.name_bytes)
    return chosen[:num]


@inner
def _entities_of(tables: Tables, window: int) -> Array:
    """Return the entities that the window's names lead to, sorted by hash, then by name."""
    this, entities = tables.windows[window], tables.entities
    found = np.empty(1 + this.end_reference - this.first_reference, dtype=np.int32)
    num = 0
    if this.name_entity >= 0:
        found[0], num = this.name_entity, 1
    for at in range(this.first_reference, this.end_reference):
        entity = tables.references[at].entity
        to = num
        while to > 0 and (
            entities[found[to - 1]].hash > entities[entity].hash
            or (entities[found[to - 1]].hash == entities[entity].hash and found[to - 1] > entity)
        ):
            to -= 1
        if to > 0 and found[to - 1] == entity:
            continue
        for later in range(num, to, -1):
            found[later] = found[later - 1]
        found[to] = entity
        num += 1
    return found[:num]


@inner
def _room_of(tables: Tables, rules: Rules, window: int, entities: Array) -> Array:
    """Return the slots, taken or free, at the mentions of each entity."""
    this = tables.windows[window]
    room = np.zeros(entities.size, dtype=np.int32)
    for at in range(entities.size):
        if entities[at] == this.name_entity:
            room[at] = this.num_name_tokens * rules.leaves_per_root
    for reference in range(this.first_reference, this.end_reference):
        word = word_of_reference(tables, window, reference)
        if word < 0:
            continue
        first, end = tables.words[word].first_token, tables.words[word].end_token
        if this.first_token <= first < end <= this.end_token:
            for at in range(entities.size):
                if entities[at] == tables.references[reference].entity:
                    room[at] += (end - first) * rules.leaves_per_root
    return room


@borrowing
def word_of_reference(tables: Tables, window: int, reference: int) -> Number:
    """Return the last word of a reference; -1: it has no word."""
    words, span, this = tables.words, tables.references[reference], tables.windows[window]
    first, end = this.file_word, this.file_end_word
    while first < end:
        middle = (first + end) // 2
        if words[middle].start >= span.end:
            end = middle
        else:
            first = middle + 1
    word = first - 1
    if word < this.file_word or words[word].start < span.start:
        return np.int64(-1)
    return np.int64(word)


@borrowing
def _is_here(tables: Tables, window: int, fact: int) -> bool:
    """Tell whether a fact is stated, or what its leaves spell is written, in the window's bytes."""
    place, this = tables.fact_places[fact], tables.windows[window]
    if place.file != this.file:
        return False
    is_stated = this.start <= place.site < this.end
    return is_stated or _is_written_in(tables, window, place.start, place.end)


@borrowing
def _is_written_in(tables: Tables, window: int, start: int, end: int) -> bool:
    """Tell whether any of the bytes `start` .. `end` - 1 of its file is a window's; -1: no text."""
    this = tables.windows[window]
    return start >= 0 and start < this.end and end > this.start


@borrowing
def has_equal(keys: Array, listed: Iterable[int], key: Array) -> bool:
    found = False
    for item in listed:
        found = found or is_equal(keys[item], key)
    return found
