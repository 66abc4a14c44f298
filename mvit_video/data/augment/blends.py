"""Blends of a picture with a poorer version of itself: grey (colour) or smoothed (sharpness).

A factor of 0 gives the poorer picture, 1 the picture itself, above 1 the opposite of poorer.

Source: PIL ImageEnhance (Color, Sharpness), Image.blend, ImageFilter.SMOOTH.
Axes: T frames, C = 3 colours, H height, W width.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mvit_video.data.augment.operation import Operation, Part
from mvit_video.data.augment.placements import Box


def blend_values(poorer: ArrayLike, values: ArrayLike, factor: float) -> NDArray[np.uint8]:
    """Image.blend of whole numbers: in float32, clipped to 0 to 255, fractions cut off."""
    poor = np.asarray(poorer, np.float32)
    blended = np.asarray(values, np.float32) - poor
    blended *= np.float32(factor)
    blended += poor
    return np.clip(blended, 0, 255, out=blended).astype(np.uint8)


def luma(frame_CHW: NDArray[np.uint8]) -> NDArray[np.float32]:
    """PIL's conversion of a picture (3, H, W) to mode L: whole numbers (H, W).

    Its weights are whole numbers of 1 / 65536, so that float32 holds every sum exactly.
    """
    red, green, blue = frame_CHW.astype(np.float32)
    red *= 19595
    green *= 38470
    blue *= 7471
    red += green
    red += blue
    red += 0x8000
    red *= 1 / 65536
    np.floor(red, out=red)
    luma_HW: NDArray[np.float32] = red
    return luma_HW


def _colour(frame_CHW: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    return blend_values(luma(frame_CHW), frame_CHW, factor)


def _sharpness(frame_CHW: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    """The poorer picture: the mean of 3 x 3 pixels, the centre counted five times, rounded; borders stay."""
    if min(frame_CHW.shape[1:]) < 3:
        return frame_CHW
    pixels = frame_CHW.astype(np.uint16)
    rows = pixels[:, :-2] + pixels[:, 1:-1] + pixels[:, 2:]
    sums = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    inside = pixels[:, 1:-1, 1:-1]
    smooth = (2 * (sums + 4 * inside) + 13) // 26
    sharp = frame_CHW.copy()
    sharp[:, 1:-1, 1:-1] = blend_values(smooth, inside, factor)
    return sharp


_BLENDS = {"colour": _colour, "sharpness": _sharpness}
NAMES = tuple(_BLENDS)


def reads(operation: Operation, box: Box, size: tuple[int, int]) -> Box:
    """What of the picture must be known to make ``box`` of it: for sharpness, the pixels around it too."""
    if operation.name != "sharpness":
        return box
    top, left = max(box.top - 1, 0), max(box.left - 1, 0)
    bottom, right = min(box.top + box.height + 1, size[0]), min(box.left + box.width + 1, size[1])
    return Box(top, left, bottom - top, right - left)


def apply(operation: Operation, part: Part, box: Box) -> Part:
    """``box`` of the picture after the operation."""
    planes = part.planes
    found = np.empty_like(planes)
    for frame, place in zip(planes, found, strict=True):
        place[:] = _BLENDS[operation.name](frame, operation.value)
    return Part(found, part.box, part.size).cut(box)
