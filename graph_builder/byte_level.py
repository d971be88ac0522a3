"""Byte-level tokens: the words that text is cut into, and the bytes that a token stands for."""

from functools import lru_cache
from typing import Final

# A word is a whole identifier or number with the space before it, so that a name in the text and
# a name in a leaf are cut at the same places; punctuation and white space are words of their own.
WORDS: Final = (
    r" ?[\p{L}\p{M}\p{N}_]+| ?[^\s\p{L}\p{M}\p{N}_]+|\s+(?!\S)|\s+"  # in the order of preference
)
# The words of RoBERTa's tokenizer, as the library's `ByteLevel` cuts them.
ROBERTA_WORDS: Final = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def token_as_bytes(token: str) -> bytes:
    """Return the bytes that a token of the vocabulary stands for, one for each character."""
    by_character = _byte_of_character()
    return bytes([by_character[character] for character in token])


@lru_cache(maxsize=1)
def _byte_of_character() -> dict[str, int]:
    """Return the byte for each character of byte-level tokens: printable bytes are themselves."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    table = {chr(byte): byte for byte in printable}
    return table | {chr(256 + index): byte for index, byte in enumerate(others)}
