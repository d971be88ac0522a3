"""Fixtures of the model's tests: a tiny checkpoint, a report."""

from pathlib import Path

import click
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from graph_builder.dataset import open_dataset
from graph_builder.tokenizer import save_tokenizer, train_tokenizer
from graphmert.data.dataset import load_split
from graphmert.data.windows import WindowTable
from graphmert.evaluation.metrics import report_relations
from graphmert.evaluation.report import EvaluationReport
from graphmert.models.configuration import tiny
from graphmert.models.graphmert import GraphMERTModel
from graphmert.models.loading import load_model

# Tensors are small here: a second thread spends its time waiting, at the cost of a whole core.
torch.set_num_threads(1)


@pytest.fixture
def a_report() -> EvaluationReport:
    relations = report_relations(
        np.array([0, 1, 2, 2]), np.array([0, 2, 2, 1]), np.array([True, False, False, False])
    )
    return EvaluationReport(
        num_windows=3,
        num_masked_tokens=10,
        num_masked_bytes=40,
        mlm_loss=5.5,
        mlm_accuracy=0.25,
        bits_per_byte=2.0,
        mnm_loss=2.5,
        relations=relations,
        num_knowledge_only_tokens=2,
        knowledge_only_accuracy=0.5,
        baselines={"majority": relations},
    )


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """A small tokenizer of real code, trained on the installed click."""
    files = sorted(Path(click.__file__).parent.glob("*.py"))
    return train_tokenizer((file.read_text(encoding="utf-8") for file in files), 1000)


@pytest.fixture(scope="session")
def tiny_checkpoint(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model of the tiny preset, untrained, with its tokenizer."""
    folder = tmp_path_factory.mktemp("checkpoints") / "step-0000000"
    torch.manual_seed(0)
    GraphMERTModel(tiny(tokenizer.get_vocab_size())).save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    return folder


@pytest.fixture(scope="session")
def small_dataset(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of three small installed packages, with the tokenizer of `tiny_checkpoint`."""
    from graph_builder.build import build_dataset  # noqa: PLC0415
    from graph_builder.build_settings import BuildSettings  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("data") / "set"
    build_dataset(
        BuildSettings(
            output=folder,
            train=("installed:itsdangerous",),
            validation=("installed:blinker",),
            test=("installed:cycler",),
            tokenizer=tiny_checkpoint,
        )
    )
    return folder


@pytest.fixture(scope="session")
def tiny_model(tiny_checkpoint: Path) -> GraphMERTModel:
    """The model of `tiny_checkpoint`; tests leave it as it is."""
    return load_model(tiny_checkpoint)


@pytest.fixture(scope="session")
def train_windows(small_dataset: Path) -> WindowTable:
    return load_split(open_dataset(small_dataset), "train")


@pytest.fixture(scope="session")
def held_out_windows(small_dataset: Path) -> WindowTable:
    return load_split(open_dataset(small_dataset), "validation")
