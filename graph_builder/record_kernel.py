"""The arrays of chain graphs, compiled: roots, leaves, and the ids of the names that they spell.

Masking hides leaves by the ids of names (`record.ChainGraph.root_names`), so words that share a
token share an id: hiding may be too strong, never too weak.
"""

from typing import Final, NamedTuple

import numpy as np

from graph_builder.compiled import borrowing, inner, kept
from graph_builder.link_kernel import Linked
from graph_builder.link_tables import Array, Rules, Tables

NO_NAME: Final = -1
NO_BYTE: Final = -1  # where a root has no text in the file


class Roots(NamedTuple):
    bounds: Array  # (V + 1,) where those of each window begin
    ids: Array
    starts: Array
    ends: Array
    names: Array


class Leaves(NamedTuple):
    bounds: Array  # (V + 1,)
    ids: Array
    roots: Array
    names: Array
    triples: Array


class Known(NamedTuple):
    """The words of one window with their ids."""

    ids: Array  # (texts,) the id of each text, where `windows` says that it is this window's
    windows: Array
    listed: Array  # the texts of this window


@kept
def record_arrays(
    tables: Tables, rules: Rules, linked: Linked, start_id: int, end_id: int
) -> tuple[Roots, Leaves]:
    """Return the roots and leaves of every window."""
    roots, leaves = _empty_roots(tables), _empty_leaves(tables, linked)
    known = Known(
        np.zeros(rules.num_texts, dtype=np.int32),
        np.full(rules.num_texts, -1, dtype=np.int32),
        np.empty(rules.num_texts, dtype=np.int32),
    )
    for window in range(tables.windows.size):
        _fill_roots(tables, window, roots, start_id, end_id)
        _fill_leaves(tables, window, linked, leaves)
        num_listed = _list_texts(tables, window, known)
        _join_root_names(tables, window, known, num_listed)
        _join_leaf_names(tables, window, linked, known, num_listed)
        _name_roots(tables, window, known, roots)
        _name_leaves(tables, window, linked, known, leaves)
    return roots, leaves


@inner
def _empty_roots(tables: Tables) -> Roots:
    bounds = np.zeros(tables.windows.size + 1, dtype=np.int32)
    for at in range(tables.windows.size):
        this = tables.windows[at]
        num_tokens = this.end_token - this.first_token
        bounds[at + 1] = bounds[at] + 2 + this.num_name_tokens + num_tokens
    num = bounds[-1]
    return Roots(
        bounds,
        np.empty(num, dtype=np.int32),
        np.full(num, NO_BYTE, dtype=np.int32),
        np.full(num, NO_BYTE, dtype=np.int32),
        np.full(num, NO_NAME, dtype=np.int16),
    )


@inner
def _empty_leaves(tables: Tables, linked: Linked) -> Leaves:
    bounds = np.zeros(linked.bounds.size, dtype=np.int32)
    for window in range(linked.bounds.size - 1):
        num = bounds[window]
        for at in range(linked.bounds[window], linked.bounds[window + 1]):
            first, end = _leaves_of(tables, linked, at)
            num += end - first
        bounds[window + 1] = num
    num = bounds[-1]
    return Leaves(
        bounds,
        np.empty(num, dtype=np.int32),
        np.empty(num, dtype=np.int16),
        np.full(num, NO_NAME, dtype=np.int16),
        np.empty(num, dtype=np.int16),
    )


@borrowing
def _leaves_of(tables: Tables, linked: Linked, at: int) -> tuple[int, int]:
    """Return the leaves that spell what a placed triple says."""
    key = linked.triples[at]
    name = tables.names[key.head if linked.places[at].is_reversed else key.tail]
    return name.first_leaf, name.end_leaf


@borrowing
def _fill_roots(tables: Tables, window: int, roots: Roots, start_id: int, end_id: int) -> None:
    this, at = tables.windows[window], roots.bounds[window]
    roots.ids[at] = start_id
    first_name_token = tables.names[this.name].first_token
    for token in range(first_name_token, first_name_token + this.num_name_tokens):
        at += 1
        roots.ids[at] = tables.name_tokens[token]
    for index in range(this.first_token, this.end_token):
        at, token = at + 1, tables.tokens[index]
        roots.ids[at], roots.starts[at], roots.ends[at] = token.id, token.start, token.end
    roots.ids[at + 1] = end_id


@borrowing
def _fill_leaves(tables: Tables, window: int, linked: Linked, leaves: Leaves) -> None:
    at, first_triple = leaves.bounds[window], linked.bounds[window]
    for triple in range(first_triple, linked.bounds[window + 1]):
        first, end = _leaves_of(tables, linked, triple)
        for leaf in range(first, end):
            leaves.ids[at] = tables.leaves[leaf].id
            leaves.roots[at] = linked.places[triple].root
            leaves.triples[at] = triple - first_triple
            at += 1


# Names


@borrowing
def _list_texts(tables: Tables, window: int, known: Known) -> int:
    """Give the texts of a window ids from 1, in the order of its roots; return their number."""
    this, num = tables.windows[window], 0
    if this.num_name_tokens:
        num = _list(known, window, this.name_text, num)
    for token in tables.tokens[this.first_token : this.end_token]:
        if token.first_word < token.end_word:
            num = _list(known, window, tables.words[token.first_word].text, num)
    for token in tables.tokens[this.first_token : this.end_token]:
        for word in range(token.first_word + 1, token.end_word):
            num = _list(known, window, tables.words[word].text, num)
    return num


@borrowing
def _list(known: Known, window: int, text: int, num: int) -> int:
    if known.windows[text] == window:
        return num
    known.windows[text] = window
    known.listed[num] = text
    known.ids[text] = num + 1
    return num + 1


@inner
def _join_root_names(tables: Tables, window: int, known: Known, num_listed: int) -> None:
    """Give one id to the words that share a token of the window."""
    this = tables.windows[window]
    for token in tables.tokens[this.first_token : this.end_token]:
        if token.end_word - token.first_word > 1:
            texts = np.empty(token.end_word - token.first_word, dtype=np.int32)
            for at in range(texts.size):
                texts[at] = tables.words[token.first_word + at].text
            _join(known, window, texts, num_listed)


@borrowing
def _join_leaf_names(
    tables: Tables, window: int, linked: Linked, known: Known, num_listed: int
) -> None:
    """Give one id to the words of the window that share a leaf."""
    for triple in range(linked.bounds[window], linked.bounds[window + 1]):
        first, end = _leaves_of(tables, linked, triple)
        for leaf in tables.leaves[first:end]:
            if leaf.end_word - leaf.first_word > 1:
                texts = tables.leaf_words[leaf.first_word : leaf.end_word]
                _join(known, window, texts, num_listed)


@borrowing
def _join(known: Known, window: int, texts: Array, num_listed: int) -> None:
    lowest = num_listed + 1
    for text in texts:
        if known.windows[text] == window:
            lowest = min(lowest, known.ids[text])
    for text in texts:
        if known.windows[text] == window and known.ids[text] != lowest:
            joined = known.ids[text]
            for at in range(num_listed):
                if known.ids[known.listed[at]] == joined:
                    known.ids[known.listed[at]] = lowest


@borrowing
def _name_roots(tables: Tables, window: int, known: Known, roots: Roots) -> None:
    this, at = tables.windows[window], roots.bounds[window]
    for _ in range(this.num_name_tokens):
        at += 1
        roots.names[at] = known.ids[this.name_text]
    for token in tables.tokens[this.first_token : this.end_token]:
        at += 1
        if token.first_word < token.end_word:
            roots.names[at] = known.ids[tables.words[token.first_word].text]


@borrowing
def _name_leaves(tables: Tables, window: int, linked: Linked, known: Known, leaves: Leaves) -> None:
    """Name each leaf after the first of its words that the window has."""
    at = leaves.bounds[window]
    for triple in range(linked.bounds[window], linked.bounds[window + 1]):
        first, end = _leaves_of(tables, linked, triple)
        for leaf in tables.leaves[first:end]:
            for word in range(leaf.first_word, leaf.end_word):
                text = tables.leaf_words[word]
                if known.windows[text] == window:
                    leaves.names[at] = known.ids[text]
                    break
            at += 1
