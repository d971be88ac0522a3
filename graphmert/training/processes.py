"""The processes that train one model together: who takes which windows, and how their sums meet.

torchrun, or `graphmert-train` itself (launch.py), starts them. All hold the same weights and read
the same data set; each goes over its share of every update's windows, and gradients are added up
over all of them. So an update is the same whatever their number, but for rounding and dropout.

Legend: W windows, P processes.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from graph_builder.errors import UserError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Processes:
    """One of several processes, or the only one."""

    rank: int = 0  # of this process; the first one speaks, logs and saves
    size: int = 1  # P
    hosts: dist.ProcessGroup | None = None  # all of them, over the hosts' memory, not the GPUs'

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """Return what this process takes of `items`: every P-th one."""
        return items[self.rank :: self.size]

    def share_windows(self, windows: Tensor, num_tokens: Tensor) -> Tensor:
        """Return which of an update's windows (indices) this process takes, perhaps none.

        `num_tokens` holds the length of every window of the table. Shares are alike in number and
        in tokens: the longest windows are dealt out in turn, forth and back.
        """
        if self.size == 1:
            return windows
        longest_first = windows[num_tokens[windows].argsort(descending=True, stable=True)]
        turns = torch.arange(len(windows)) % (2 * self.size)
        return longest_first[torch.minimum(turns, 2 * self.size - 1 - turns) == self.rank]

    def sum(self, values: Tensor) -> Tensor:
        """Return the sums of `values` over all processes, on the device."""
        if self.size > 1:
            values = values.clone()
            dist.all_reduce(values)
        return values

    def any(self, is_true: bool) -> bool:
        """Return whether it is true of any process; no GPU is waited for."""
        if self.hosts is None:
            return is_true
        flag = torch.tensor([is_true], dtype=torch.int32)
        dist.all_reduce(flag, dist.ReduceOp.MAX, group=self.hosts)
        return bool(flag)

    def gather(self, items: Sequence[Item]) -> list[Item]:
        """Return the items of all processes, in the order from which `share` dealt them."""
        if self.hosts is None:
            return list(items)
        of_all: list[Sequence[Item]] = [[]] * self.size
        dist.all_gather_object(of_all, items, group=self.hosts)
        longest = max(map(len, of_all))
        return [each[turn] for turn in range(longest) for each in of_all if turn < len(each)]

    def with_summed_gradients(self, module: nn.Module) -> nn.Module:
        """Return `module` so that a backward pass adds up gradients over all processes."""
        if self.size == 1:
            return module
        parallel = DistributedDataParallel(module, gradient_as_bucket_view=True)
        parallel.register_comm_hook(None, _sum_of_bucket)  # by itself it would take the mean
        return parallel


ALONE = Processes()


def held_back(module: nn.Module) -> AbstractContextManager[None]:
    """Keep the gradients of passes inside to this process; the next pass outside sends them."""
    if isinstance(module, DistributedDataParallel):
        return module.no_sync()
    return nullcontext()


def _sum_of_bucket(_: object, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:
    """Add up a bucket of gradients over all processes."""
    work = dist.all_reduce(bucket.buffer(), async_op=True)
    return work.get_future().then(lambda future: future.value()[0])


def num_started() -> int:
    """Return how many processes torchrun started together with this one, itself included."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Return whether this process is the first of those, also where they could not join."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def joined(is_on_gpu: bool) -> Iterator[Processes]:
    """Join the processes that were started together, until the end of the context.

    On GPUs each takes the one of its local rank. Raises UserError where there is none left.
    """
    if num_started() == 1:
        yield ALONE
        return
    device = _take_gpu(int(os.environ["LOCAL_RANK"])) if is_on_gpu else None
    dist.init_process_group("nccl" if is_on_gpu else "gloo", device_id=device)
    hosts = dist.new_group(backend="gloo") if is_on_gpu else dist.group.WORLD
    yield Processes(dist.get_rank(), dist.get_world_size(), hosts)
    dist.destroy_process_group()  # not after an error, when others may wait for this one


def _take_gpu(local_rank: int) -> torch.device:
    """Make a GPU the one that "cuda" means in this process."""
    num_here, num_gpus = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
    if num_here > num_gpus:
        raise UserError(f"{num_here} processes for {num_gpus} GPUs: start one for each GPU")
    device = torch.device("cuda", local_rank)
    torch.cuda.set_device(device)
    return device
