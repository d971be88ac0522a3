"""Which tokens spell the same text, leading spaces aside.

A byte-level BPE has two tokens for most words, "Ġname" after a space and "name" elsewhere; to a
reader of the window they are the same word.
"""

import torch
from tokenizers import Tokenizer
from torch import Tensor

SPACE = "Ġ"  # how byte-level BPE writes the byte 0x20 in its vocabulary


def text_ids(tokenizer: Tokenizer) -> Tensor:
    """Return (V,) int64: for each token the smallest id of a token with the same text."""
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    first: dict[str, int] = {}
    ids = torch.arange(max(vocabulary.values()) + 1)
    for token, token_id in sorted(vocabulary.items(), key=lambda item: item[1]):
        ids[token_id] = first.setdefault(token.lstrip(SPACE), token_id)
    return ids
