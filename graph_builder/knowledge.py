"""Knowledge: which settled facts a window gets from the rest of its repository.

Candidates are the facts about each entity that a name in the window leads to. Three rules keep
them from telling the model what the window says:

- Where the evidence is decides, not what the window's text says: a fact stated in this window's
  bytes is no candidate, one stated anywhere else is.
- Choice and order come from a hash of the names in the facts alone, so they are the same whatever
  else the window says.
- A chosen fact that equals a local triple is that triple: it is not added twice, and it is masked
  by the stricter rule of local leaves, because the window says it too. Its place in the budget
  stays used. Were it given to the next fact in line, a look at which facts are there would tell
  what the window says, or, for an answer that is masked, what it is not. For the same reason a
  chosen fact that finds no free slots is left out and counted, not replaced.
"""

import numpy as np

from graph_builder.compiled import inner
from graph_builder.hash_order import NO_SALT, is_equal, sort_by_hash, turn_equal_pairs
from graph_builder.link_tables import Array, Number, Rules, Tables, num_leaves


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
def choose_facts(tables: Tables, rules: Rules, window: int, fact_order: Array) -> Array:
    """Return the facts for a window, in hash order: the rule is that of `knowledge.py`."""
    facts, places = tables.facts, tables.fact_places
    entities = _entities_of(tables, window)
    room = _room_of(tables, rules, window, entities)
    next_facts = np.empty(entities.size, dtype=np.int32)
    for at in range(entities.size):
        next_facts[at] = tables.entities[entities[at]].first_fact
    left, num = rules.max_knowledge_leaves, 0
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
            if taken <= min(left, room[at]) and not has_equal(facts, chosen[:num], facts[fact]):
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
    """Return the entities that the window's references lead to, sorted by hash, then by name."""
    this, entities = tables.windows[window], tables.entities
    found = np.empty(this.end_reference - this.first_reference, dtype=np.int32)
    num = 0
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
    for reference in range(this.first_reference, this.end_reference):
        first, end = tokens_of_reference(tables, window, reference)
        if this.first_token <= first < end <= this.end_token:
            for at in range(entities.size):
                if entities[at] == tables.references[reference].entity:
                    room[at] += (end - first) * rules.leaves_per_root
    return room


@inner
def tokens_of_reference(tables: Tables, window: int, reference: int) -> tuple[Number, Number]:
    """Return the tokens of the last word of a reference; none where it has no word."""
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
        return np.int64(0), np.int64(0)
    return np.int64(words[word].first_token), np.int64(words[word].end_token)


@inner
def _is_here(tables: Tables, window: int, fact: int) -> bool:
    """Tell whether the evidence of a fact lies in the window's bytes."""
    place, this = tables.fact_places[fact], tables.windows[window]
    return place.file == this.file and this.start <= place.site < this.end


@inner
def has_equal(keys: Array, listed: Array, key: Array) -> bool:
    found = False
    for item in listed:
        found = found or is_equal(keys[item], key)
    return found
