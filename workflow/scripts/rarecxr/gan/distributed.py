"""One training in several processes: which images each of them takes, and means over all.

Every process (rank) holds the same networks and images, draws the same random numbers and takes an
equal share of each minibatch. Gradients are averaged over the ranks, so that each step is, but for
rounding, what one process would do with the whole minibatch.
"""

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from rarecxr.core.tensors import from_bytes, to_bytes

# The first rank may be busy for long between two steps, with saving or measuring. That a process
# has died is noticed in another way (`rarecxr.gan.workers`).
_TIMEOUT = datetime.timedelta(days=7)


@dataclass(frozen=True)
class Rank:
    """One process of a training, and where it meets the others.

    Attributes:
        rendezvous: path of a file where the processes meet, the same for all of them, which does
            not exist before.
        group_size: images that the critic's minibatch standard deviation compares.
        rank: the process's number, from 0.
        world_size: number of processes.
    """

    rendezvous: str
    group_size: int
    rank: int
    world_size: int


class ProcessGroup:
    """The processes of one training, seen from one of them.

    With one process nothing is exchanged and no number changes.

    Args:
        group_size: images that the critic's minibatch standard deviation compares.
        rank: this process's number, from 0.
        world_size: number of processes.
    """

    def __init__(self, group_size: int, rank: int = 0, world_size: int = 1):
        self.group_size = group_size
        self.rank = rank
        self.world_size = world_size

    def shard(self, batch: Tensor) -> Tensor:
        """This rank's share of a minibatch, (N, …) -> (N / world_size, …).

        Images i, i + N/g, i + 2N/g, … make a group of the minibatch standard deviation. A share
        consists of whole groups and has the same layout, so that each score is what it would be
        in the whole minibatch.
        """
        if self.world_size == 1:
            return batch
        group = min(self.group_size, len(batch))
        shards = batch.unflatten(0, (group, -1)).tensor_split(self.world_size, dim=1)
        return shards[self.rank].flatten(0, 1)

    def all_reduce_mean(self, tensors: list[Tensor]) -> None:
        """Replace each tensor by its mean over the ranks, all in one exchange."""
        if self.world_size == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.world_size
        pieces = flat.split([tensor.numel() for tensor in tensors])
        means = [piece.view(tensor.shape) for piece, tensor in zip(pieces, tensors, strict=True)]
        torch._foreach_copy_(tensors, means)

    def all_gather(self, tensor: Tensor) -> Tensor:
        """The tensors (n, …) of all ranks, one after the other, without gradient.

        Returns:
            (n world_size, …).
        """
        if self.world_size == 1:
            return tensor.detach()
        parts = [torch.empty_like(tensor) for _ in range(self.world_size)]
        dist.all_gather(parts, tensor.detach().contiguous())
        return torch.cat(parts)

    def broadcast(self, content: Any = None) -> Any:
        """What the first rank gives as `content` (tensors and plain values), for every rank."""
        if self.rank == 0:
            payload = torch.frombuffer(bytearray(to_bytes(content)), dtype=torch.uint8)
            dist.broadcast(torch.tensor(len(payload)), 0)
            dist.broadcast(payload, 0)
            return content
        size = torch.tensor(0)
        dist.broadcast(size, 0)
        payload = torch.empty(int(size), dtype=torch.uint8)
        dist.broadcast(payload, 0)
        return from_bytes(payload.numpy().tobytes())


def connect(
    own: Rank,
    wait: Callable[[Callable[[int], bool]], None] = lambda is_present: None,
) -> ProcessGroup:
    """Connect this process with the others of its training; returns when all are connected.

    Args:
        own: this process's rank.
        wait: called before the ranks connect, which takes as long as the slowest, with a function
            that says whether a rank is present.
    """
    store = dist.FileStore(own.rendezvous, own.world_size)
    store.set(f"rank {own.rank}", "present")
    wait(lambda other: store.check([f"rank {other}"]))
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(
        backend, store=store, rank=own.rank, world_size=own.world_size, timeout=_TIMEOUT
    )
    return ProcessGroup(own.group_size, own.rank, own.world_size)
