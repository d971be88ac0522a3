"""Samples of variable misuse: functions in half of which one use of a variable says another one.

After Vasic et al. 2019. A variable is what a function window binds as a parameter or a local name;
its uses are the places where it is read, after the first that names it. In a swapped sample the
tokens of one use are those of another variable with as many tokens. What the builder knows of uses
was read from the sound code and would give the swap away, so `calls` and `flows_to` leaves are
hidden in all samples, swapped or not, knowledge too: the rest of the function may state the same.
What hangs on bindings and on other names stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer

from graph_builder.relations import RELATION_NAMES
from graphmert.data.counter_random import bits, window_keys
from graphmert.data.windows import WindowTable
from graphmert.evaluation.no_questions import NoQuestionsError
from graphmert.evaluation.window_text import (
    Name,
    WindowText,
    code_names,
    first_windows,
    in_drawn_order,
    spelled_bytes,
    window_text,
)

BINDING = tuple(RELATION_NAMES.index(name) for name in ("declares", "has_parameter"))
READ_FROM_USES = tuple(RELATION_NAMES.index(name) for name in ("calls", "flows_to"))
_DRAW = 120  # stream of random numbers, apart from those of masking
_MASK_62 = (1 << 62) - 1


@dataclass(frozen=True)
class MisuseSample:
    """One function window, as it is or with one use swapped. Roots count from the window's own."""

    window: int  # of the table
    uses: tuple[int, ...]  # first root of each use, the places where a swap may be
    swapped: int  # which of `uses` is swapped; -1 none
    swapped_roots: range  # empty where none is
    swapped_ids: tuple[int, ...]  # token ids that stand there
    mentions: tuple[int, ...]  # first root of every mention of a variable, the swapped one aside
    variables: tuple[int, ...]  # which variable each mention says, numbered by first mention
    answer: int  # the variable that the swapped use should say; -1 none
    said: int  # the variable that it says; -1 none


def make_samples(
    table: WindowTable, tokenizer: Tokenizer, num_samples: int = 2000, seed: int = 0
) -> list[MisuseSample]:
    """Draw samples of a split with all its leaves, one a window, about half of them swapped.

    Raises NoQuestionsError where no function has two variables that could be swapped.
    """
    table, spelled = table.to("cpu"), spelled_bytes(tokenizer)
    samples: list[MisuseSample] = []
    for window in in_drawn_order(table, first_windows(table), seed):
        sample = _sample(table, tokenizer, window, window_text(table, window, spelled), seed)
        if sample is not None:
            samples.append(sample)
        if len(samples) == num_samples:
            break
    if not samples:
        raise NoQuestionsError("no function of the split has two variables to swap")
    return samples


@dataclass(frozen=True)
class _Swap:
    use: int  # which of the uses
    name: bytes  # the variable that takes its place
    ids: tuple[int, ...]


def _sample(
    table: WindowTable, tokenizer: Tokenizer, window: int, text: WindowText, seed: int
) -> MisuseSample | None:
    mentions = _variable_mentions(table, window, text)
    uses = _uses(table, window, text, mentions)
    swaps = _possible_swaps(tokenizer, text, mentions, uses)
    if not swaps:
        return None
    key = window_keys(table.window_ids[window : window + 1], seed, _DRAW)
    coin, pick = (bits(key, torch.arange(2)) & _MASK_62).tolist()
    numbers = {name: at for at, name in enumerate(dict.fromkeys(each.text for each in mentions))}
    if coin % 2:
        starts, variables = _numbered(mentions, numbers)
        return MisuseSample(window, _starts(uses), -1, range(0), (), starts, variables, -1, -1)
    swap = swaps[pick % len(swaps)]
    swapped = uses[swap.use]
    starts, variables = _numbered([each for each in mentions if each is not swapped], numbers)
    return MisuseSample(
        window=window,
        uses=_starts(uses),
        swapped=swap.use,
        swapped_roots=swapped.roots,
        swapped_ids=swap.ids,
        mentions=starts,
        variables=variables,
        answer=numbers[swapped.text],
        said=numbers[swap.name],
    )


def _starts(names: Sequence[Name]) -> tuple[int, ...]:
    return tuple(name.roots.start for name in names)


def _numbered(
    names: Sequence[Name], numbers: dict[bytes, int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the first root and the number of each name."""
    return _starts(names), tuple(numbers[name.text] for name in names)


def _variable_mentions(table: WindowTable, window: int, text: WindowText) -> list[Name]:
    """Return where the window names its variables: no attribute, no keyword of a call."""
    bound = _bound_names(table, window)
    first_root = int(table.root_offsets[window])
    root_names = table.root_names[first_root : int(table.root_offsets[window + 1])].tolist()
    mentions: list[Name] = []
    seen: set[bytes] = set()
    for name in code_names(text):
        is_attribute = text.text[: name.start].rstrip().endswith(b".")
        if root_names[name.roots.start] not in bound or is_attribute:
            continue
        if name.text not in seen or not _is_bound_here(text, name):
            mentions.append(name)
            seen.add(name.text)
    return mentions


def _is_bound_here(text: WindowText, name: Name) -> bool:
    """Return whether `=` alone follows: a binding, or a keyword that only looks like the name."""
    after = text.text[name.end : name.end + 16].lstrip(b" ")
    return after.startswith((b"=", b":=")) and not after.startswith(b"==")


def _uses(
    table: WindowTable, window: int, text: WindowText, mentions: Sequence[Name]
) -> list[Name]:
    """Return the mentions where a variable is read: not the first of it, nor one that a leaf
    which stays hangs on."""
    firsts = {name.text: name for name in reversed(mentions)}
    taken = _roots_with_leaves(table, window)
    return [
        name
        for name in mentions
        if name is not firsts[name.text] and not taken.intersection(name.roots)
    ]


def _possible_swaps(
    tokenizer: Tokenizer, text: WindowText, mentions: Sequence[Name], uses: Sequence[Name]
) -> list[_Swap]:
    """Return every (use, other variable) whose tokens are as many."""
    variables = list(dict.fromkeys(name.text for name in mentions))
    spelled = {
        (name, space): tuple(
            tokenizer.encode((space + name).decode(errors="replace"), add_special_tokens=False).ids
        )
        for name in variables
        for space in (b"", b" ")
    }
    swaps = []
    for at, use in enumerate(uses):
        space = text.text[text.bounds[use.roots.start - text.first_root] : use.start]
        for name in variables:
            ids = spelled[name, space]
            if name != use.text and len(ids) == len(use.roots):
                swaps.append(_Swap(at, name, ids))
    return swaps


def _bound_names(table: WindowTable, window: int) -> set[int]:
    """Return the name ids (`root_names`) of what the window binds, by its own triples."""
    first_root = int(table.root_offsets[window])
    first_leaf, end_leaf = table.leaf_offsets[window : window + 2].tolist()
    leaf_names = table.leaf_names[first_leaf:end_leaf].tolist()
    owners = table.leaf_triples[first_leaf:end_leaf].tolist()
    names: set[int] = set()
    for at, triple in enumerate(_local_triples(table, window)):
        if triple is None or int(table.triple_relations[triple]) not in BINDING:
            continue
        if table.triple_is_reversed[triple]:  # it hangs on what is bound
            root = first_root + int(table.triple_head_starts[triple])
            names.add(int(table.root_names[root]))
        else:
            pairs = zip(leaf_names, owners, strict=True)
            names.update(name for name, owner in pairs if owner == at)
    return names - {-1}


def _local_triples(table: WindowTable, window: int) -> list[int | None]:
    """Return the window's triples, index into the table; None in place of knowledge."""
    first, end = table.triple_offsets[window : window + 2].tolist()
    return [None if table.triple_is_knowledge[at] else at for at in range(first, end)]


def _roots_with_leaves(table: WindowTable, window: int) -> set[int]:
    """Return the roots of every mention on which a leaf hangs that samples show."""
    first, end = table.triple_offsets[window : window + 2].tolist()
    roots: set[int] = set()
    for at in range(first, end):
        if int(table.triple_relations[at]) not in READ_FROM_USES:
            start = int(table.triple_head_starts[at])
            roots.update(range(start, start + int(table.triple_head_lengths[at])))
    return roots
