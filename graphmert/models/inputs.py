"""What the encoder reads: real tokens of one or more windows in each row, and the graph's edges.

Legend: B rows, N tokens of a row, E edges of a row, K relations. All tensors are int64.
`graphmert.data.packing` builds these from ragged batches and dense.py from fixed-width tensors, so
both reach the model through one path.
"""

from dataclasses import dataclass, fields, replace
from typing import Any, Final

import torch
from torch import Tensor

ROOT: Final = 0
LEAF: Final = 1  # local
KNOWLEDGE_LEAF: Final = 2  # its evidence lies outside the window


@dataclass(frozen=True)
class EdgeRuns:
    """What the host knows of edges that stand sorted by relation, so that it need not ask."""

    lengths: tuple[int, ...]  # (K + 1,) edges of each relation; no edge is padding
    longest_head: int  # tokens


@dataclass(frozen=True)
class GraphInputs:
    """Tokens in rows, and edges that say which head feeds which leaf.

    Tokens of a window may stand anywhere in a row, but its roots are consecutive and in order,
    since an edge names its head's tokens as a run. All indices of edges count positions of the row.
    An edge of index -1 (`edge_leaf`) is padding. A leaf of a triple is one edge; a leaf may have
    several edges, whose terms add up.
    """

    input_ids: Tensor  # (B, N) token ids
    position_ids: Tensor  # (B, N) 0 .. num_nodes - 1: the position in the dense layout
    token_type_ids: Tensor  # (B, N) ROOT, LEAF or KNOWLEDGE_LEAF
    window_index: Tensor  # (B, N) which window of the row; -1 nothing here, or hidden
    root_index: Tensor  # (B, N) 0 .. num_roots - 1: a root's own index, a leaf's owner
    leaf_slot: Tensor  # (B, N) 0 .. leaves_per_root - 1; -1 for a root
    edge_leaf: Tensor  # (B, E) where the leaf stands in the row; -1 no edge
    edge_root: Tensor  # (B, E) where the root stands whose slot the leaf fills; -1 not here
    edge_head_start: Tensor  # (B, E) where the head mention's first token stands
    edge_head_length: Tensor  # (B, E) tokens of the head mention, >= 1
    edge_relation: Tensor  # (B, E) 0 .. K - 1; K = masked (present, but unknown)

    # Only for one row (B = 1) whose windows and edges stand in order, see data/updates.py: the
    # first token of each window, and N, int32; a last run of padding may stand as a window.
    window_starts: Tensor | None = None  # (windows + 1,)
    edge_runs: EdgeRuns | None = None

    def with_roots_apart(self, distance: int) -> "GraphInputs":
        """Return the same inputs with root indices `distance` apart, for distances alone."""
        if distance == 1:
            return self
        return replace(self, root_index=self.root_index * distance)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "GraphInputs":
        """Return the same inputs on `device`."""
        moved: dict[str, Any] = {
            field.name: value.to(device, non_blocking=non_blocking)
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        return replace(self, **moved)
