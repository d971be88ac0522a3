"""Runs of tokens that see nothing outside themselves: what the fused attention works on.

Legend: B rows of N tokens, T = B * N tokens, P ranges.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from graphmert.models.inputs import GraphInputs


@dataclass(frozen=True)
class TokenRanges:
    """Which tokens see each other, and where they stand in their chain graph."""

    starts: Tensor  # (P + 1,) int32, ascending; the ranges cover all T tokens
    groups: Tensor  # (T,) int32: tokens of a range see those of their own group; -1 nothing
    root_index: Tensor  # (T,) int16
    leaf_slot: Tensor  # (T,) int8, -1 for a root


def token_ranges(inputs: GraphInputs) -> TokenRanges:
    """Return the ranges that the inputs name, else each row as one range."""
    num_rows, row_length = inputs.window_index.shape
    starts = inputs.window_starts
    if starts is None:
        starts = torch.arange(num_rows + 1, device=inputs.window_index.device) * row_length
    return TokenRanges(
        starts=starts.int(),
        groups=inputs.window_index.reshape(-1).int(),
        root_index=inputs.root_index.reshape(-1).to(torch.int16),
        leaf_slot=inputs.leaf_slot.reshape(-1).to(torch.int8),
    )
