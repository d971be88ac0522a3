"""Training from a start or a checkpoint to the last epoch: read `train` from top to bottom.

Everything random is a function of (seed, step), (seed, epoch) or (seed, epoch, window), so a run
that was stopped and resumed goes on exactly as if it had not been. Several processes (processes.py)
all run this; the first one logs and saves.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from graphmert.data.batches import epoch_batches
from graphmert.data.dataset import TrainingData
from graphmert.data.packing import PackedRows
from graphmert.evaluation.evaluate import evaluate
from graphmert.evaluation.token_texts import text_ids
from graphmert.models.graphmert import GraphMERTModel
from graphmert.tracking.tracker import Tracker
from graphmert.training.checkpoint import (
    BEST,
    CheckpointTensors,
    Progress,
    checkpoint_tensors,
    point_link,
    remove_superseded,
    save_checkpoint,
)
from graphmert.training.checkpoint_writer import CheckpointWriter
from graphmert.training.console import EpochProgress, say
from graphmert.training.losses import combined_loss
from graphmert.training.passes import passes_of_updates
from graphmert.training.processes import ALONE, Processes
from graphmert.training.schedule import learning_rate
from graphmert.training.settings import RunSettings, TrainSettings
from graphmert.training.update import SummedLosses, TokenLoss, summed_token_loss, update

NUM_SUMS = 5  # fields of UpdateSums


class NonFiniteLossError(Exception):
    """The loss or the gradient is no longer a number: going on would only destroy the model."""


@dataclass
class TrainingRun:
    """All that a run holds; `progress` is the only part that it changes besides the model."""

    model: GraphMERTModel  # on its device
    optimizer: torch.optim.Optimizer
    data: TrainingData
    settings: TrainSettings
    where: RunSettings
    checkpoints: Path  # folder
    identity: dict[str, Any]  # what a resumed run must share, JSON values
    tracker: Tracker | None  # None in all processes but the first
    progress: Progress
    token_loss: TokenLoss = summed_token_loss  # or a compiled one
    processes: Processes = ALONE
    writer: CheckpointWriter = field(default_factory=CheckpointWriter)

    @property
    def updates_per_epoch(self) -> int:
        return math.ceil(self.data.train.num_windows / self.settings.windows_per_update)

    @cached_property
    def losses(self) -> nn.Module:
        """The model and its losses, gradients added up over all processes."""
        return self.processes.with_summed_gradients(SummedLosses(self.model, self.token_loss))

    @cached_property
    def text_ids(self) -> Tensor:
        """Which tokens spell the same text, (V,)."""
        return text_ids(self.data.tokenizer)

    def log(self, metrics: dict[str, float]) -> None:
        """Log metrics of the current step."""
        if self.tracker is not None:
            self.tracker.log_metrics(metrics, self.progress.step)

    def close(self) -> None:
        """Send off the metrics that are still under way."""
        if self.tracker is not None:
            self.tracker.close()

    def autocast(self) -> AbstractContextManager[None]:
        if not self.where.is_bf16:
            return nullcontext()
        return torch.autocast(torch.device(self.where.device).type, torch.bfloat16)


def train(run: TrainingRun, should_stop: Callable[[], bool]) -> bool:
    """Train to the end and return True; save and return False where told to stop before.

    Raises NonFiniteLossError; the checkpoints written until then stay.
    """
    try:
        return train_epochs(run, should_stop)
    finally:
        run.writer.wait()


def train_epochs(run: TrainingRun, should_stop: Callable[[], bool]) -> bool:
    """Do what is left of all epochs; return False where told to stop amid them."""
    progress = run.progress
    if progress.step == 0:
        validate(run)
    while progress.epoch < run.settings.num_epochs:
        if should_stop() or not train_epoch(run, should_stop):
            save(run)
            return False
        progress.epoch, progress.batch = progress.epoch + 1, 0
        score = validate(run)
        is_best = progress.best_score is None or score < progress.best_score
        if is_best:
            progress.best_score = score
        is_due = progress.epoch % run.where.checkpoint_every == 0
        if is_due or is_best or progress.epoch == run.settings.num_epochs:
            save(run, is_best)
    return True


def train_epoch(run: TrainingRun, should_stop: Callable[[], bool]) -> bool:
    """Do what is left of an epoch's updates; return False where told to stop amid them."""
    settings, progress = run.settings, run.progress
    num_steps = settings.num_epochs * run.updates_per_epoch
    batches = remaining_batches(run)
    logged_before = progress.sums if run.processes.is_first else []
    sums = torch.tensor(logged_before or [0.0] * NUM_SUMS, dtype=torch.float64)
    sums = sums.to(run.where.device)
    pace = Pace()
    num_batches = progress.batch + len(batches)
    bar = EpochProgress(f"epoch {progress.epoch + 1}", progress.batch, num_batches)
    run.model.train()
    for windows, passes in zip(batches, own_passes(run, batches), strict=True):
        rate = learning_rate(settings, progress.step, num_steps)
        for group in run.optimizer.param_groups:
            group["lr"] = rate
        seed_dropout(settings.seed, progress.step, run.processes.rank)
        sums += update(
            run.losses, run.optimizer, passes, settings, run.autocast(), run.processes
        ).stacked()
        pace.num_windows += len(windows)
        progress.step, progress.batch = progress.step + 1, progress.batch + 1
        is_last = progress.batch == num_batches
        if progress.step % run.where.log_every == 0 or is_last:
            bar.advance(progress.batch, log_updates(run, sums, rate, pace))
            sums.zero_()
        if should_stop() and not is_last:
            break
    bar.close()
    progress.sums = finite(run.processes.sum(sums).tolist(), progress.step)
    return progress.batch == num_batches


def remaining_batches(run: TrainingRun) -> list[Tensor]:
    """Return the windows of each update that is left of the epoch."""
    table = run.data.train
    batches = epoch_batches(
        table.num_tokens,
        run.settings.windows_per_update,
        run.settings.seed,
        run.progress.epoch,
        is_by_key=not table.window_ids.is_cuda,  # there windows share rows
    )
    return batches[run.progress.batch :]


def own_passes(run: TrainingRun, batches: Sequence[Tensor]) -> Iterator[Sequence[PackedRows]]:
    """Yield the passes of each update that fall to this process, at least one: where an update has
    fewer windows than there are processes, some go over a window without asking anything of it."""
    processes, num_tokens = run.processes, run.data.train.num_tokens.cpu()
    shares = [processes.share_windows(windows, num_tokens) for windows in batches]
    passes_of_shares = passes_of_updates(
        run.data.train,
        [share if len(share) else all[:1] for share, all in zip(shares, batches, strict=True)],
        run.progress.epoch,
        replace(run.settings, batch_size=math.ceil(run.settings.batch_size / processes.size)),
        run.model.config.vocab_size,
    )
    for share, passes in zip(shares, passes_of_shares, strict=True):
        yield passes if len(share) else [rows.without_labels() for rows in passes]


@dataclass
class Pace:
    """Windows since the last log line, and when that was."""

    num_windows: int = 0
    since_s: float = 0.0

    def __post_init__(self) -> None:
        self.since_s = time.perf_counter()

    def windows_per_s(self) -> float:
        """Return the pace since the last call, and start anew."""
        now = time.perf_counter()
        pace = self.num_windows / max(now - self.since_s, 1e-9)
        self.num_windows, self.since_s = 0, now
        return pace


def log_updates(run: TrainingRun, sums: Tensor, rate: float, pace: Pace) -> str:
    """Log means since the last log line; return them in short."""
    values = finite(run.processes.sum(sums).tolist(), run.progress.step)
    mlm_sum, num_mlm, mnm_sum, num_mnm, gradient_norm = values
    mlm_loss, mnm_loss = mlm_sum / max(num_mlm, 1.0), mnm_sum / max(num_mnm, 1.0)
    metrics = {
        "train/mlm_loss": mlm_loss,
        "train/mnm_loss": mnm_loss,
        "train/loss": combined_loss(mlm_loss, mnm_loss, run.settings.lambda_mlm),
        "train/learning_rate": rate,
        "train/gradient_norm": gradient_norm / num_updates_since_log(run),
        "train/windows_per_s": pace.windows_per_s(),
        "epoch": run.progress.epoch + run.progress.batch / run.updates_per_epoch,
    }
    run.log(metrics)
    return f"mlm {mlm_loss:.3f} mnm {mnm_loss:.3f} {metrics['train/windows_per_s']:.0f} windows/s"


def num_updates_since_log(run: TrainingRun) -> int:
    """Return how many updates a log line is about: one is due every `log_every` updates, and at
    the end of an epoch."""
    since_multiple = run.progress.step % run.where.log_every or run.where.log_every
    return min(since_multiple, run.progress.batch)


def validate(run: TrainingRun) -> float:
    """Log the validation report; return the weighted loss that the best checkpoint goes by."""
    is_gpu = run.model.device.type == "cuda"
    with run.autocast():
        report = evaluate(
            run.model,
            run.data.validation,
            run.settings.masks,
            batch_size=max(run.settings.batch_size, 256 if is_gpu else 0),
            device=run.where.device,
            text_ids=run.text_ids,
            processes=run.processes,
        )
    metrics = {f"validation/{name}": value for name, value in report.metrics().items()}
    score = combined_loss(report.mlm_loss, report.mnm_loss, run.settings.lambda_mlm)
    finite([score], run.progress.step)
    metrics |= {"validation/loss": score, "epoch": float(run.progress.epoch)}
    run.log(metrics)
    say(
        f"epoch {run.progress.epoch}: validation mlm {report.mlm_loss:.4f} "
        f"mnm {report.mnm_loss:.4f} relation accuracy {report.relations.every.accuracy:.4f} "
        f"bits/byte {report.bits_per_byte:.4f}"
    )
    return score


def save(run: TrainingRun, is_best: bool = False) -> None:
    """Write a checkpoint and drop those that nothing leads to any more, while training goes on.
    The first process does it."""
    if not run.processes.is_first:
        return
    progress = replace(run.progress)  # as it is now

    def write(tensors: CheckpointTensors) -> None:
        target = save_checkpoint(
            run.checkpoints,
            model=run.model,
            tensors=tensors,
            progress=progress,
            identity=run.identity,
            tokenizer_path=run.data.tokenizer_path,
        )
        if is_best:
            point_link(run.checkpoints, BEST, target)
        remove_superseded(run.checkpoints, run.where.checkpoint_every * run.updates_per_epoch)

    run.writer.submit(checkpoint_tensors(run.model, run.optimizer), write)


def seed_dropout(seed: int, step: int, rank: int) -> None:
    """Make the dropout of a step a function of (seed, step), another one for each process."""
    torch.manual_seed((seed * 1_000_003 + step + (rank << 48)) % 2**63)


def finite(values: list[float], step: int) -> list[float]:
    """Return `values`; raise NonFiniteLossError where one is not finite."""
    if not all(map(math.isfinite, values)):
        raise NonFiniteLossError(
            f"the loss or its gradient is not finite by update {step}: "
            "lower --learning_rate in a new run (graphmert-train --init_from goes on from a "
            "checkpoint's weights)"
        )
    return values
