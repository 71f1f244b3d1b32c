"""One training in several processes: which images each of them takes, and means over all.

Every process (rank) holds the same networks and images, draws the same random numbers and takes an
equal share of each minibatch. Gradients are averaged over the ranks, so that each step is, but for
rounding, what one process would do with the whole minibatch.
"""

import datetime
import os
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from rarecxr.core.tensors import from_bytes, to_bytes

# The first rank may be busy for long between two steps, with saving or measuring. That a process
# has died is noticed otherwise.
_PATIENCE = datetime.timedelta(days=7)


class Ranks:
    """The processes of one training, seen from one of them.

    With one process nothing is exchanged and no number changes.

    Args:
        group_size: images that the critic's minibatch standard deviation compares.
        rank: this process's number, from 0.
        count: number of processes.
    """

    def __init__(self, group_size: int, rank: int = 0, count: int = 1):
        self.group_size = group_size
        self.rank = rank
        self.count = count

    def part(self, batch: Tensor) -> Tensor:
        """This rank's share of a minibatch, (N, …) -> (N / count, …).

        Images i, i + N/g, i + 2N/g, … make a group of the minibatch standard deviation. A share
        consists of whole groups and has the same layout, so that each score is what it would be
        in the whole minibatch.
        """
        if self.count == 1:
            return batch
        group = min(self.group_size, len(batch))
        shares = batch.unflatten(0, (group, -1)).tensor_split(self.count, dim=1)
        return shares[self.rank].flatten(0, 1)

    def average(self, tensors: list[Tensor]) -> None:
        """Replace each tensor by its mean over the ranks, all in one exchange."""
        if self.count == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.count
        pieces = flat.split([tensor.numel() for tensor in tensors])
        means = [piece.view(tensor.shape) for piece, tensor in zip(pieces, tensors, strict=True)]
        torch._foreach_copy_(tensors, means)

    def joined(self, tensor: Tensor) -> Tensor:
        """The tensors (n, …) of all ranks, one after the other, without gradient: (n count, …)."""
        if self.count == 1:
            return tensor.detach()
        parts = [torch.empty_like(tensor) for _ in range(self.count)]
        dist.all_gather(parts, tensor.detach().contiguous())
        return torch.cat(parts)

    def told(self, content: Any = None) -> Any:
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


def connected(
    meeting_place: str | os.PathLike,
    group_size: int,
    rank: int,
    count: int,
    wait: Callable[[Callable[[int], bool]], None] = lambda has_come: None,
) -> Ranks:
    """The ranks of a training, when all of them are there.

    Args:
        meeting_place: path of a file, the same for all, which is not there before.
        group_size: see `Ranks`.
        rank: this process's number, from 0.
        count: number of processes.
        wait: called before the ranks connect, which takes as long as the slowest, with a function
            that tells whether a rank has come.
    """
    store = dist.FileStore(str(meeting_place), count)
    store.set(f"rank {rank}", "has come")
    wait(lambda other: store.check([f"rank {other}"]))
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=_PATIENCE)
    return Ranks(group_size, rank, count)
