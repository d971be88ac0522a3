"""Dropout that a GPU computes at the speed of its memory.

torch's own draws a Philox number for each element, whose ten rounds cost a fused kernel more than
reading and writing it (measured by benchmarks/train_throughput.py). Here one seed is
drawn from torch's generator, and an element is kept by a hash of (seed, its index).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HASH_BITS = 24
# The finalizer of MurmurHash3 (Appleby, public domain), as int32: multiplications wrap around.
MULTIPLIERS = (0x85EBCA6B - (1 << 32), 0xC2B2AE35 - (1 << 32))
SHIFTS = (16, 13, 16)


class Dropout(nn.Dropout):
    """nn.Dropout, but by a hash on a GPU."""

    def forward(self, input: Tensor) -> Tensor:
        """Return `input`; in training a share `p` of its elements is 0, the rest scaled up."""
        if not (self.training and self.p > 0.0 and input.is_cuda):
            return F.dropout(input, self.p, self.training)
        seed = torch.randint(0, 2**31 - 1, (1,), device=input.device, dtype=torch.int32)
        return hashed_dropout(input, self.p, seed)


def hashed_dropout(values: Tensor, p: float, seed: Tensor) -> Tensor:
    """Drop a share `p` of `values`, as a function of `seed` (1,) int32 and an element's index."""
    index = torch.arange(values.numel(), device=values.device, dtype=torch.int32)
    is_kept = (_hash(index ^ seed) & ((1 << HASH_BITS) - 1)) >= int(p * (1 << HASH_BITS))
    return values * (is_kept.view_as(values) * (1.0 / (1.0 - p))).to(values.dtype)


def _hash(values: Tensor) -> Tensor:
    for shift, multiplier in zip(SHIFTS, (*MULTIPLIERS, None), strict=True):
        values = values ^ ((values >> shift) & ((1 << (32 - shift)) - 1))  # a logical shift
        if multiplier is not None:
            values = values * multiplier
    return values
