"""The name ids of roots and leaves, against a reference that decodes tokens and compares words."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_names import FileWords, file_words, window_names
from slow_spelling import Spellings
from tokenizers import Tokenizer, models, pre_tokenizers

from graph_builder.names import word_spans
from graph_builder.source_text import SourceText, decode_source
from graph_builder.tokenizer import (
    SPECIAL_TOKENS,
    EncodedFile,
    decode_bytes,
    encode,
    load_tokenizer,
)
from graph_builder.windows import Window


def slow_words(text: str) -> list[tuple[int, int]]:
    """Grow a word character by character; return the first byte of each, and one past the last."""
    spans, start, at = [], None, 0
    for character in text + " ":
        if f"a{character}".isidentifier():
            start = at if start is None else start
        elif start is not None:
            spans.append((start, at))
            start = None
        at += len(character.encode())
    return spans


def slow_root_words(source: SourceText, encoded: EncodedFile, token: int) -> set[str]:
    """Return the words of the file that have a byte in `token`."""
    start, end = encoded.starts[token], encoded.ends[token]
    shift = len(source.data) - len(source.utf8)
    return {
        source.utf8[first:last].decode()
        for first, last in slow_words(source.text)
        if shift + first < end and shift + last > start
    }


@pytest.fixture(scope="module")
def joining_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """A tokenizer whose tokens run over the bounds of words, as `a.b` in one token."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("a", "."), ("a.", "b"), ("b", "Ġ"), ("bĠ", "c"), (".", "b")]
    tokens = [*SPECIAL_TOKENS, *letters, *("".join(pair) for pair in merges)]
    model = models.BPE({token: i for i, token in enumerate(tokens)}, merges)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    path = tmp_path_factory.mktemp("joining") / "tokenizer.json"
    tokenizer.save(str(path))
    return load_tokenizer(path)


@settings(max_examples=300)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_words_are_maximal_runs_of_identifier_characters(text: str) -> None:
    assert list(zip(*(s.tolist() for s in word_spans(text)), strict=True)) == slow_words(text)


CODE = st.text(st.sampled_from("ab.c_ 1é€=\n"), min_size=1, max_size=40)
TAILS = st.lists(
    st.sampled_from(["a", "b", "a.b", "c", "bb", "b c", "a.b.c", "é", ".a"]), max_size=4
)


def check_names(tokenizer: Tokenizer, code: str, tails: list[str], synthetic: str) -> None:
    """Ids are equal exactly where words are, or are chained by tokens that they share."""
    source = decode_source(code.encode())
    encoded = encode(tokenizer, source)
    words: FileWords = file_words(source, encoded)
    first, end = len(encoded.ids) // 4, len(encoded.ids)
    window = Window(-1, first, end, 2)
    spelled = [w for tail in tails for w in Spellings(tokenizer).of(tail).words]
    root_names, leaf_names = window_names(words, window, synthetic, spelled)

    root_words = [slow_root_words(source, encoded, token) for token in range(first, end)]
    groups = [{synthetic}, *({word} for found in root_words for word in found)]
    for shared in [*root_words, *({*found} & set().union(*groups) for found in spelled)]:
        touched = [group for group in groups if group & shared]
        groups = [group for group in groups if not group & shared] + [set().union(*touched)]
    group_of = {word: index for index, group in enumerate(groups) for word in group}
    expected_roots = [
        *[None, group_of[synthetic], group_of[synthetic]],
        *(group_of[min(found)] if found else None for found in root_words),
        None,
    ]
    expected_leaves = [
        next((group_of[word] for word in found if word in group_of), None) for found in spelled
    ]
    assert len(root_names) == len(expected_roots)
    pairs = set(zip([*root_names, *leaf_names], [*expected_roots, *expected_leaves], strict=True))
    assert all((name == -1) == (expected is None) for name, expected in pairs)
    assert len(pairs) == len({name for name, _ in pairs}) == len({group for _, group in pairs})


@settings(max_examples=150)
@given(code=CODE, tails=TAILS)
def test_ids_equal_the_reference(tokenizer: Tokenizer, code: str, tails: list[str]) -> None:
    check_names(tokenizer, code, tails, "a")


@settings(max_examples=150)
@given(code=CODE, tails=TAILS)
def test_words_that_share_a_token_share_an_id(
    joining_tokenizer: Tokenizer, code: str, tails: list[str]
) -> None:
    check_names(joining_tokenizer, code, tails, "module")


def test_ids_on_real_code(tokenizer: Tokenizer, click_files: dict[str, SourceText]) -> None:
    text = click_files["click/globals.py"].text[:900]
    check_names(tokenizer, text, ["Context", "click.core", "get_current_context"], "globals")


def test_leaves_spell_their_names(tokenizer: Tokenizer) -> None:
    spellings = Spellings(tokenizer)
    for name in ["x", "os.path.join", ".core", "größe", "<mask>", "Callable[..., Any]"]:
        spelling = spellings.of(name)
        assert decode_bytes(tokenizer, spelling.ids).decode() == f" {name}"
        assert len(spelling.ids) == len(spelling.words)
        found = dict.fromkeys(word for words in spelling.words for word in words)
        assert list(found) == re.findall(r"\w+", name)


def test_the_first_word_of_a_file_with_a_byte_order_mark(tokenizer: Tokenizer) -> None:
    source = decode_source(b"\xef\xbb\xbfname = 1")
    words = file_words(source, encode(tokenizer, source))
    assert (words.starts[0], words.ends[0], words.first_tokens[0]) == (3, 7, 0)
    np.testing.assert_array_equal(words.positions["name"], [0])
