"""The champion is evaluated again: on the same sources, through its own tokenizer."""

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

import flows.register
from flows.child_process import CommandFailed
from flows.dataset_request import DatasetRequest
from flows.register import ValidationData, evaluate_champion
from graph_builder.dataset import open_dataset
from graph_builder.tokenizer import fingerprint, load_tokenizer, save_tokenizer, train_tokenizer
from graphmert.models.configuration import tiny
from graphmert.models.graphmert import GraphMERTModel
from graphmert.tracking.registry import Version

CHAMPION = Version("1", "run", {})


@pytest.fixture(scope="module")
def data(small_dataset: tuple[DatasetRequest, Path]) -> ValidationData:
    """A small data set with a tokenizer of its own."""
    request, path = small_dataset
    return ValidationData(path, request)


def champion_with(tokenizer: Tokenizer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the registry hold a model with random weights and this tokenizer."""
    torch.manual_seed(0)
    GraphMERTModel(tiny(vocab_size=tokenizer.get_vocab_size())).save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    monkeypatch.setattr(flows.register, "download_checkpoint", lambda version, into: folder)


def test_with_the_same_tokenizer_it_reads_the_data_set_itself(
    data: ValidationData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = open_dataset(data.path)
    champion_with(load_tokenizer(dataset.tokenizer_path), tmp_path / "model", monkeypatch)
    report = evaluate_champion(CHAMPION, data, tmp_path / "work", print)
    assert report.num_windows == dataset.manifest.num_windows("validation")
    assert not (tmp_path / "work" / "validation").exists()


def test_with_another_tokenizer_it_reads_the_same_sources_through_its_own(
    data: ValidationData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (data.path / "manifest.json").read_text()
    tokenizer = train_tokenizer([text], 350)
    champion_with(tokenizer, tmp_path / "model", monkeypatch)
    report = evaluate_champion(CHAMPION, data, tmp_path / "work", print)
    mine, given = open_dataset(tmp_path / "work" / "validation").manifest, open_dataset(data.path)
    assert mine.tokenizer.fingerprint == fingerprint(tokenizer)
    assert mine.tokenizer.fingerprint != given.manifest.tokenizer.fingerprint
    assert [each.content_sha256 for each in mine.sources] == [
        each.content_sha256 for each in given.manifest.sources if each.split != "train"
    ]
    assert report.num_windows == mine.num_windows("validation") > 0
    assert report.bits_per_byte > 0


def test_one_that_cannot_be_read_says_so_in_one_line(
    data: ValidationData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = load_tokenizer(open_dataset(data.path).tokenizer_path)
    champion_with(tokenizer, tmp_path / "model", monkeypatch)
    (tmp_path / "model" / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(CommandFailed) as caught:
        evaluate_champion(CHAMPION, data, tmp_path / "work", print)
    assert len(str(caught.value).splitlines()) == 1
