"""Where a picture is cut and scaled: pure geometry, no pixel is touched.

Everything spatial is one ``Placement``: a region of the picture is scaled (bilinear, no antialiasing, pixel
centres at .5) to a size, and a window of that is kept.

Source: SlowFast slowfast/datasets/transform.py (random_resized_crop, random_short_side_scale_jitter,
uniform_crop) and datasets/utils.py (spatial_sampling).
"""

import math
from dataclasses import dataclass

import numpy as np

_TRIES = 10


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Placement:
    """Scale ``region`` of a picture to ``scaled`` (height, width), keep ``window`` of it, then mirror it."""

    region: Box
    scaled: tuple[int, int]
    window: Box
    flip: bool = False


def scale_short_side(height: int, width: int, short_side: int) -> tuple[int, int]:
    """(height, width) with the short side at ``short_side``; the long side is rounded down."""
    if height < width:
        return short_side, math.floor(width / height * short_side)
    return math.floor(height / width * short_side), short_side


def uniform_crop_offset(height: int, width: int, size: int, crop: int) -> tuple[int, int]:
    """(top, left) of test crop 0 (left or top), 1 (centre) or 2 (right or bottom) along the longer side.

    A square counts as wide.
    """
    if crop not in (0, 1, 2):
        raise ValueError(f"crop is {crop}, expected 0, 1 or 2")
    top, left = math.ceil((height - size) / 2), math.ceil((width - size) / 2)
    if height > width:
        top = (0, top, height - size)[crop]
    else:
        left = (0, left, width - size)[crop]
    return top, left


def place_test_crop(height: int, width: int, *, short_side: int, crop_size: int, crop: int) -> Placement:
    """The official test view of a picture: short side scaled, then crop 0, 1 or 2 of it."""
    scaled = scale_short_side(height, width, short_side)
    top, left = uniform_crop_offset(*scaled, crop_size, crop)
    return Placement(Box(0, 0, height, width), scaled, Box(top, left, crop_size, crop_size))


def draw_region(
    height: int,
    width: int,
    area: tuple[float, float],
    aspect: tuple[float, float],
    generator: np.random.Generator,
) -> Box:
    """A random region by area and aspect; after ten misfits the largest central one of a fitting aspect."""
    for _ in range(_TRIES):
        pixels = generator.uniform(*area) * height * width
        ratio = math.exp(generator.uniform(math.log(aspect[0]), math.log(aspect[1])))
        region_width = round(math.sqrt(pixels * ratio))
        region_height = round(math.sqrt(pixels / ratio))
        if 0 < region_width <= width and 0 < region_height <= height:
            top = int(generator.integers(0, height - region_height + 1))
            left = int(generator.integers(0, width - region_width + 1))
            return Box(top, left, region_height, region_width)
    region_height, region_width = height, width
    if width / height < aspect[0]:
        region_height = max(1, round(width / aspect[0]))
    elif width / height > aspect[1]:
        region_width = max(1, round(height * aspect[1]))
    return Box((height - region_height) // 2, (width - region_width) // 2, region_height, region_width)
