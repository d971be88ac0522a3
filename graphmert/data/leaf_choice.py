"""Which leaves a model is given: all of them, some, none, or somebody else's.

An ablation takes the same windows with other leaves, so that whatever differs comes from them.
Legend: W windows, F leaves, T triples, all windows of a table together.
"""

from dataclasses import replace
from enum import StrEnum

import torch
from torch import Tensor
from torch.nn import functional

from graphmert.data.counter_random import bits
from graphmert.data.windows import WindowTable


class LeafChoice(StrEnum):
    """Which of a window's leaves stay."""

    BOTH = "both"  # as the builder made them
    NONE = "none"
    LOCAL = "local"  # the window's own facts
    KNOWLEDGE = "knowledge"  # the repository's
    SHUFFLED = "shuffled"  # both, but each window has knowledge of other windows


def choose_leaves(table: WindowTable, choice: LeafChoice, seed: int) -> WindowTable:
    """Return the same windows with the chosen leaves; `seed` is for the shuffled ones.

    Roots are as they were, so masks of tokens are the same for every choice.
    """
    if choice is LeafChoice.BOTH:
        return table
    if choice is LeafChoice.SHUFFLED:
        exchanged = exchange_knowledge(table, seed)
        return keep_triples(exchanged, ~_is_repeated_knowledge(exchanged))
    is_knowledge = table.triple_is_knowledge
    kept = {
        LeafChoice.NONE: torch.zeros_like(is_knowledge),
        LeafChoice.LOCAL: ~is_knowledge,
        LeafChoice.KNOWLEDGE: is_knowledge,
    }
    return keep_triples(table, kept[choice])


def keep_triples(table: WindowTable, is_kept: Tensor) -> WindowTable:
    """Return the table with those of its triples (T,) alone, and their leaves."""
    owners = _triples_of_leaves(table)  # (F,)
    is_leaf_kept = is_kept[owners]
    triples_before = functional.pad(is_kept.long().cumsum(0), (1, 0))  # (T + 1,)
    leaves_before = functional.pad(is_leaf_kept.long().cumsum(0), (1, 0))  # (F + 1,)
    triple_offsets = triples_before[table.triple_offsets]
    places = triples_before[owners] - triple_offsets[_windows(table.leaf_offsets)]  # in the window
    return replace(
        table,
        leaf_offsets=leaves_before[table.leaf_offsets],
        leaf_ids=table.leaf_ids[is_leaf_kept],
        leaf_roots=table.leaf_roots[is_leaf_kept],
        leaf_names=table.leaf_names[is_leaf_kept],
        leaf_triples=places[is_leaf_kept].to(table.leaf_triples.dtype),
        triple_offsets=triple_offsets,
        triple_relations=table.triple_relations[is_kept],
        triple_head_starts=table.triple_head_starts[is_kept],
        triple_head_lengths=table.triple_head_lengths[is_kept],
        triple_is_reversed=table.triple_is_reversed[is_kept],
        triple_is_knowledge=table.triple_is_knowledge[is_kept],
    )


def exchange_knowledge(table: WindowTable, seed: int) -> WindowTable:
    """Give the places of each window's knowledge triples to those of another window.

    A place is the mention that a triple hangs on and the slots of its leaves; what moves there is a
    relation, its direction and what the leaves spell, from a place with as many leaves. So all
    counts stay. Facts of one window move to one other window, as far as its places allow. A fact
    stays where no other window has a place of its size.
    """
    owners = _triples_of_leaves(table)  # (F,)
    num_leaves = torch.bincount(owners, minlength=len(table.triple_relations))  # (T,)
    first_leaf = _first_leaves(owners, len(num_leaves))
    windows = _windows(table.triple_offsets)  # (T,)
    generator = torch.Generator().manual_seed(seed)
    ranks = torch.randperm(table.num_windows, generator=generator).to(windows.device)
    knowledge = table.triple_is_knowledge.nonzero().flatten()
    knowledge = knowledge[ranks[windows[knowledge]].argsort(stable=True)]

    relations, is_reversed = table.triple_relations.clone(), table.triple_is_reversed.clone()
    leaf_ids = table.leaf_ids.clone()
    for size in num_leaves[knowledge].unique().tolist():
        takers = knowledge[num_leaves[knowledge] == size]
        givers = takers.roll(_shift(windows[takers], generator))
        relations[takers] = table.triple_relations[givers]
        is_reversed[takers] = table.triple_is_reversed[givers]
        for step in range(size):
            leaf_ids[first_leaf[takers] + step] = table.leaf_ids[first_leaf[givers] + step]
    # Ids of names are a window's own. Those of knowledge decide on nothing: see masking.py.
    leaf_names = table.leaf_names.masked_fill(table.triple_is_knowledge[owners], -1)
    return replace(
        table,
        triple_relations=relations,
        triple_is_reversed=is_reversed,
        leaf_ids=leaf_ids,
        leaf_names=leaf_names,
    )


def _shift(windows: Tensor, generator: torch.Generator) -> int:
    """Return how far to turn triples, which stand window by window, so that none meets its own."""
    num_triples = len(windows)
    longest = int(torch.unique_consecutive(windows, return_counts=True)[1].max())
    if num_triples < 2 * longest:
        return num_triples // 2
    return int(torch.randint(longest, num_triples - longest + 1, (), generator=generator))


def _is_repeated_knowledge(table: WindowTable) -> Tensor:
    """Return for each triple (T,) whether its window says the same without it.

    An equal triple beside it would show what a masked relation was. A head is the same where its
    mention spells the same name.
    """
    windows, owners = _windows(table.triple_offsets), _triples_of_leaves(table)
    num_triples = len(windows)
    steps = torch.arange(len(owners), device=owners.device)
    steps = steps - _first_leaves(owners, num_triples)[owners]
    tails = torch.zeros(num_triples, dtype=torch.int64, device=windows.device)
    tails.index_add_(0, owners, bits(table.leaf_ids.long(), steps))
    keys = bits(tails, windows)
    last = table.triple_head_lengths.long() - 1
    for root in (table.triple_head_starts, table.triple_head_starts + last):
        place = root.long()
        name = table.root_names[table.root_offsets[windows] + place].long()
        keys = bits(keys, torch.where(name >= 0, name, -1 - place))
    keys = bits(keys, table.triple_relations.long() * 2 + table.triple_is_reversed)
    order = table.triple_is_knowledge.to(torch.int8).argsort(stable=True)  # local ones first
    order = order[keys[order].argsort(stable=True)]
    is_repeated = torch.zeros_like(table.triple_is_knowledge)
    is_repeated[order[1:]] = keys[order[1:]] == keys[order[:-1]]
    return is_repeated & table.triple_is_knowledge


def _windows(offsets: Tensor) -> Tensor:
    """Return the window of each element that `offsets` (W + 1,) counts."""
    return torch.repeat_interleave(offsets.diff())


def _triples_of_leaves(table: WindowTable) -> Tensor:
    """Return for each leaf (F,) its triple, counted over the whole table."""
    return table.leaf_triples.long() + table.triple_offsets[_windows(table.leaf_offsets)]


def _first_leaves(owners: Tensor, num_triples: int) -> Tensor:
    """Return where the leaves of each triple (T,) start: they are one run."""
    places = torch.arange(len(owners), device=owners.device)
    firsts = torch.full((num_triples,), len(owners), device=owners.device)
    return firsts.scatter_reduce(0, owners, places, "amin")
