"""Which blocks make their activations again in the backward pass: less memory for more time."""

import re

from mvit_video.models.architecture import Architecture, ArchitectureError

_SETTING = re.compile(r"all|stages:(?P<stages>\d+(,\d+)*)|every:(?P<every>[1-9]\d*)")


def checkpointed_blocks(architecture: Architecture, setting: str) -> frozenset[int]:
    """The blocks that a setting names.

    Args:
        architecture: Of the model.
        setting: "all"; "stages:1,2", the blocks of these stages, counted from 1, where a stage begins with
            the block that pools its queries; or "every:2", every second block, from block 0 on.

    Raises:
        ArchitectureError: When the setting is none of these, or names a stage that the model has not.
    """
    match = _SETTING.fullmatch(setting)
    if match is None:
        raise ArchitectureError(
            f'activation checkpointing: expected "all", "stages:1,2" or "every:2", got {setting!r}'
        )
    stages = stage_of_blocks(architecture)
    if match["stages"]:
        wanted = {int(number) for number in match["stages"].split(",")}
        if unknown := wanted.difference(stages):
            raise ArchitectureError(
                f"activation checkpointing: {setting!r} names stage {min(unknown)}, this model has "
                f"stages 1 to {stages[-1]}"
            )
        return frozenset(block for block, stage in enumerate(stages) if stage in wanted)
    return frozenset(range(0, len(stages), int(match["every"] or 1)))


def stage_of_blocks(architecture: Architecture) -> list[int]:
    """The stage of every block, from 1."""
    stages = []
    stage = 1
    for spec in architecture.block_specs():
        stage += spec.kernel_skip is not None and spec.index > 0
        stages.append(stage)
    return stages
