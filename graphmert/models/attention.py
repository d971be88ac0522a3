"""Attention within windows, lowered by distance: the plain reference path, and the choice of the
fused one (fused_attention.py) on a GPU.

Legend: B rows, N tokens of a row, H heads, S head size, C = H * S, D distances.
There is no dropout on attention weights, so that a fused kernel can take this path's place.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from graphmert.models.configuration import GraphMERTConfig
from graphmert.models.decay import DistanceDecay, chain_distances
from graphmert.models.inputs import GraphInputs
from graphmert.models.token_ranges import TokenRanges, token_ranges

try:
    from graphmert.models import fused_attention as fused
except ImportError:  # the CPU build of torch comes without triton
    fused = None  # type: ignore[assignment]


FARTHEST_JOINED = 2  # where roots are not joined: from a leaf over its root to another leaf


@dataclass(frozen=True)
class AttentionScope:
    """Which tokens of a row see each other and from how far; the same for all layers."""

    distances: Tensor  # (B, N, N) int64
    is_apart: Tensor  # (B, N, N) bool, True where the two do not see each other


def choose_scope(
    inputs: GraphInputs, hidden: Tensor, num_heads: int
) -> AttentionScope | TokenRanges:
    """Return what the layers' attention goes by: ranges where it is fused."""
    if fused is not None and fused.can_fuse(hidden, hidden.shape[-1] // num_heads):
        return token_ranges(inputs)
    return attention_scope(inputs)


def attention_scope(inputs: GraphInputs) -> AttentionScope:
    """Return who sees whom: tokens of one window; a token of no window only itself."""
    window = inputs.window_index
    own = -1 - torch.arange(window.shape[1], device=window.device)
    group = torch.where(window >= 0, window, own)  # (B, N); itself, so that no softmax is empty
    return AttentionScope(
        distances=chain_distances(inputs.root_index, inputs.leaf_slot),
        is_apart=group[:, :, None] != group[:, None, :],
    )


def decayed_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    decay: Tensor | None,
    scope: AttentionScope,
    is_added: bool = False,
) -> Tensor:
    """Return softmax(scores * decay(distance)) value over the visible tokens; or, with `is_added`,
    of scores + decay(distance), for a table of logarithms.

    `query`, `key`, `value` and the result are (H, B, N, S), heads first because the decay's table
    (H, D) is; decay None leaves the scores as they are.
    """
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)  # (H, B, N, N)
    if decay is not None:
        # One gather along a row of the table a head: its backward is a plain sum for each distance.
        where = scope.distances.view(1, -1).expand(decay.shape[0], -1)
        entries = decay.gather(1, where).view_as(scores).to(scores.dtype)
        scores = scores + entries if is_added else scores * entries
    scores = scores.masked_fill_(scope.is_apart, float("-inf"))
    return scores.softmax(dim=-1).to(value.dtype) @ value


class BranchOutput(nn.Linear):
    """The last product of a residual branch. Its weights start smaller by the root of the number
    of branches (Shoeybi et al. 2019): a deep post-norm encoder then bears a higher learning rate.
    """


class DecayAttention(nn.Module):
    """Multi-head attention with a decay of its own for each head."""

    def __init__(self, config: GraphMERTConfig) -> None:
        super().__init__()
        self.num_heads = config.num_attention_heads
        self.num_distances = config.num_distances
        self.is_added = config.decay_form == "added"
        self.query_key_value = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.output = BranchOutput(config.hidden_size, config.hidden_size)
        self.decay = (
            DistanceDecay(
                num_heads=self.num_heads,
                num_distances=self.num_distances,
                base=config.decay_base,
                initial_p=config.decay_initial_p,
                is_learnable=config.is_decay_learnable,
                last_initial_p=config.decay_last_initial_p,
                farthest=None if config.are_roots_joined else FARTHEST_JOINED,
            )
            if config.use_decay
            else None
        )

    def forward(self, hidden: Tensor, scope: AttentionScope | TokenRanges) -> Tensor:
        """Return what each token gathers, (B, N, C) from (B, N, C)."""
        B, N, C = hidden.shape
        packed = self.query_key_value(hidden).view(B, N, 3, self.num_heads, -1)
        if isinstance(scope, TokenRanges):
            return self.output(self._fused(packed.flatten(0, 1), scope).view(B, N, C))
        query, key, value = packed.permute(2, 3, 0, 1, 4)  # each (H, B, N, S)
        table = self._table()
        gathered = decayed_attention(query, key, value, table, scope, self.is_added)
        return self.output(gathered.permute(1, 2, 0, 3).reshape(B, N, C))

    def _fused(self, packed: Tensor, ranges: TokenRanges) -> Tensor:
        """Return (T, H, S) from (T, 3, H, S)."""
        table = self._table()
        if self.decay is None or table is None:
            ones = torch.ones(self.num_heads, self.num_distances, device=packed.device)
            return fused.fused_attention(packed, ones[:, 0], ones, torch.zeros_like(ones), ranges)
        slope = self.decay.log_slope() if self.is_added else self.decay.slope()
        return fused.fused_attention(packed, self.decay.p, table, slope, ranges, self.is_added)

    def _table(self) -> Tensor | None:
        """Return what meets the scores at each distance, (H, D)."""
        if self.decay is None:
            return None
        return self.decay.logarithm() if self.is_added else self.decay()
