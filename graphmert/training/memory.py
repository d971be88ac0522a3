"""What to say when a GPU's memory was too small: the batch size that fits, found by trying."""

from dataclasses import replace

import torch
from torch import nn

from graph_builder.errors import UserError
from graphmert.training.passes import passes_of_updates
from graphmert.training.processes import ALONE
from graphmert.training.settings import TrainSettings
from graphmert.training.trainer import TrainingRun
from graphmert.training.update import SummedLosses, update

PRECISION = 16  # the answer is at most 1/16 below what would fit


class OutOfMemoryError(UserError):
    """This process's GPU was too small, whatever the others say."""


def out_of_memory_line(run: TrainingRun) -> str:
    """Return one line that says which batch size fits, after real updates of the longest windows.

    Nothing of the run goes on after it: its weights have moved, and nothing is saved.
    """
    asked, num_processes = run.settings.batch_size, run.processes.size
    own_share = -(-asked // num_processes)
    fitting = num_processes * largest_fitting_batch(run, own_share)
    start = f"out of memory on {run.where.device} with --batch_size {asked}"
    if not fitting:
        return f"{start}: not even one window fits: choose a smaller --preset"
    whole = run.settings.windows_per_update
    batch_size = max(size for size in range(1, fitting + 1) if whole % size == 0)
    return (
        f"{start}: {fitting} windows fit (tried with the longest ones): --batch_size {batch_size} "
        f"--gradient_accumulation {whole // batch_size} makes the same updates"
    )


def largest_fitting_batch(run: TrainingRun, too_many: int) -> int:
    """Return how many windows a forward pass of this process can take, fewer than `too_many`."""
    losses = SummedLosses(run.model, run.token_loss)
    fitting = 0
    while too_many - fitting > max(1, fitting // PRECISION):
        middle = (fitting + too_many) // 2
        if fits(run, losses, middle):
            fitting = middle
        else:
            too_many = middle
    return fitting


def fits(run: TrainingRun, losses: nn.Module, num_windows: int) -> bool:
    """Tell whether an update of the `num_windows` longest windows fits in memory."""
    run.optimizer.zero_grad(set_to_none=True)
    torch.cuda.empty_cache()
    try:
        _update_on_longest(run, losses, replace(run.settings, batch_size=num_windows))
    except torch.OutOfMemoryError:
        return False
    return True


def _update_on_longest(run: TrainingRun, losses: nn.Module, settings: TrainSettings) -> None:
    table = run.data.train
    longest = table.num_tokens.cpu().argsort(descending=True)[: settings.batch_size]
    (passes,) = passes_of_updates(
        table, [longest], run.progress.epoch, settings, run.model.config.vocab_size
    )
    update(losses, run.optimizer, passes, settings, run.autocast(), ALONE)
