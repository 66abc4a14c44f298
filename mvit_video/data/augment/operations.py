"""Operations on the pixels of a clip, as PIL does them to a picture: the same for all frames.

Axes: T frames, C = 3 colours, H height, W width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

Interpolation = Literal["bilinear", "bicubic"]
GEOMETRIC = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation with its drawn strength.

    Args:
        name: A key of ``OPERATIONS``.
        value: Degrees (counter-clockwise), share of the side, slope, factor, threshold, number of bits or
            number to add, whatever the operation takes; 0 where it takes nothing.
        interpolation: Of the geometric operations.
    """

    name: str
    value: float = 0.0
    interpolation: Interpolation = "bicubic"


def apply_operations(operations: Sequence[Operation], clip_TCHW: torch.Tensor) -> torch.Tensor:
    """The clip after all operations in order: uint8 (T, 3, H, W)."""
    return clip_TCHW
