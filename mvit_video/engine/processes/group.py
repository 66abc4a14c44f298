"""The processes of a run, and what they tell each other.

Everything here goes over the CPU (gloo), whatever the model's gradients use, and is called by all processes
of the group or by none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar, cast

import torch
import torch.distributed as dist

T = TypeVar("T")

_PATIENCE = timedelta(days=30)

_patient: dist.ProcessGroup | None = None  # all processes, with that timeout


@dataclass(frozen=True)
class Group:
    """The processes that share the work of a run; by default this one alone.

    Attributes:
        rank: which of them this is, from 0.
        world_size: how many there are.
        local_rank: which of those on this node, from 0: the number of its GPU.
        local_world_size: how many are on this node.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes files and speaks."""
        return self.rank == 0

    def sum(self, values: Sequence[float]) -> list[float]:
        """The sums over all processes, in float64, in an order that does not depend on timing."""
        parts_WN = self.gather(list(values))
        return [sum(column) for column in zip(*parts_WN, strict=True)]

    def any(self, flag: bool) -> bool:
        """Whether it holds in any process."""
        return any(self.gather(flag))

    def gather(self, item: T, *, patiently: bool = False) -> list[T]:
        """What each process gave, by rank; what pickle can carry.

        Args:
            item: what this one gives.
            patiently: wait for the others for days, where some have far more to do than others, rather than
                DISTRIBUTED.TIMEOUT_SECONDS; one that dies meanwhile is noticed all the same.
        """
        if self.world_size == 1:
            return [item]
        items: list[T | None] = [None] * self.world_size
        dist.all_gather_object(items, item, group=_patient if patiently else None)
        return items  # type: ignore[return-value]

    def broadcast(self, item: T) -> T:
        """What rank 0 gave."""
        if self.world_size == 1:
            return item
        items = [item if self.is_main else None]
        dist.broadcast_object_list(items, src=0, device=torch.device("cpu"))
        return items[0]  # type: ignore[return-value]

    def barrier(self) -> None:
        """Wait for all processes."""
        self.gather(None)


ALONE = Group()


def learn_patience() -> None:
    """Make patient gathering possible; called by all processes when they have just met."""
    global _patient
    # No number, which is what processes outside the group get: all are in it.
    _patient = cast(dist.ProcessGroup, dist.new_group(backend="gloo", timeout=_PATIENCE))


def forget_patience() -> None:
    """The processes part."""
    global _patient
    _patient = None
