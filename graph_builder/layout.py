"""The chain-graph layout: how many roots and leaves a window has, and where each one sits.

Roots take positions 0 .. num_roots - 1; the leaves of root i take the next
`leaves_per_root` positions from `num_roots + leaves_per_root * i` on (DESIGN: the chain graph).
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Index = TypeVar("Index", int, np.ndarray)


@dataclass(frozen=True)
class ChainLayout:
    num_roots: int = 128  # tokens of a window, <s> and </s> included
    leaves_per_root: int = 7  # leaf slots that each root owns

    @property
    def num_leaves(self) -> int:
        return self.num_roots * self.leaves_per_root

    @property
    def num_nodes(self) -> int:
        return self.num_roots + self.num_leaves

    @property
    def max_distance(self) -> int:
        """Longest shortest path: between leaves of the first and of the last root."""
        return self.num_roots + 1

    def leaf_position(self, root: Index, slot: Index) -> Index:
        """Return the position (0 .. num_nodes - 1) of leaf `slot` of `root`; arrays do as well."""
        return self.num_roots + self.leaves_per_root * root + slot
