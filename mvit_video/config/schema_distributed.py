"""DISTRIBUTED: several processes that train or test together."""

from typing import Literal

from mvit_video.config.section import Positive, Section


class Distributed(Section):
    """DISTRIBUTED: how several processes share a run."""

    strategy: Literal["ddp", "fsdp"] = "ddp"
    """ddp: each process holds the whole model; fsdp: parameters, gradients and optimiser state are sharded
    over the processes, block by block (FSDP2)."""

    timeout_seconds: Positive = 600.0
    """A process that is not heard of for so long, or waits so long for the others, ends the run."""
