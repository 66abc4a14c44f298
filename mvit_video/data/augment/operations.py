"""Operations on the pixels of a clip, as PIL does them to a picture: the same for all frames.

Clips are planar, uint8 (T, 3, H, W), on the CPU. Operations that change each value by itself are tables
(``tones``), colour and sharpness blend two pictures (``blends``), the rest move pixels (``affine``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from mvit_video.data.augment import affine, blends, tones

Interpolation = Literal["bilinear", "bicubic"]
GEOMETRIC = affine.NAMES


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation with its drawn strength.

    Args:
        name: auto_contrast, equalize, invert (no value); posterize (bits kept); solarize (threshold, 0 to
            256); solarize_add (added below 128); brightness, contrast, colour, sharpness (factor, 1: as it
            is); rotate (degrees counter-clockwise), shear_x, shear_y (slope), translate_x, translate_y (share
            of the width or height that pixels move to the left or up).
        value: That number; 0 where there is none.
        interpolation: Of the geometric operations.
    """

    name: str
    value: float = 0.0
    interpolation: Interpolation = "bicubic"


def apply_operations(operations: Sequence[Operation], clip_TCHW: torch.Tensor) -> torch.Tensor:
    """The clip after all operations in order.

    Args:
        operations: With their strengths.
        clip_TCHW: uint8 (T, 3, H, W), on the CPU. It is not changed.

    Returns:
        uint8 (T, 3, H, W).

    Raises:
        ValueError: There is no operation of this name.
    """
    clip_TCHW = clip_TCHW.contiguous()
    for operation in operations:
        clip_TCHW = _apply(operation, clip_TCHW)
    return clip_TCHW


def _apply(operation: Operation, clip_TCHW: torch.Tensor) -> torch.Tensor:
    name, value = operation.name, operation.value
    if name in tones.TABLES:
        return tones.look_up(clip_TCHW, tones.TABLES[name](clip_TCHW, value))
    if name in affine.NAMES:
        return affine.transform(clip_TCHW, name, value, bicubic=operation.interpolation == "bicubic")
    if name in blends.NAMES:
        return blends.blend(clip_TCHW, name, value)
    known = ", ".join((*tones.TABLES, *affine.NAMES, *blends.NAMES))
    raise ValueError(f"there is no operation {name!r}, expected one of {known}")
