"""An operation on the pixels of a clip, and the part of the pictures that it works on.

Axes: T frames, C = 3 colours, H height, W width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mvit_video.data.augment.placements import Box

Interpolation = Literal["bilinear", "bicubic"]
GEOMETRIC = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")


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


@dataclass(frozen=True, slots=True)
class Part:
    """The same part of all frames of a clip, plane by plane.

    Args:
        planes: Its pixels, uint8 (T, 3, H, W), contiguous.
        box: Where in the picture it lies.
        size: (height, width) of the picture.
    """

    planes: NDArray[np.uint8]
    box: Box
    size: tuple[int, int]

    @classmethod
    def of(cls, frames_THWC: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], box: Box) -> "Part":
        """A part of whole frames, each uint8 (H, W, 3)."""
        planes = np.empty((len(frames_THWC), 3, box.height, box.width), np.uint8)
        rows, columns = slice(box.top, box.top + box.height), slice(box.left, box.left + box.width)
        for place, frame in zip(planes, frames_THWC, strict=True):
            np.copyto(place, frame[rows, columns].transpose(2, 0, 1))
        return cls(planes, box, frames_THWC[0].shape[:2])

    def cut(self, box: Box) -> "Part":
        """A part of this part."""
        top, left = box.top - self.box.top, box.left - self.box.left
        planes = self.planes[..., top : top + box.height, left : left + box.width]
        return Part(np.ascontiguousarray(planes), box, self.size)

    def frames(self) -> NDArray[np.uint8]:
        """The pixels as of pictures: uint8 (T, H, W, 3)."""
        frames = np.empty((len(self.planes), self.box.height, self.box.width, 3), np.uint8)
        for colour in range(3):  # several times faster than one transposed copy
            frames[..., colour] = self.planes[:, colour]
        return frames
