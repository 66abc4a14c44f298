"""DISTRIBUTED: several processes that train or test together."""

from typing import Literal

from mvit_video.config.section import Positive, Section


class Distributed(Section):
    """DISTRIBUTED: how several processes share a run."""

    strategy: Literal["ddp", "fsdp"] = "ddp"
    """What each process holds: with ddp the whole model; with fsdp its shards of parameters, gradients and
    optimiser state, block by block (FSDP2)."""

    timeout_seconds: Positive = 600.0
    """A process that is not heard of for so long, or waits so long for the others, ends the run."""
