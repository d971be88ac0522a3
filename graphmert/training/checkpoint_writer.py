"""Write checkpoints while training goes on: a copy of the tensors first, then a thread's work.

Writing the CodeBERT size takes seconds (1.6 GB with the optimizer's moments), copying it from a GPU
into memory that is kept for it well below one.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from graphmert.training.checkpoint import CheckpointTensors


class CheckpointWriter:
    """One checkpoint is under way at a time; what goes wrong is raised by the next call."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._under_way: Future[None] | None = None
        self._copies: dict[str, Tensor] = {}

    def submit(
        self, tensors: CheckpointTensors, write: Callable[[CheckpointTensors], None]
    ) -> None:
        """Copy `tensors`, then call `write` with the copies, after this function has returned."""
        self.wait()
        copies = CheckpointTensors(
            weights=self._copied(tensors.weights, "weights"),
            moments=self._copied(tensors.moments, "moments"),
        )
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self._under_way = self._thread.submit(write, copies)

    def wait(self) -> None:
        """Return when nothing is under way any more."""
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            under_way.result()

    def _copied(self, tensors: Mapping[str, Tensor], kind: str) -> dict[str, Tensor]:
        copies = {}
        for name, tensor in tensors.items():
            copy = self._copies.get(f"{kind}/{name}")
            if copy is None:
                copy = torch.empty_like(tensor, device="cpu", pin_memory=tensor.is_cuda)
                self._copies[f"{kind}/{name}"] = copy
            copies[name] = copy.copy_(tensor, non_blocking=True)
        return copies
