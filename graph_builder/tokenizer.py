"""The tokenizer: byte-level BPE, and the encoding of one file with exact byte spans.

`train_tokenizer` makes one from the training sources; `load_tokenizer` reads it back, or any
byte-level tokenizer of RoBERTa's shape (CodeBERT's too). Every token stands for a known number of
UTF-8 bytes, so spans are a running sum and cover every byte of the file, in whatever way its
characters are cut.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from graph_builder.byte_level import WORDS, token_as_bytes
from graph_builder.errors import UserError
from graph_builder.fast_encoder import fast_encoder
from graph_builder.record import Int32
from graph_builder.source_text import SourceText

SPECIAL_TOKENS: Final = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
MIN_VOCAB_SIZE: Final = 256 + len(SPECIAL_TOKENS)
TOKENIZER_FILE: Final = "tokenizer.json"
CONFIG_FILE: Final = "tokenizer_config.json"


@dataclass(frozen=True)
class SpecialIds:
    """The ids of the special tokens: 0 to 4 in our own tokenizers, anything in others."""

    start: int
    pad: int
    end: int
    unknown: int
    mask: int


@dataclass(frozen=True)
class EncodedFile:
    """The tokens of a file with their byte spans: each starts where the one before ends."""

    ids: Int32  # (N,)
    starts: Int32  # (N,) byte offset in the file as it is; a byte order mark is before the first
    ends: Int32  # (N,)


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Train a byte-level BPE of at most `vocab_size` tokens, the special ones first."""
    if vocab_size < MIN_VOCAB_SIZE:
        raise UserError(f"a vocabulary of {vocab_size} tokens: take at least {MIN_VOCAB_SIZE}")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer=trainer)
    tokenizer.encode_special_tokens = True
    return tokenizer


def load_tokenizer(path: Path) -> Tokenizer:
    """Load `tokenizer.json`, or the folder of one, or of `vocab.json` and `merges.txt`.

    Raises UserError where there is none, or one that is not byte-level BPE of RoBERTa's shape.
    """
    tokenizer = _read_tokenizer(path)
    if isinstance(tokenizer.pre_tokenizer, pre_tokenizers.ByteLevel):
        tokenizer.pre_tokenizer.add_prefix_space = False  # it would add a byte to the file
    tokenizer.no_truncation()
    tokenizer.no_padding()
    # A source that spells "<mask>" in a string is encoded as that text.
    tokenizer.encode_special_tokens = True
    missing = [token for token in SPECIAL_TOKENS if tokenizer.token_to_id(token) is None]
    if missing:
        raise UserError(f"{path}: the tokenizer has no {' '.join(missing)}: take another")
    # Capitals, an accent of its own and a ligature: no normalizer may change them.
    sample = 'If é:\n\tx = "<mask>"  e\u0301ﬁ \r\n'
    if decode_bytes(tokenizer, _encode(tokenizer, [sample])[0]) != sample.encode():
        raise UserError(f"{path}: not a byte-level tokenizer that keeps every byte: take another")
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write a folder that `load_tokenizer` and `transformers.AutoTokenizer` load."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / TOKENIZER_FILE))
    names = ("bos_token", "pad_token", "eos_token", "unk_token", "mask_token")
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    config |= dict(zip(names, SPECIAL_TOKENS, strict=True))
    config |= {"cls_token": "<s>", "sep_token": "</s>"}
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def fingerprint(tokenizer: Tokenizer) -> str:
    """Return the sha256 (hex) of what decides ids: equal for a tokenizer saved and loaded."""
    state = json.loads(tokenizer.to_str())
    state = {key: state[key] for key in sorted(state) if key not in ("truncation", "padding")}
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def special_ids(tokenizer: Tokenizer) -> SpecialIds:
    vocabulary = tokenizer.get_vocab()
    return SpecialIds(*(vocabulary[token] for token in SPECIAL_TOKENS))


def encode(tokenizer: Tokenizer, source: SourceText) -> EncodedFile:
    """Encode a whole file, special tokens in it as ordinary text.

    In an encoding other than UTF-8 a token that ends inside a character may have an empty span:
    the character's bytes go to the token that ends it.
    """
    fast = fast_encoder(tokenizer)
    if fast is not None:
        ids = fast.encode(source.text)
    else:
        ids = np.array(_encode(tokenizer, [source.text])[0], dtype=np.int32)
    bounds = np.zeros(len(ids) + 1, dtype=np.int32)
    np.cumsum(token_bytes(tokenizer)[ids], out=bounds[1:])
    assert len(source.utf8) == bounds[-1]
    if source.utf8_shift is None:
        bounds = source.file_offsets(bounds.astype(np.int64)).astype(np.int32)
    elif source.utf8_shift:
        bounds += source.utf8_shift
    return EncodedFile(ids, bounds[:-1], bounds[1:])


def encode_names(tokenizer: Tokenizer, names: Sequence[str]) -> tuple[Int32, Int32]:
    """Encode each name as in the midst of a line, after a space.

    Returns the ids of all names, and where each name's begin, with the end (names + 1,). A line
    of many names is encoded in one go, since no word goes on over the space before a name.
    """
    fast, line = fast_encoder(tokenizer), "".join(f" {name}" for name in names)
    if fast is not None and line.isascii() and len(line.split()) == len(names):
        ids = fast.encode(line)
        ends = np.cumsum([len(name) + 1 for name in names])
        token_ends = np.cumsum(token_bytes(tokenizer)[ids])
        bounds = np.searchsorted(token_ends, ends) + 1
    else:
        each = _encode(tokenizer, [f" {name}" for name in names])
        ids = np.array([token_id for found in each for token_id in found], dtype=np.int32)
        bounds = np.cumsum([len(found) for found in each])
    return ids, np.concatenate([[0], bounds]).astype(np.int32)


def decode_bytes(tokenizer: Tokenizer, ids: Iterable[int]) -> bytes:
    """Return the bytes that `ids` stand for, special tokens as nothing."""
    special = set(SPECIAL_TOKENS)
    tokens = (tokenizer.id_to_token(int(token_id)) or "" for token_id in ids)
    return b"".join(token_as_bytes(token) for token in tokens if token not in special)


@lru_cache(maxsize=4)
def token_bytes(tokenizer: Tokenizer) -> np.ndarray:
    """Return the number of bytes of each token, by id (V,) int32: one for each character of it."""
    lengths = np.zeros(tokenizer.get_vocab_size(with_added_tokens=True), dtype=np.int32)
    for token, token_id in tokenizer.get_vocab().items():
        lengths[token_id] = len(token)
    return lengths


def _encode(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    return [encoding.ids for encoding in encodings]


def _read_tokenizer(path: Path) -> Tokenizer:
    file = path / TOKENIZER_FILE if path.is_dir() else path
    try:
        if not file.exists() and (path / "vocab.json").exists():
            return _from_vocabulary(path / "vocab.json", path / "merges.txt")
        return Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises plain Exception for whatever is wrong
        raise UserError(f"{path}: no tokenizer can be read here: {error}") from error


def _from_vocabulary(vocabulary: Path, merges: Path) -> Tokenizer:
    """Return RoBERTa's tokenizer from the two files that its oldest releases came with."""
    tokenizer = Tokenizer(models.BPE.from_file(str(vocabulary), str(merges)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    known = [token for token in SPECIAL_TOKENS if tokenizer.token_to_id(token) is not None]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in known])
    return tokenizer
