"""Facts as plain text: what the leaves say, written after the window's code as ordinary tokens.

It is what a model without a graph can be given: the same facts, each a line of its own, head first,
with neither leaf slots nor H-GAT. What masking hides of a leaf is hidden here, too.
Legend: W windows, R roots, F leaves, T triples of a batch, K relations, J tokens of the longest
word, E tokens of all lines.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from tokenizers import Tokenizer
from torch import Tensor

from graph_builder.layout import ChainLayout
from graph_builder.relations import RELATION_NAMES

if TYPE_CHECKING:  # windows.py holds the words, packing.py asks for the lines
    from graphmert.data.windows import RaggedBatch, WindowTable
    from graphmert.training.masking import MaskedBatch

NOTHING = -1  # past the end of a word


@dataclass(frozen=True)
class FactTokens:
    """The lines' tokens, window by window."""

    windows: Tensor  # (E,)
    ids: Tensor  # (E,)
    root_index: Tensor  # (E,) on from the window's last root


def write_facts(table: "WindowTable", tokenizer: Tokenizer) -> "WindowTable":
    """Return the table with its facts as text; of its positions, half become places for tokens.

    A line that finds no place is cut.
    """
    layout = ChainLayout(num_roots=table.layout.num_nodes // 2, leaves_per_root=1)
    return replace(table, layout=layout, fact_words=fact_words(tokenizer))


def fact_words(tokenizer: Tokenizer) -> Tensor:
    """Return (K + 2, J) token ids: each relation's name, a masked one's, and what opens a line."""
    texts = [f" {name.replace('_', ' ')}" for name in RELATION_NAMES]
    words = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    words.append(tokenizer.encode("<mask>", add_special_tokens=False).ids)
    words.append(tokenizer.encode("\n", add_special_tokens=False).ids)
    longest = max(map(len, words))
    return torch.tensor([word + [NOTHING] * (longest - len(word)) for word in words])


def fact_tokens(batch: "RaggedBatch", masked: "MaskedBatch") -> FactTokens:
    """Write a line for every triple that is to be seen: line start, head, relation, tail."""
    assert batch.fact_words is not None
    starts, lengths = _pieces(batch, masked, batch.fact_words)  # (T, 4)
    text = torch.cat([masked.root_input_ids, masked.leaf_input_ids, batch.fact_words.flatten()])
    flat_lengths = lengths.flatten()
    pieces = torch.repeat_interleave(flat_lengths)  # (E,)
    ranks = torch.arange(len(pieces), device=pieces.device)
    steps = ranks - (flat_lengths.cumsum(0) - flat_lengths)[pieces]
    windows = batch.triple_windows.repeat_interleave(starts.shape[1])[pieces]
    num_roots, num_written = (
        torch.bincount(each, minlength=batch.num_windows) for each in (batch.root_windows, windows)
    )
    root_index = ranks + (num_roots - num_written.cumsum(0) + num_written)[windows]
    has_place = root_index < batch.layout.num_roots
    ids = text[starts.flatten()[pieces] + steps]
    return FactTokens(windows[has_place], ids[has_place], root_index[has_place])


def _pieces(batch: "RaggedBatch", masked: "MaskedBatch", words: Tensor) -> tuple[Tensor, Tensor]:
    """Return where the four pieces of each line start and how long they are, (T, 4) each; they
    count the batch's roots, its leaves and then the words."""
    num_triples, num_roots = len(batch.triple_relations), len(batch.root_ids)
    num_leaves = torch.bincount(batch.leaf_triples, minlength=num_triples)
    places = torch.arange(len(batch.leaf_triples), device=num_leaves.device)
    first_leaf = torch.zeros_like(num_leaves).scatter_reduce(
        0, batch.leaf_triples, places, "amin", include_self=False
    )
    num_hidden = torch.bincount(batch.leaf_triples[masked.leaf_is_hidden], minlength=num_triples)
    is_seen = (num_leaves > 0) & (num_hidden == 0)

    word_lengths = (words != NOTHING).sum(dim=1)  # (K + 2,)
    first_word = num_roots + len(places)
    opening = torch.full_like(num_leaves, len(words) - 1)
    mention = (batch.triple_head_starts, batch.triple_head_lengths)
    leaves = (num_roots + first_leaf, num_leaves)
    one, other = (
        [torch.where(batch.triple_is_reversed, a, b) for a, b in zip(*pair, strict=True)]
        for pair in ((leaves, mention), (mention, leaves))
    )
    written = [
        (first_word + word * words.shape[1], word_lengths[word])
        for word in (opening, masked.relation_inputs)
    ]
    pieces = (written[0], one, written[1], other)
    starts, lengths = (torch.stack(each, dim=1) for each in zip(*pieces, strict=True))
    return starts, lengths * is_seen[:, None]
