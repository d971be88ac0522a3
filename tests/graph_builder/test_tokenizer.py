"""The tokenizer keeps every byte of a file, and special tokens in source are ordinary text."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import AutoTokenizer

from graph_builder.errors import UserError
from graph_builder.fast_encoder import fast_encoder
from graph_builder.merge_kernel import MAX_KEPT_WORDS
from graph_builder.source_text import SourceText, decode_source
from graph_builder.tokenizer import (
    SPECIAL_TOKENS,
    EncodedFile,
    decode_bytes,
    encode,
    encode_names,
    fingerprint,
    load_tokenizer,
    save_tokenizer,
    special_ids,
    train_tokenizer,
)

SOURCES = {
    "plain": b"def f(x):\n    return x\n",
    "carriage returns": b"def f(x):\r\n\treturn x\r\n",
    "byte order mark": b"\xef\xbb\xbfna\xc3\xafve = '\xe2\x82\xac \xf0\x9f\x90\x8d'\n",
    "latin-1": b"# coding: latin-1\nna\xefve = '\xe9\xe8'\n",
    "euc-jp": "# coding: euc-jp\n# 日本\nx = '語'\n".encode("euc-jp"),
    "specials": b'mask = "<mask>"  # <s></s><pad><unk>\n',
    "empty": b"",
    "one long line": b"x = [" + b"1, " * 5000 + b"]",
}


@pytest.fixture(scope="module")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return load_tokenizer(roberta_folder(tmp_path_factory.mktemp("roberta") / "new", is_old=False))


def check_bytes(tokenizer: Tokenizer, encoded: EncodedFile, source: SourceText) -> None:
    """The tokens spell the text, and their spans follow each other to the end of the file."""
    assert decode_bytes(tokenizer, encoded.ids) == source.utf8
    if len(encoded.ids):
        assert encoded.starts[0] == len(source.data) - len(source.utf8) or not source.is_utf8
        np.testing.assert_array_equal(encoded.starts[1:], encoded.ends[:-1])
        assert encoded.ends[-1] == len(source.data)
        assert (encoded.ends >= encoded.starts).all()


@pytest.mark.parametrize("data", SOURCES.values(), ids=SOURCES.keys())
def test_spans_cover_every_byte(tokenizer: Tokenizer, data: bytes) -> None:
    source = decode_source(data)
    encoded = encode(tokenizer, source)
    check_bytes(tokenizer, encoded, source)
    if source.is_utf8:
        for token_id, start, end in zip(*vars(encoded).values(), strict=True):
            assert decode_bytes(tokenizer, [token_id]) == data[start:end]


@settings(max_examples=80)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_any_text_is_kept(tokenizer: Tokenizer, text: str) -> None:
    source = decode_source(text.encode("utf-8"))
    check_bytes(tokenizer, encode(tokenizer, source), source)


LETTERS = st.sampled_from(
    "aZ_09 \t\n\r\f\x1c\x00.([<mask>é\u0301٣\x85\xa0\u2028€🐍"
) | st.characters(exclude_categories=["Cs"])


@settings(max_examples=300)
@given(st.lists(LETTERS))
def test_any_text_is_encoded_as_the_library_does(tokenizer: Tokenizer, letters: list[str]) -> None:
    text = "".join(letters)
    source = SourceText(text.encode(), text, text.encode(), "utf-8")
    expected = tokenizer.encode(text, add_special_tokens=False).ids
    assert encode(tokenizer, source).ids.tolist() == expected


PIECES = st.sampled_from(
    [
        "x",
        "name_1",
        "größe",
        "日本",
        " ",
        "  ",
        "\t",
        "\n",
        "\n\n",
        "\r\n",
        "\u2028",
        "é \n",
        ")",
        "'s",
    ]
)


@settings(max_examples=200)
@given(st.lists(PIECES, max_size=40), st.booleans())
def test_lines_with_other_characters_are_encoded_as_the_library_does(
    tokenizer: Tokenizer, roberta: Tokenizer, pieces: list[str], is_ours: bool
) -> None:
    text, chosen = "".join(pieces), tokenizer if is_ours else roberta
    source = SourceText(text.encode(), text, text.encode(), "utf-8")
    expected = chosen.encode(text, add_special_tokens=False).ids
    assert encode(chosen, source).ids.tolist() == expected


def test_long_runs_of_white_space_are_encoded_as_the_library_does(tokenizer: Tokenizer) -> None:
    for text in (" " * 300_000 + "x", "x\n" + " \n" * 150_000 + "x", "\n" * 255 + "x"):
        source = SourceText(text.encode(), text, text.encode(), "utf-8")
        expected = tokenizer.encode(text, add_special_tokens=False).ids
        assert encode(tokenizer, source).ids.tolist() == expected


def test_a_token_that_its_bytes_do_not_encode_to_is_never_made(tmp_path: Path) -> None:
    """`bc` is merged first, so that `ab` and `c` never meet, though `abc` is a token."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("b", "c"), ("a", "b"), ("ab", "c")]
    tokens = [*SPECIAL_TOKENS, *letters, *("".join(pair) for pair in merges)]
    odd = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    odd.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    odd.save(str(tmp_path / "tokenizer.json"))
    loaded = load_tokenizer(tmp_path)
    assert fast_encoder(loaded) is not None
    for text in ("abc", "xabcabc ab", "bcabc"):
        source = SourceText(text.encode(), text, text.encode(), "utf-8")
        assert encode(loaded, source).ids.tolist() == loaded.encode(text).ids


def test_words_that_find_no_room_are_encoded_as_the_others(tokenizer: Tokenizer) -> None:
    """More different words than are remembered, the first ones again at the end."""
    words = " ".join(f"x{number:x}" for number in range(MAX_KEPT_WORDS + 100))
    text = f"{words} {words[:2000]}"
    source = SourceText(text.encode(), text, text.encode(), "utf-8")
    expected = tokenizer.encode(text, add_special_tokens=False).ids
    assert encode(tokenizer, source).ids.tolist() == expected


def test_real_files_are_encoded_as_the_library_does(
    tokenizer: Tokenizer, click_files: dict[str, SourceText]
) -> None:
    for source in click_files.values():
        expected = tokenizer.encode(source.text, add_special_tokens=False).ids
        assert encode(tokenizer, source).ids.tolist() == expected


def test_special_tokens_in_source_are_ordinary_text(tokenizer: Tokenizer) -> None:
    encoded = encode(tokenizer, decode_source(SOURCES["specials"]))
    assert special_ids(tokenizer).__dict__ == dict(
        zip(("start", "pad", "end", "unknown", "mask"), range(5), strict=True)
    )
    assert not set(encoded.ids) & set(range(5))
    _, bounds = encode_names(tokenizer, list(SPECIAL_TOKENS))
    assert (np.diff(bounds) > 1).all()


def test_a_name_in_the_text_is_cut_as_in_a_leaf(tokenizer: Tokenizer) -> None:
    leaf = encode_names(tokenizer, ["invoke_subcommand"])[0].tolist()
    text = encode(tokenizer, decode_source(b"x = invoke_subcommand"))
    assert text.ids.tolist()[-len(leaf) :] == leaf


def test_saved_and_loaded_it_is_the_same(tokenizer: Tokenizer, tmp_path: Path) -> None:
    save_tokenizer(tokenizer, tmp_path)
    for path in (tmp_path, tmp_path / "tokenizer.json"):
        loaded = load_tokenizer(path)
        assert fingerprint(loaded) == fingerprint(tokenizer)
        source = decode_source(SOURCES["specials"])
        np.testing.assert_array_equal(encode(loaded, source).ids, encode(tokenizer, source).ids)
    transformers_own = AutoTokenizer.from_pretrained(tmp_path)
    assert transformers_own.mask_token_id == 4
    assert transformers_own("def f(x):")["input_ids"] == tokenizer.encode("def f(x):").ids


def test_training_again_gives_the_same_tokenizer() -> None:
    program = (
        "from pathlib import Path; import click\n"
        "from graph_builder.tokenizer import fingerprint, train_tokenizer\n"
        "files = sorted(Path(click.__file__).parent.glob('*.py'))\n"
        "print(fingerprint(train_tokenizer((f.read_text() for f in files), 600)))"
    )
    runs = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert len(runs[0].stdout) == 65
    assert runs[0].stdout == runs[1].stdout


def roberta_folder(folder: Path, *, is_old: bool) -> Path:
    """Write a folder of RoBERTa's shape: its word pattern, <mask> as the last id."""
    source = train_tokenizer(["def f(self): return self.value"] * 9, 300)
    trained = json.loads(source.to_str())["model"]
    tokens = [token for token in trained["vocab"] if token not in SPECIAL_TOKENS]
    vocab = {t: i for i, t in enumerate([*SPECIAL_TOKENS[:4], *tokens, "<mask>"])}
    merges = [" ".join(pair) for pair in trained["merges"]]
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps(vocab))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    if not is_old:
        load_tokenizer(folder).save(str(folder / "tokenizer.json"))
    return folder


@pytest.mark.parametrize("is_old", [False, True])
def test_a_folder_of_roberta_shape_loads(tmp_path: Path, is_old: bool) -> None:
    loaded = load_tokenizer(roberta_folder(tmp_path / "roberta", is_old=is_old))
    ids = special_ids(loaded)
    assert (ids.start, ids.pad, ids.end, ids.unknown) == (0, 1, 2, 3)
    assert ids.mask == loaded.get_vocab_size() - 1
    for data in SOURCES.values():
        check_bytes(loaded, encode(loaded, decode_source(data)), decode_source(data))
    assert ids.mask not in encode(loaded, decode_source(SOURCES["specials"])).ids


def test_what_cannot_serve_is_refused_in_one_line(tmp_path: Path, tokenizer: Tokenizer) -> None:
    words = tmp_path / "words.json"
    vocabulary = {token: token_id for token_id, token in enumerate(SPECIAL_TOKENS)}
    Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>")).save(str(words))
    nameless = tmp_path / "nameless.json"
    nameless.write_text(tokenizer.to_str().replace("<mask>", "[MASK]"))
    composing = tmp_path / "composing.json"
    changed = Tokenizer.from_str(tokenizer.to_str())
    changed.normalizer = normalizers.NFC()
    changed.save(str(composing))
    for path, reason in [
        (tmp_path / "nothing", "no tokenizer can be read"),
        (composing, "keeps every byte"),
        (words, "keeps every byte"),
        (nameless, "has no <mask>"),
    ]:
        with pytest.raises(UserError, match=reason) as refusal:
            load_tokenizer(path)
        assert "\n" not in str(refusal.value)
    with pytest.raises(UserError, match="at least 261"):
        train_tokenizer(["x"], 100)
