"""The training of one variant: from a start that all of its seed share, for so many updates.

A start is random weights or, with `base_updates`, a base: one model of code alone, trained first.
Models that learn from nothing differ by how soon each of them happens to; variants that go on from
one base differ by what they were given.
"""

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from graph_builder.whole_folder import whole_folder
from graphmert.data.batches import epoch_batches
from graphmert.data.packing import PackedRows
from graphmert.data.windows import WindowTable
from graphmert.evaluation.tuning import autocast
from graphmert.models.graphmert import GraphMERTModel
from graphmert.models.loading import load_model
from graphmert.study.data import StudyData, seen_by
from graphmert.study.settings import StudySettings
from graphmert.study.variants import FULL, NO_LEAVES, Variant
from graphmert.training.checkpoint import save_model
from graphmert.training.compilation import compile_model
from graphmert.training.console import say
from graphmert.training.passes import passes_of_updates
from graphmert.training.schedule import learning_rate
from graphmert.training.settings import TrainSettings
from graphmert.training.trainer import finite, seed_dropout
from graphmert.training.update import SummedLosses, make_optimizer, summed_token_loss, update

LOOK_EVERY = 50  # updates: how often the losses are fetched


def trained_model(
    data: StudyData,
    table: WindowTable,
    variant: Variant,
    seed: int,
    settings: StudySettings,
    bases_dir: Path | None = None,
) -> tuple[GraphMERTModel, dict[str, float]]:
    """Train one variant on the device of its table; return it, and its losses in the end.

    With `settings.base_updates` it goes on from the base of its seed, with the epochs after that
    one's. Raises NonFiniteLossError.
    """
    device, base, first_epoch = table.window_ids.device, None, 0
    if settings.base_updates:
        base = base_model(data, seed, settings, device, bases_dir)
        first_epoch = -(-settings.base_updates * settings.batch_size // table.num_windows)
    model = initial_model(data, table, variant, seed, settings, base)
    model.to(device)  # type: ignore[arg-type]  # transformers wraps it without its types
    training = settings.training(data, variant, seed)
    return model, train_for(model, table, training, settings.num_updates, first_epoch)


def base_model(
    data: StudyData,
    seed: int,
    settings: StudySettings,
    device: torch.device,
    bases_dir: Path | None = None,
) -> GraphMERTModel:
    """Return the full one's model of this seed after `base_updates` of code alone.

    One that `bases_dir` has is read, not trained; one that it has not is kept there.
    """
    alone = settings.of_base
    made_of = [data.digest, seed, alone.num_updates, alone.made_with(data, NO_LEAVES)]
    key = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()
    folder = None if bases_dir is None else bases_dir / key[:12]
    if folder is not None and folder.is_dir():
        say(f"goes on from {folder}")
        return load_model(folder)
    table = seen_by(NO_LEAVES, data.train.to(device), seed, data.tokenizer)
    model, _ = trained_model(data, table, NO_LEAVES, seed, alone)
    if folder is not None:
        with whole_folder(folder) as unfinished:
            save_model(model, model.state_dict(), unfinished)
    return model


def initial_model(
    data: StudyData,
    table: WindowTable,
    variant: Variant,
    seed: int,
    settings: StudySettings,
    base: GraphMERTModel | None = None,
) -> GraphMERTModel:
    """Return a model whose weights are those that the full one starts from, or those of `base`, as
    far as it has weights of the same name and shape.

    p is the base's where both have the same decay settings, else where the variant's own starts.
    """
    torch.manual_seed(seed)
    full = GraphMERTModel(settings.model(data, FULL))
    config = settings.model(data, variant)
    config.num_roots, config.leaves_per_root = astuple(table.layout)
    model = GraphMERTModel(config)
    source = full if base is None else base
    has_its_p = base is not None and _decay_of(base) == _decay_of(model)
    own = model.state_dict()
    shared = {
        name: weight
        for name, weight in source.state_dict().items()
        if name in own and own[name].shape == weight.shape
        if has_its_p or not name.endswith("decay.p")
    }
    model.load_state_dict(own | shared)
    return model


def _decay_of(model: GraphMERTModel) -> dict[str, Any]:
    """Return what a model's p depends on."""
    names = ("decay_form", "decay_initial_p", "decay_last_initial_p", "is_decay_learnable")
    return {name: getattr(model.config, name) for name in names}


def train_for(
    model: GraphMERTModel,
    table: WindowTable,
    settings: TrainSettings,
    num_updates: int,
    first_epoch: int = 0,
) -> dict[str, float]:
    """Train a model on its table's device; return the mean losses of the last updates."""
    is_gpu = model.device.type == "cuda"
    losses = SummedLosses(model, compile_model(model) if is_gpu else summed_token_loss)
    optimizer = make_optimizer(model, settings)
    model.train()
    sums = torch.zeros(5, dtype=torch.float64, device=model.device)
    last: list[float] = []
    start = time.perf_counter()
    for step, passes in enumerate(_endless_passes(model, table, settings, first_epoch)):
        if step % LOOK_EVERY == 0 or step == num_updates:
            if step:
                last = finite(sums.tolist(), step)
                pace = step * settings.windows_per_update / (time.perf_counter() - start)
                mlm, mnm = last[0] / max(last[1], 1), last[2] / max(last[3], 1)
                say(f"update {step}: mlm {mlm:.3f} mnm {mnm:.3f} {pace:,.0f} windows/s")
            sums.zero_()
        if step == num_updates:
            break
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(settings, step, num_updates)
        seed_dropout(settings.seed, step, rank=0)
        sums += update(losses, optimizer, passes, settings, autocast(model.device)).stacked()
    model.eval()
    return {"mlm": last[0] / max(last[1], 1.0), "mnm": last[2] / max(last[3], 1.0)}


def _endless_passes(
    model: GraphMERTModel, table: WindowTable, settings: TrainSettings, epoch: int
) -> Iterator[list[PackedRows]]:
    """Yield the passes of one update after another, one epoch after another."""
    # By the number of roots, which is the same for all variants, as their order has to be.
    num_roots: Tensor = table.root_offsets.diff()
    while True:
        batches = epoch_batches(
            num_roots,
            settings.windows_per_update,
            settings.seed,
            epoch,
            is_by_key=not table.window_ids.is_cuda,
        )
        yield from passes_of_updates(table, batches, epoch, settings, model.config.vocab_size)
        epoch += 1
