"""The decay of attention with distance in the chain graph, in closed form.

Legend: B rows, N tokens of a row, H heads, D distances.
The graph is fixed by the layout: root_i - root_{i+1}, root_i - each of its leaves, and neighbouring
leaves of a root. A distance is thus a function of two (root index, leaf slot) pairs, and
a decay one of H x D numbers.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def chain_distances(root_index: Tensor, leaf_slot: Tensor) -> Tensor:
    """Return the shortest path between every two tokens of a row, in edges.

    Args: (B, N) integers, `leaf_slot` -1 for a root. Returns (B, N, N) int64. For tokens of
    different windows the number means nothing.
    """
    is_leaf = (leaf_slot >= 0).to(root_index.dtype)  # (B, N)
    root_steps = (root_index[:, :, None] - root_index[:, None, :]).abs()  # (B, N, N)
    distances = root_steps + is_leaf[:, :, None] + is_leaf[:, None, :]
    # Leaves of one root: up to the root and down again is 2, a neighbour is 1, itself 0.
    slot_steps = (leaf_slot[:, :, None] - leaf_slot[:, None, :]).abs()
    are_siblings = (root_steps == 0) & (is_leaf[:, :, None] * is_leaf[:, None, :] == 1)
    return torch.where(are_siblings, slot_steps.clamp(max=2), distances).long()


class DistanceDecay(nn.Module):
    """lambda ** GELU(sqrt(d + 1) - p), with p for each head; 0 past `farthest`."""

    def __init__(
        self,
        num_heads: int,
        num_distances: int,
        base: float,
        initial_p: float,
        is_learnable: bool,
        farthest: int | None = None,
        last_initial_p: float | None = None,
    ) -> None:
        super().__init__()
        self.num_distances = num_distances
        self.num_reached = num_distances if farthest is None else farthest + 1
        self.base = base
        self.ends = initial_p, initial_p if last_initial_p is None else last_initial_p
        self.p = nn.Parameter(self.initial_p(num_heads), requires_grad=is_learnable)

    def initial_p(self, num_heads: int) -> Tensor:
        """Return the first p of each head (H,), in equal steps from the first head's to the last's.

        With p 1 a head sees what is near, with a large one far roots as well as near ones.
        """
        return torch.linspace(*self.ends, num_heads)

    def forward(self) -> Tensor:
        """Return the decay at each distance, (H, D), float32 or wider."""
        decay = self.base ** F.gelu(self._exponents())
        return F.pad(decay, (0, self.num_distances - self.num_reached))

    def logarithm(self) -> Tensor:
        """Return ln of the decay at each distance, (H, D); where all distances are reached."""
        return math.log(self.base) * F.gelu(self._exponents())

    @torch.no_grad()
    def slope(self) -> Tensor:
        """Return the decay's derivative by its head's p at each distance, (H, D)."""
        padding = (0, self.num_distances - self.num_reached)
        return self.forward() * F.pad(self.log_slope(), padding)

    @torch.no_grad()
    def log_slope(self) -> Tensor:
        """Return the derivative of the decay's logarithm likewise, where distances are reached."""
        exponents = self._exponents()
        density = (-0.5 * exponents.square()).exp() * (2 * math.pi) ** -0.5
        return -math.log(self.base) * (torch.special.ndtr(exponents) + exponents * density)

    def _exponents(self) -> Tensor:
        """Return sqrt(d + 1) - p at the distances that are reached."""
        steps = torch.arange(1, self.num_reached + 1, device=self.p.device, dtype=self.p.dtype)
        return steps.sqrt() - self.p[:, None]
