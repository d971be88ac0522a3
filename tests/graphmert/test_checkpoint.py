"""Checkpoints are there whole or not at all, and only those that matter stay."""

import json
from pathlib import Path
from threading import Event

import pytest
import torch
from transformers import AutoModel

from graph_builder.errors import UserError
from graphmert.models.configuration import GraphMERTConfig
from graphmert.models.graphmert import GraphMERTModel
from graphmert.training import checkpoint as module
from graphmert.training.checkpoint import (
    BEST,
    LATEST,
    CheckpointTensors,
    Progress,
    checkpoint_tensors,
    load_checkpoint,
    point_link,
    remove_superseded,
    save_checkpoint,
)
from graphmert.training.checkpoint_writer import CheckpointWriter

IDENTITY = {"settings": {"seed": 1, "betas": (0.9, 0.98)}, "data_set": "abc"}


def trained_model(seed: int = 0) -> tuple[GraphMERTModel, torch.optim.AdamW]:
    torch.manual_seed(seed)
    model = GraphMERTModel(
        GraphMERTConfig(
            vocab_size=30,
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=8,
            num_roots=4,
            leaves_per_root=2,
        )
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    return model, optimizer


def save(folder: Path, step: int, seed: int = 0) -> Path:
    model, optimizer = trained_model(seed)
    return save_checkpoint(
        folder,
        model=model,
        tensors=checkpoint_tensors(model, optimizer),
        progress=Progress(step, 1, 2, 0.5, [1.0, 2.0]),
        identity=IDENTITY,
        tokenizer_path=folder,
    )


def test_a_checkpoint_gives_back_weights_moments_and_progress(tmp_path: Path) -> None:
    path = save(tmp_path, 7)
    model, optimizer = trained_model(seed=1)
    progress = load_checkpoint(path, model, optimizer, IDENTITY)
    assert progress == Progress(7, 1, 2, 0.5, [1.0, 2.0])
    expected, expected_optimizer = trained_model(seed=0)
    pairs = zip(model.named_parameters(), expected.parameters(), strict=True)
    for (name, parameter), wanted in pairs:
        assert torch.equal(parameter, wanted), name
        moments, wanted_moments = optimizer.state[parameter], expected_optimizer.state[wanted]
        assert moments.keys() == wanted_moments.keys()
        assert all(torch.equal(moments[key], wanted_moments[key]) for key in moments), name


def test_a_checkpoint_loads_by_the_usual_call_and_holds_no_pickle(tmp_path: Path) -> None:
    path = save(tmp_path, 7)
    model = AutoModel.from_pretrained(path)
    assert isinstance(model, GraphMERTModel)
    names = {file.suffix for file in path.iterdir()}
    assert names == {".json", ".safetensors"}


def test_latest_follows_the_last_save_and_its_link_is_relative(tmp_path: Path) -> None:
    save(tmp_path, 1)
    second = save(tmp_path, 2)
    assert (tmp_path / LATEST).resolve() == second
    assert not (tmp_path / LATEST).readlink().is_absolute()


def test_a_save_that_breaks_off_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = save(tmp_path, 1)

    def disk_is_full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(module, "save_file", disk_is_full)
    with pytest.raises(OSError, match="No space"):
        save(tmp_path, 2)
    assert (tmp_path / LATEST).resolve() == first
    assert [path.name for path in tmp_path.glob("step-*")] == [first.name]
    monkeypatch.undo()
    second = save(tmp_path, 2)
    assert (tmp_path / LATEST).resolve() == second
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        LATEST,
        "step-0000001",
        "step-0000002",
    ]


def test_a_checkpoint_that_is_saved_again_is_replaced(tmp_path: Path) -> None:
    save(tmp_path, 1)
    again = save(tmp_path, 1, seed=1)
    expected, _ = trained_model(seed=1)
    stored = AutoModel.from_pretrained(again).relation_head.weight
    assert torch.equal(stored, expected.relation_head.weight)
    assert sorted(path.name for path in tmp_path.iterdir()) == [LATEST, "step-0000001"]


def test_only_linked_and_periodic_checkpoints_stay(tmp_path: Path) -> None:
    for step in (5, 10, 15, 20, 25, 30):
        path = save(tmp_path, step)
        if step == 15:
            point_link(tmp_path, BEST, path)
        remove_superseded(tmp_path, keep_every=10)
    kept = sorted(int(path.name.removeprefix("step-")) for path in tmp_path.glob("step-*"))
    assert kept == [10, 15, 20, 30]


def test_what_is_written_is_what_was_there_when_it_was_submitted() -> None:
    """The writing waits until the tensors have moved on."""
    writer, has_moved, written = CheckpointWriter(), Event(), []
    tensors = CheckpointTensors({"weight": torch.ones(3)}, {"weight/step": torch.ones(())})

    def write(copies: CheckpointTensors) -> None:
        assert has_moved.wait(timeout=60)
        written.append({name: value.clone() for name, value in copies.weights.items()})
        written.append({name: value.clone() for name, value in copies.moments.items()})

    for value in (1.0, 2.0):
        has_moved.clear()
        tensors.weights["weight"].fill_(value)
        tensors.moments["weight/step"].fill_(value)
        writer.submit(tensors, write)
        tensors.weights["weight"].fill_(9.0)
        tensors.moments["weight/step"].fill_(9.0)
        has_moved.set()
        writer.wait()
    values = [float(value.mean()) for each in written for value in each.values()]
    assert values == [1.0, 1.0, 2.0, 2.0]


def test_what_goes_wrong_in_writing_is_raised_once_by_the_next_call() -> None:
    writer, nothing = CheckpointWriter(), CheckpointTensors({}, {})

    def fail(_: CheckpointTensors) -> None:
        raise OSError("No space left on device")

    writer.submit(nothing, fail)
    with pytest.raises(OSError, match="No space"):
        writer.submit(nothing, fail)
    writer.wait()


def test_another_identity_is_refused_by_name(tmp_path: Path) -> None:
    path = save(tmp_path, 7)
    other = {"settings": {"seed": 2, "betas": (0.9, 0.98)}, "data_set": "abc"}
    with pytest.raises(UserError, match=r"settings\.seed 1 there, 2 here") as refusal:
        load_checkpoint(path, *trained_model(), other)
    assert "betas" not in str(refusal.value)


@pytest.mark.parametrize("content", [{"nothing": 1}, [], {"progress": {}, "identity": []}])
@pytest.mark.parametrize("name", ["training_state.json", "optimizer.safetensors", "config.json"])
def test_a_damaged_checkpoint_is_refused(name: str, content: object, tmp_path: Path) -> None:
    path = save(tmp_path, 7)
    (path / name).write_bytes(json.dumps(content).encode())
    with pytest.raises(UserError, match="no checkpoint to resume from"):
        load_checkpoint(path, *trained_model(), IDENTITY)
