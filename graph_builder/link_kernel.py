"""Linking, compiled: one pass over all windows of some files, as `linking.py` describes it.

numba compiles on first use and keeps the machine code beside the module (or in the user's cache
folder), so later processes only load it.
"""

from typing import Any, Final, NamedTuple

import numpy as np

from graph_builder.compiled import borrowing, inner, kept
from graph_builder.hash_order import (
    NO_SALT,
    keep_last_of_equals,
    sort_by_hash,
    turn_equal_pairs,
)
from graph_builder.knowledge import (
    choose_facts,
    choose_owned,
    has_equal,
    sorted_facts,
    word_of_reference,
)
from graph_builder.link_tables import KEY, PLACE, Array, Number, Rules, Tables, num_leaves

# Outcomes; `linking.OUTCOMES` has their names. The first three are in the order of what is lost.
PLACED: Final = 0
SHORTENED: Final = 1
CUT: Final = 2
NO_MENTION: Final = 3
NO_ROOM: Final = 4
NUM_OUTCOMES: Final = 5


class Linked(NamedTuple):
    """The placed triples of some windows, in the order of their leaves."""

    bounds: Array  # (V + 1,) where the triples of each window begin
    triples: Array  # KEY
    places: Array  # PLACE
    triple_counts: Array  # (NUM_OUTCOMES, relations) of the windows' own triples
    fact_counts: Array


class Mention(NamedTuple):
    """A root with room and the mention that it is in; or (root < 0) why there is none."""

    root: Number
    first_root: Number
    num_roots: Number
    outcome: int


@kept
def link_windows(tables: Tables, rules: Rules) -> Linked:
    """Place the triples and facts of every window."""
    num_windows = tables.windows.size
    most, total = _most_placed(tables, rules)
    triples, places = np.empty(total, dtype=KEY), np.empty(total, dtype=PLACE)
    keys, found = np.empty(most, dtype=KEY), np.empty(most, dtype=PLACE)
    words = np.empty(most, dtype=np.int32)  # texts that knowledge hangs on
    said = np.empty(rules.max_knowledge_leaves, dtype=KEY)  # facts that another one looks like
    bounds = np.zeros(num_windows + 1, dtype=np.int32)
    triple_counts = np.zeros((NUM_OUTCOMES, rules.num_relations), dtype=np.int64)
    fact_counts = np.zeros((NUM_OUTCOMES, rules.num_relations), dtype=np.int64)
    fact_order = sorted_facts(tables)
    room = np.zeros(rules.num_texts, dtype=np.int32)
    for window in range(num_windows):
        free = np.full(rules.num_roots, rules.leaves_per_root, dtype=np.int32)
        num, num_said = 0, 0
        if rules.has_knowledge:
            owned = choose_owned(tables, rules, window, room)
            facts = choose_facts(tables, rules, window, fact_order, owned)
            num, num_said = _place_owned(
                tables, window, owned, free, keys, found, words, said, fact_counts
            )
            num, num_said = _place_facts(
                tables, window, facts, free, keys, found, words, num, said, num_said, fact_counts
            )
        if rules.has_local:
            distinct = _distinct_triples(tables, window)
            num = _place_local(
                tables, window, distinct, free, keys, found, num, said[:num_said], triple_counts
            )
        first = bounds[window]
        bounds[window + 1] = first + num
        order = _order_of_leaves(tables, window, keys, found, num)
        for at in range(num):
            triples[first + at] = keys[order[at]]
            places[first + at] = found[order[at]]
    num = bounds[num_windows]
    return Linked(bounds, triples[:num], places[:num], triple_counts, fact_counts)


@borrowing
def _most_placed(tables: Tables, rules: Rules) -> tuple[Number, Number]:
    """Return how many triples and facts one window, and all, can hold at most."""
    most, total = np.int64(0), np.int64(0)
    for window in tables.windows:
        num = rules.max_knowledge_leaves + window.end_triple - window.first_triple
        num = min(num, rules.num_roots * rules.leaves_per_root)
        most, total = max(most, num), total + num
    return most, total


# The window's own triples


@inner
def _distinct_triples(tables: Tables, window: int) -> Array:
    """Return the window's triples in hash order, equal ones once."""
    first, end = tables.windows[window].first_triple, tables.windows[window].end_triple
    order = np.arange(first, end).astype(np.int32)
    sort_by_hash(tables.triples, order, order.size, NO_SALT, tables.names, tables.name_bytes)
    num = keep_last_of_equals(tables.triples, order, order.size)
    turn_equal_pairs(tables.triples, order, num, NO_SALT, tables.names, tables.name_bytes)
    return order[:num]


@borrowing
def _place_local(
    tables: Tables,
    window: int,
    distinct: Array,
    free: Array,
    keys: Array,
    found: Array,
    num: int,
    said: Array,
    counts: Array,
) -> int:
    """Hang each triple on its head or its tail; return how many are placed, the facts included.

    First where its leaves lose less of the name that they spell. One that equals a fact is placed,
    as the fact was or by one that looks like it (`said`).
    """
    num_facts = num
    for triple in distinct:
        key = tables.triples[triple]
        if has_equal(keys, range(num_facts), key) or has_equal(said, range(said.size), key):
            counts[PLACED, key.relation] += 1
            continue
        is_reversed = _outcome(tables, key, True) < _outcome(tables, key, False)
        mention = _find_end(tables, window, triple, is_reversed, free)
        outcome = mention.outcome
        if mention.root < 0:
            is_reversed = not is_reversed
            mention = _find_end(tables, window, triple, is_reversed, free)
            outcome = max(outcome, mention.outcome)
        if mention.root >= 0:
            outcome = _hang(tables, key, mention, is_reversed, False, free, keys, found, num)
            num += 1
        counts[outcome, key.relation] += 1
    return num


@borrowing
def _outcome(tables: Tables, key: Any, is_reversed: bool) -> int:
    """Return what becomes of a triple where its leaves find a place."""
    loss = tables.names[key.head if is_reversed else key.tail].loss
    if loss == 0:
        return PLACED
    return SHORTENED if loss == 1 and is_reversed else CUT


@borrowing
def _find_end(tables: Tables, window: int, triple: int, is_tail: bool, free: Array) -> Mention:
    """Return a root with room for the other end at the mentions of a triple's head or tail."""
    key, spans = tables.triples[triple], tables.triple_spans[triple]
    if is_tail:
        room = num_leaves(tables, key.head)
        return _find(tables, window, key.tail, spans.tail_start, spans.tail_end, room, free)
    room = num_leaves(tables, key.tail)
    return _find(tables, window, key.head, spans.head_start, spans.head_end, room, free)


@borrowing
def _hang(
    tables: Tables,
    key: Any,
    mention: Mention,
    is_reversed: bool,
    is_knowledge: bool,
    free: Array,
    keys: Array,
    found: Array,
    at: int,
) -> int:
    """Note a triple with its place as number `at`, take its slots; return what became of it."""
    free[mention.root] -= num_leaves(tables, key.head if is_reversed else key.tail)
    keys[at] = key
    found[at].root = mention.root
    found[at].first_root = mention.first_root
    found[at].num_roots = mention.num_roots
    found[at].is_reversed = is_reversed
    found[at].is_knowledge = is_knowledge
    return _outcome(tables, key, is_reversed)


# Mentions


@borrowing
def _find(
    tables: Tables, window: int, name: int, start: int, end: int, room: int, free: Array
) -> Mention:
    """Return the first root with room among the mentions of a name, its own byte span first."""
    windows, words = tables.windows, tables.words
    outcome = NO_MENTION
    if start >= 0:
        first, last = _tokens_of(tables, window, start, end)
        mention = _try(windows, window, first, last, room, free)
        if mention.root >= 0:
            return mention
        outcome = max(outcome, mention.outcome)
    first_part, end_part = tables.names[name].first_part, tables.names[name].end_part
    last_text = tables.parts[end_part - 1]
    num_name_tokens = windows[window].num_name_tokens
    if num_name_tokens and last_text == windows[window].name_text:
        mention = _try_roots(1, num_name_tokens, room, free)
        if mention.root >= 0:
            return mention
        outcome = NO_ROOM
    first_word, end_word = windows[window].first_word, windows[window].end_word
    for word in range(first_word, end_word):
        if _is_written(tables, window, word, first_part, end_part):
            end = words[word + end_part - first_part - 1].end_token
            mention = _try(windows, window, words[word].first_token, end, room, free)
            if mention.root >= 0:
                return mention
            outcome = max(outcome, mention.outcome)
    if end_part - first_part > 1:
        for word in range(first_word, end_word):
            if words[word].text == last_text:
                end = words[word].end_token
                mention = _try(windows, window, words[word].first_token, end, room, free)
                if mention.root >= 0:
                    return mention
                outcome = max(outcome, mention.outcome)
    return Mention(-1, 0, 0, outcome)


@borrowing
def _is_written(tables: Tables, window: int, word: int, first_part: int, end_part: int) -> bool:
    """Tell whether a name stands at a word, with a dot and nothing else between its parts."""
    words, parts = tables.words, tables.parts
    if words[word].text != parts[first_part]:
        return False
    if word + end_part - first_part > tables.windows[window].file_end_word:
        return False
    for at in range(1, end_part - first_part):
        is_next = words[word + at - 1].is_dotted and words[word + at].text == parts[first_part + at]
        if not is_next:
            return False
    return True


@borrowing
def _tokens_of(tables: Tables, window: int, start: int, end: int) -> tuple[int, int]:
    """Return the tokens of the file that overlap the bytes `start` .. `end` - 1."""
    tokens, this = tables.tokens, tables.windows[window]
    first, last = this.file_token, this.file_end_token
    while first < last:
        middle = (first + last) // 2
        if tokens[middle].end > start:
            last = middle
        else:
            first = middle + 1
    end_token = first
    while end_token < this.file_end_token and tokens[end_token].start < end:
        end_token += 1
    return first, end_token


@borrowing
def _try(windows: Array, window: int, first: int, end: int, room: int, free: Array) -> Mention:
    """Look for room at these tokens; they are no mention where they are not all in the window."""
    this = windows[window]
    if not this.first_token <= first < end <= this.end_token:
        return Mention(-1, 0, 0, NO_MENTION)
    return _try_roots(1 + this.num_name_tokens + first - this.first_token, end - first, room, free)


@borrowing
def _try_roots(first_root: int, num_roots: int, room: int, free: Array) -> Mention:
    for root in range(first_root, first_root + num_roots):
        if free[root] >= room:
            return Mention(np.int64(root), np.int64(first_root), np.int64(num_roots), PLACED)
    return Mention(-1, 0, 0, NO_ROOM)


# Knowledge


@borrowing
def _place_owned(
    tables: Tables,
    window: int,
    chosen: Array,
    free: Array,
    keys: Array,
    found: Array,
    words: Array,
    said: Array,
    counts: Array,
) -> tuple[int, int]:
    """Hang what the rest of the function states on mentions of its heads; return how many, and how
    many are in `said` instead."""
    num, num_said = 0, 0
    for triple in chosen:
        key = tables.triples[triple]
        room = num_leaves(tables, key.tail)
        mention = _find(tables, window, key.head, -1, -1, room, free)
        outcome = mention.outcome
        word = tables.parts[tables.names[key.head].end_part - 1]
        if mention.root < 0:
            pass
        elif _is_said(tables, key, word, False, keys, found, words, num):
            said[num_said] = key
            num_said += 1
        else:
            outcome = _hang(tables, key, mention, False, True, free, keys, found, num)
            words[num] = word
            num += 1
        counts[outcome, key.relation] += 1
    return num, num_said


@borrowing
def _place_facts(
    tables: Tables,
    window: int,
    chosen: Array,
    free: Array,
    keys: Array,
    found: Array,
    words: Array,
    num: int,
    said: Array,
    num_said: int,
    counts: Array,
) -> tuple[int, int]:
    """Place the chosen facts at the names that lead to what they are about; return how many hang
    in all, and how many are in `said` instead."""
    for fact in chosen:
        key, place = tables.facts[fact], tables.fact_places[fact]
        is_reversed = place.is_reversed
        room = num_leaves(tables, key.head if is_reversed else key.tail)
        mention, word = _find_reference(tables, window, place.entity, room, free)
        outcome = mention.outcome
        if mention.root < 0:
            pass
        elif _is_said(tables, key, word, is_reversed, keys, found, words, num):
            said[num_said] = key
            num_said += 1
        else:
            outcome = _hang(tables, key, mention, is_reversed, True, free, keys, found, num)
            words[num] = word
            num += 1
        counts[outcome, key.relation] += 1
    return num, num_said


@borrowing
def _is_said(
    tables: Tables,
    key: Any,
    word: int,
    is_reversed: bool,
    keys: Array,
    found: Array,
    words: Array,
    num: int,
) -> bool:
    """Tell whether one of the `num` placed looks the same, at this word or at an equal one."""
    for at in range(num):
        if (
            words[at] == word
            and keys[at].relation == key.relation
            and found[at].is_reversed == is_reversed
            and _are_spelled_alike(
                tables,
                key.head if is_reversed else key.tail,
                keys[at].head if is_reversed else keys[at].tail,
            )
        ):
            return True
    return False


@borrowing
def _are_spelled_alike(tables: Tables, name: int, other: int) -> bool:
    """Tell whether the leaves of two names are equal."""
    num = num_leaves(tables, name)
    if num != num_leaves(tables, other):
        return False
    first, others = tables.names[name].first_leaf, tables.names[other].first_leaf
    at = 0
    while at < num and tables.leaves[first + at].id == tables.leaves[others + at].id:
        at += 1
    return at == num


@borrowing
def _find_reference(
    tables: Tables, window: int, entity: int, room: int, free: Array
) -> tuple[Mention, Number]:
    """Return the first root with room among the references to an entity, and the text there."""
    this, outcome = tables.windows[window], NO_MENTION
    if this.name_entity == entity:
        mention = _try_roots(1, this.num_name_tokens, room, free)
        if mention.root >= 0:
            return mention, np.int64(this.name_text)
        outcome = NO_ROOM
    for reference in range(this.first_reference, this.end_reference):
        if tables.references[reference].entity == entity:
            word = word_of_reference(tables, window, reference)
            if word < 0:
                continue
            first, end = tables.words[word].first_token, tables.words[word].end_token
            mention = _try(tables.windows, window, first, end, room, free)
            if mention.root >= 0:
                return mention, np.int64(tables.words[word].text)
            outcome = max(outcome, mention.outcome)
    return Mention(-1, 0, 0, outcome), np.int64(-1)


# The order of leaves


@inner
def _order_of_leaves(tables: Tables, window: int, keys: Array, found: Array, num: int) -> Array:
    """Return the order of a window's triples: by root, on each root hash order."""
    salt, order = tables.windows[window].salt, np.arange(num).astype(np.int32)
    sort_by_hash(keys, order, num, salt, tables.names, tables.name_bytes)
    turn_equal_pairs(keys, order, num, salt, tables.names, tables.name_bytes)
    for at in range(1, num):
        item, to = order[at], at
        while to > 0 and found[order[to - 1]].root > found[item].root:
            order[to] = order[to - 1]
            to -= 1
        order[to] = item
    return order
