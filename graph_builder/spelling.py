"""Spellings: names as the tokens that leaves hold, each with the words that it is a part of."""

from collections.abc import Iterable, Sequence

import numpy as np
from tokenizers import Tokenizer

from graph_builder.link_tables import LEAF, NAME, Array, columns
from graph_builder.names import overlaps, word_spans
from graph_builder.record import Int32
from graph_builder.text_numbers import TextNumbers, utf8_lengths
from graph_builder.tokenizer import encode_names, token_bytes


def spell_names(
    tokenizer: Tokenizer, names: Sequence[str], texts: TextNumbers, max_leaves: int
) -> dict[str, Array]:
    """Spell `names` as they would be in the midst of a line, after a space: the tables of names.

    Leaves spell a name, or as many of its last parts as fit in `max_leaves` tokens; where not even
    the last part fits, the start of it. `texts` numbers parts of names and words of leaves.
    """
    data = [name.encode() for name in names]
    token_ids, token_bounds = encode_names(tokenizer, names)
    is_long = np.diff(token_bounds) > max_leaves
    fitting = _fitting(tokenizer, names, is_long, max_leaves)
    leaf_ids, leaf_bounds = _leaf_ids(tokenizer, fitting, is_long, token_ids, token_bounds)
    word_texts, first_words, end_words = _leaf_words(tokenizer, fitting, leaf_ids, texts)
    bytes_, parts = _bounds(map(len, data)), _bounds(name.count(".") + 1 for name in names)
    name_table = columns(
        NAME,
        first_byte=bytes_[:-1],
        end_byte=bytes_[1:],
        first_part=parts[:-1],
        end_part=parts[1:],
        first_token=token_bounds[:-1],
        end_token=token_bounds[1:],
        first_leaf=leaf_bounds[:-1],
        end_leaf=np.minimum(leaf_bounds[1:], leaf_bounds[:-1] + max_leaves),
        loss=is_long.astype(np.int8) + (np.diff(leaf_bounds) > max_leaves),
    )
    return {
        "names": name_table,
        "name_bytes": np.frombuffer(b"".join(data), dtype=np.uint8),
        "parts": texts.of_texts([part for name in names for part in name.split(".")]),
        "name_tokens": token_ids,
        "leaves": columns(LEAF, id=leaf_ids, first_word=first_words, end_word=end_words),
        "leaf_words": word_texts,
    }


def _fitting(
    tokenizer: Tokenizer, names: Sequence[str], is_cut: np.ndarray, max_leaves: int
) -> list[str]:
    """Return the names, those that are too long without the parts that find no place."""
    fitting = list(names)
    long = np.flatnonzero(is_cut).tolist()
    while long:
        rests = {at: fitting[at].partition(".")[2] for at in long}
        shortened = [at for at in long if rests[at]]
        for at in shortened:
            fitting[at] = rests[at]
        _, bounds = encode_names(tokenizer, [fitting[at] for at in shortened])
        still = np.diff(bounds) > max_leaves
        long = [at for at, is_long in zip(shortened, still.tolist(), strict=True) if is_long]
    return fitting


def _leaf_ids(
    tokenizer: Tokenizer,
    names: Sequence[str],
    is_long: np.ndarray,
    token_ids: Int32,
    token_bounds: Int32,
) -> tuple[Int32, Int32]:
    """Return the tokens of all names from those that are known, but for those of long names."""
    other_ids, other_bounds = encode_names(
        tokenizer, [names[at] for at in np.flatnonzero(is_long).tolist()]
    )
    lengths, starts = np.diff(token_bounds), token_bounds[:-1].copy()
    lengths[is_long] = np.diff(other_bounds)
    starts[is_long] = len(token_ids) + other_bounds[:-1]
    bounds = _bounds(lengths)
    places = np.arange(bounds[-1]) + np.repeat(starts - bounds[:-1], lengths)
    return np.concatenate([token_ids, other_ids])[places], bounds


def _leaf_words(
    tokenizer: Tokenizer, names: Sequence[str], leaf_ids: Int32, texts: TextNumbers
) -> tuple[Int32, Int32, Int32]:
    """Return the texts of all words, and those that each leaf overlaps: first, and one past."""
    line = "".join(f" {name}" for name in names)
    starts, ends = word_spans(line)
    word_texts = texts.of_spans(line.encode(), starts, ends)
    # The space before a name that is one word belongs to the word, where it is a leaf of its own.
    bounds = np.cumsum([0, *(1 + length for length in utf8_lengths(names, line.isascii()))])
    at = np.searchsorted(bounds, starts, side="right") - 1
    is_name = (starts == bounds[at] + 1) & (ends == bounds[at + 1])
    leaf_ends = np.cumsum(token_bytes(tokenizer)[leaf_ids], dtype=np.int64)
    leaf_starts = leaf_ends - token_bytes(tokenizer)[leaf_ids]
    found = overlaps(starts - is_name, ends, leaf_starts, leaf_ends)
    return word_texts, found.first_words, found.end_words


def _bounds(lengths: Iterable[int]) -> Int32:
    return np.cumsum([0, *lengths], dtype=np.int32)
