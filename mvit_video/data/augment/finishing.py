"""What is left of the recipe once clips are on the device: normalised, erased, mixed, in whole batches.

Axes: B batch, C = 3 colours, T frames, S crop size.
"""

from collections.abc import Sequence

import torch

from mvit_video.data.augment.erasing import Erasure
from mvit_video.data.augment.mixing import Mix, check_groups
from mvit_video.data.augment.normalising import normalise


def finish_batch(
    clips_uint8: torch.Tensor,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    erasures: Sequence[Erasure | None] = (),
    mixes: Sequence[Mix] = (),
    group_size: int = 1,
) -> torch.Tensor:
    """Normalised, erased and mixed clips, on the device that they are on: float32 (B, 3, T, S, S).

    Args:
        clips_uint8: uint8 (B, 3, T, S, S).
        mean: Per colour, for pixels in 0 to 1.
        std: Per colour, for pixels in 0 to 1.
        erasures: One per clip, or none at all.
        mixes: One per group of ``group_size`` clips, in order, or none at all.
        group_size: Of the groups that are mixed, in clips.

    Raises:
        ValueError: The clips are not uint8, or erasures or groups do not add up to the batch.
    """
    if erasures and len(erasures) != len(clips_uint8):
        raise ValueError(f"there are {len(erasures)} erasures, expected {len(clips_uint8)}, one per clip")
    check_groups(len(clips_uint8), mixes, group_size)
    clips = normalise(clips_uint8, mean, std)
    for clip, erasure in zip(clips, erasures, strict=False):
        if erasure is not None:
            erasure.apply_(clip)
    for group, mix in enumerate(mixes):
        mix.apply_(clips[group * group_size : (group + 1) * group_size])
    return clips
