"""Checkpoints: a folder that `GraphMERTModel.from_pretrained` loads and a run continues from.

A checkpoint is written under a temporary name and renamed, so that it is there whole or not at
all; `latest` and `best` are relative links beside the folders. Nothing in it is a pickle.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers.utils.logging import disable_progress_bar, enable_progress_bar

from graph_builder.errors import UserError
from graph_builder.whole_file import flush
from graphmert.models.configuration import GraphMERTConfig
from graphmert.models.graphmert import GraphMERTModel
from graphmert.models.loading import load_model

LATEST, BEST = "latest", "best"
STATE_FILE, OPTIMIZER_FILE = "training_state.json", "optimizer.safetensors"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt")


@dataclass
class Progress:
    """How far a run is. Random numbers are functions of the seed and of this, so need no state."""

    step: int = 0  # updates done
    epoch: int = 0  # epochs done
    batch: int = 0  # batches done of the epoch under way
    best_score: float | None = None  # lowest validation loss so far
    sums: list[float] = field(default_factory=list)  # losses and counts since the last log line


@dataclass(frozen=True)
class CheckpointTensors:
    """What of a model and its optimizer a checkpoint holds."""

    weights: Mapping[str, Tensor]  # by name; tied ones once
    moments: Mapping[str, Tensor]  # the optimizer's state, by name of the parameter and its own


def checkpoint_tensors(
    model: GraphMERTModel, optimizer: torch.optim.Optimizer
) -> CheckpointTensors:
    """Return the tensors themselves, not copies: the next update changes them."""
    return CheckpointTensors(
        weights={name: weight.detach() for name, weight in model.named_parameters()},
        moments={
            f"{name}/{key}": torch.as_tensor(value).contiguous()
            for name, parameter in model.named_parameters()
            for key, value in optimizer.state[parameter].items()
        },
    )


def save_checkpoint(
    folder: Path,
    *,
    model: GraphMERTModel,
    tensors: CheckpointTensors,
    progress: Progress,
    identity: Mapping[str, Any],
    tokenizer_path: Path,
) -> Path:
    """Write `folder`/step-N and point `latest` at it. Of `model` the configuration is read alone.
    `identity`: what a resumed run must share besides that (JSON values)."""
    target = folder / f"step-{progress.step:07d}"
    partial = folder / f".{target.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_model(model, tensors.weights, partial)
    save_file(dict(tensors.moments), partial / OPTIMIZER_FILE)
    for name in TOKENIZER_FILES:
        if (tokenizer_path / name).is_file():
            shutil.copyfile(tokenizer_path / name, partial / name)
    state = {"progress": asdict(progress), "identity": dict(identity)}
    (partial / STATE_FILE).write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")
    for path in partial.iterdir():
        flush(path)
    replaced = folder / f".{target.name}.replaced"
    shutil.rmtree(replaced, ignore_errors=True)
    if target.exists():  # of an earlier timeline, when a run was resumed from before it
        target.rename(replaced)  # at once, so that `latest` leads nowhere for an instant only
    partial.rename(target)
    flush(folder)
    shutil.rmtree(replaced, ignore_errors=True)
    point_link(folder, LATEST, target)
    return target


def load_checkpoint(
    checkpoint: Path,
    model: GraphMERTModel,
    optimizer: torch.optim.Optimizer,
    identity: Mapping[str, Any],
) -> Progress:
    """Put a checkpoint's weights and optimizer state in place and return how far it is.

    Raises UserError where it is no checkpoint, or where what it was made with differs from
    `identity`, and says what differs.
    """
    try:
        loaded = load_model(checkpoint)
        state = json.loads((checkpoint / STATE_FILE).read_text(encoding="utf-8"))
        progress = Progress(**state["progress"])
        found = state["identity"] | {"model": _architecture(loaded)}
        moments = load_file(checkpoint / OPTIMIZER_FILE)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{checkpoint}: no checkpoint to resume from ({reason})") from error
    wanted = json.loads(json.dumps(dict(identity) | {"model": _architecture(model)}))
    if differing := _differences(found, wanted):
        raise UserError(
            f"{checkpoint}: does not fit this run: {differing}: resume with the same settings, "
            "or start a new run with --init_from"
        )
    model.load_state_dict(loaded.state_dict())
    _load_optimizer(model, optimizer, moments)
    return progress


def point_link(folder: Path, name: str, target: Path) -> None:
    """Make the relative link `folder`/`name` lead to `target`, in one step."""
    temporary = folder / f".{name}.partial"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target.name)
    temporary.replace(folder / name)


def remove_superseded(folder: Path, keep_every: int) -> None:
    """Remove checkpoints that no link leads to, except those of every `keep_every` updates."""
    linked = {(folder / name).resolve() for name in (LATEST, BEST)}
    for checkpoint in folder.glob("step-*"):
        is_due = int(checkpoint.name.removeprefix("step-")) % keep_every == 0
        if checkpoint.resolve() not in linked and not is_due:
            shutil.rmtree(checkpoint)


def save_model(model: GraphMERTModel, weights: Mapping[str, Tensor], folder: Path) -> None:
    """Write config.json and model.safetensors, without a progress bar of their own."""
    disable_progress_bar()
    model.save_pretrained(folder, state_dict=dict(weights))
    enable_progress_bar()


def _load_optimizer(
    model: GraphMERTModel, optimizer: torch.optim.Optimizer, moments: Mapping[str, Tensor]
) -> None:
    parameters = dict(model.named_parameters())
    for key, value in moments.items():
        name, kind = key.rsplit("/", 1)
        optimizer.state[parameters[name]][kind] = value.to(parameters[name].device)


def _architecture(model: GraphMERTModel) -> dict[str, Any]:
    return {name: getattr(model.config, name) for name in GraphMERTConfig.__annotations__}


def _differences(found: Any, wanted: Any, name: str = "") -> str:
    """Return "name: found against wanted" for every value that differs in two JSON trees."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        parts = [
            _differences(found.get(key), wanted.get(key), f"{name}.{key}" if name else key)
            for key in sorted(found.keys() | wanted.keys())
        ]
        return "; ".join(part for part in parts if part)
    return "" if found == wanted else f"{name} {found!r} there, {wanted!r} here"
