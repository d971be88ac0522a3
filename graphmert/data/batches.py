"""The order in which an epoch takes its examples: a function of (seed, epoch) alone."""

import torch
from torch import Tensor

BATCHES_PER_POOL = 64  # examples of so many batches are sorted by their keys together


def epoch_batches(
    keys: Tensor, batch_size: int, seed: int, epoch: int, is_by_key: bool = True
) -> list[Tensor]:
    """Return the indices of each batch's examples; every one is in exactly one batch.

    Examples are shuffled, then sorted by their keys (integers) inside pools of `BATCHES_PER_POOL`
    batches, so that those of a batch are alike: by length, windows have little padding. Then the
    batches are shuffled, the short last one too. Without `is_by_key` they stay as shuffled: where
    windows share a row there is no padding, and batches of about the same size are worth more.
    """
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)
    order = torch.randperm(len(keys), generator=generator)
    if not is_by_key:
        return list(order.split(batch_size)) if len(order) else []
    batches = [
        batch
        for pool in order.split(BATCHES_PER_POOL * batch_size)
        for batch in pool[keys.cpu()[pool].argsort(stable=True)].split(batch_size)
    ]
    shuffled = torch.randperm(len(batches), generator=generator)
    return [batches[index] for index in shuffled.tolist()]
