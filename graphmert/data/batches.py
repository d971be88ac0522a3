"""The order in which an epoch takes its windows: a function of (seed, epoch) alone."""

import torch
from torch import Tensor

BATCHES_PER_POOL = 64  # windows of so many batches are sorted by length together


def epoch_batches(
    num_tokens: Tensor, batch_size: int, seed: int, epoch: int, is_by_length: bool = True
) -> list[Tensor]:
    """Return the indices of each batch's windows; every window is in exactly one batch.

    Windows are shuffled, then sorted by length inside pools of `BATCHES_PER_POOL` batches, so that
    a batch holds windows of like length and little padding; then the batches are shuffled, the
    short last one too. Without `is_by_length` they stay as shuffled: where windows share a row
    there is no padding, and batches of about the same size are worth more.
    """
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)
    order = torch.randperm(len(num_tokens), generator=generator)
    if not is_by_length:
        return list(order.split(batch_size)) if len(order) else []
    batches = [
        batch
        for pool in order.split(BATCHES_PER_POOL * batch_size)
        for batch in pool[num_tokens.cpu()[pool].argsort(stable=True)].split(batch_size)
    ]
    shuffled = torch.randperm(len(batches), generator=generator)
    return [batches[index] for index in shuffled.tolist()]
