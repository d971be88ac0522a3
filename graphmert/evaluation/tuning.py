"""A short fine-tune for one task: a copy of the model, some hundred updates, the same for all.

Legend: W windows, B rows of N tokens, C hidden size. What an update is made of is the task's own
affair; the order, the schedule and the clipping are here, so that variants differ by their weights
alone.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from graphmert.data.batches import epoch_batches
from graphmert.models.graphmert import GraphMERTModel
from graphmert.training.settings import check_positive

MAX_GRADIENT_NORM = 1.0


@dataclass(frozen=True)
class TuneSettings:
    """How long and how fast; the same for every model that is to be compared."""

    num_updates: int = 300
    batch_size: int = 64  # examples of an update
    learning_rate: float = 1e-4  # highest; a tenth of the updates warm up, then linear to 0
    seed: int = 0  # of the order of examples, of a new head's weights and of dropout

    def __post_init__(self) -> None:
        for name in ("num_updates", "batch_size", "learning_rate"):
            check_positive(name, getattr(self, name))

    def rate(self, step: int) -> float:
        """Return the learning rate of update `step` (0-based)."""
        num_warmup = max(1, self.num_updates // 10)
        rise = (step + 1) / num_warmup
        fall = (self.num_updates - step) / max(1, self.num_updates - num_warmup)
        return self.learning_rate * min(1.0, rise, fall)


def copy_model(model: GraphMERTModel) -> GraphMERTModel:
    """Return a model of its own with the same weights, on the same device.

    Not `copy.deepcopy`: compiled parts of a model hold on to the weights that they were made with.
    """
    with torch.random.fork_rng([]):  # its first weights are drawn on the CPU, and not kept
        copied = GraphMERTModel(model.config)  # type: ignore[arg-type]  # declared too wide
    copied.load_state_dict(model.state_dict())
    copied.to(model.device)  # type: ignore[arg-type]  # transformers wraps it without its types
    return copied


def tune(
    modules: Sequence[nn.Module],
    num_examples: int,
    loss_of: Callable[[Tensor], Tensor],
    settings: TuneSettings,
    keys: Tensor | None = None,
) -> None:
    """Train `modules` in place; `loss_of` gives the mean loss of the examples of these indices.

    Examples come in a shuffled order, over and over; with `keys` (examples,), integers, a batch
    holds examples of like key. The modules end in evaluation mode.
    """
    parameters = [each for module in modules for each in module.parameters()]
    device = parameters[0].device
    optimizer = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=0.01)
    for module in modules:
        module.train()
    with own_randomness(device):
        batches = _endless_batches(num_examples, settings, keys)
        for step, chosen in zip(range(settings.num_updates), batches, strict=False):
            torch.manual_seed((settings.seed * 1_000_003 + step) % 2**63)
            for group in optimizer.param_groups:
                group["lr"] = settings.rate(step)
            with autocast(device):
                loss = loss_of(chosen)
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, MAX_GRADIENT_NORM)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    for module in modules:
        module.eval()


def own_randomness(device: torch.device) -> AbstractContextManager[None]:
    """Put torch's generators back afterwards: the CPU's, and that of the device."""
    return torch.random.fork_rng([device] if device.type == "cuda" else [])


def autocast(device: torch.device) -> AbstractContextManager[None]:
    """Return bf16 autocast on a GPU, nothing elsewhere."""
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()


@contextmanager
def asking(model: GraphMERTModel) -> Iterator[None]:
    """Put a model in evaluation mode, without gradients, in a GPU's precision; put it back."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), autocast(model.device):
            yield
    finally:
        model.train(was_training)


def _endless_batches(
    num_examples: int, settings: TuneSettings, keys: Tensor | None
) -> Iterator[Tensor]:
    is_by_key = keys is not None
    if keys is None:
        keys = torch.zeros(num_examples, dtype=torch.int64)
    epoch = 0
    while True:
        yield from epoch_batches(keys, settings.batch_size, settings.seed, epoch, is_by_key)
        epoch += 1
