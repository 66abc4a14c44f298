"""Rotation, shear and translation of all frames of a clip at once.

Every output pixel is a weighted sum of 4 or 16 source pixels, the same in all frames and colours. With the
pixels as the rows of a table and frames and colours as its columns, that is one sum of weighted rows
(``embedding_bag``), and the fill colour one row more.

Source: PIL Image.transform(AFFINE) and Image.rotate, whose bicubic kernel has a = -1 (torch's has -0.75);
timm data/auto_augment.py (rotate, shear_x, shear_y, translate_x_rel, translate_y_rel).
Axes: N pixels, P planes (one colour of one frame), K source pixels of a pixel.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from mvit_video.data.augment.operation import GEOMETRIC, Operation, Part
from mvit_video.data.augment.placements import Box

NAMES = GEOMETRIC
FILL = 128  # SlowFast gives RandAugment no mean colour, so timm's default stands
_BLOCK = 12288  # pixels
_ROUNDING = 3e-4

Matrix = tuple[float, float, float, float, float, float]


def reads(operation: Operation, box: Box, size: tuple[int, int]) -> Box:
    """What of the picture must be known to make ``box`` of it."""
    a, b, c, d, e, f = _matrix(operation, size)
    corners = [(box.left + x, box.top + y) for x in (0, box.width) for y in (0, box.height)]
    left, width = _reach([a * x + b * y + c for x, y in corners], size[1])
    top, height = _reach([d * x + e * y + f for x, y in corners], size[0])
    return Box(top, left, height, width)


def _reach(sources: list[float], size: int) -> tuple[int, int]:
    """First and number of the pixels along one axis that are read for sources between these."""
    first, last = math.floor(min(sources)) - 2, math.floor(max(sources)) + 2
    first, last = (min(max(place, 0), size - 1) for place in (first, last))
    return first, last - first + 1


def apply(operation: Operation, part: Part, box: Box) -> Part:
    """``box`` of the picture after the operation, grey where pixels have moved away."""
    planes_PN = part.planes.reshape(len(part.planes) * 3, -1)
    pixels_NP = np.empty((planes_PN.shape[1] + 1, len(planes_PN)), np.float32)
    pixels_NP[:-1], pixels_NP[-1] = planes_PN.T, FILL
    table = torch.from_numpy(pixels_NP)
    moved_PN = np.empty((len(planes_PN), box.height * box.width), np.uint8)
    step = max(1, _BLOCK // box.width)
    for first in range(0, box.height, step):  # in blocks that stay in the processor's cache
        rows = min(step, box.height - first)
        sources_NK, weights_NK = _taps(operation, part, Box(box.top + first, box.left, rows, box.width))
        sums = F.embedding_bag(sources_NK, table, per_sample_weights=weights_NK, mode="sum")
        # PIL cuts fractions off; in float32 whole numbers may come out a little too small.
        values = sums.add_(_ROUNDING).clamp_(0, 255).to(torch.uint8).numpy()
        moved_PN[:, first * box.width : (first + rows) * box.width] = values.T
    return Part(moved_PN.reshape(-1, 3, box.height, box.width), box, part.size)


def _matrix(operation: Operation, size: tuple[int, int]) -> Matrix:
    """(a, b, c, d, e, f): the source of pixel centre (x, y) is (a x + b y + c, d x + e y + f)."""
    name, value = operation.name, operation.value
    height, width = size
    if name == "rotate":
        angle = -math.radians(value % 360)
        # Rounded and added up as in Image.rotate: on the border the last bit decides what is outside.
        cos, sin = round(math.cos(angle), 15), round(math.sin(angle), 15)
        x, y = width / 2, height / 2
        return (cos, sin, cos * -x + sin * -y + x, -sin, cos, -sin * -x + cos * -y + y)
    shear_x, shear_y = (value if name == shear else 0.0 for shear in ("shear_x", "shear_y"))
    left = value * width if name == "translate_x" else 0.0
    up = value * height if name == "translate_y" else 0.0
    return (1.0, shear_x, left, shear_y, 1.0, up)


def _taps(operation: Operation, part: Part, box: Box) -> tuple[torch.Tensor, torch.Tensor]:
    """Which pixels of ``part`` those of ``box`` are made of, int32 (N, K), and their weights, float32."""
    a, b, c, d, e, f = _matrix(operation, part.size)
    height, width = part.size
    x = np.tile(np.arange(box.left, box.left + box.width) + 0.5, box.height)
    y = np.repeat(np.arange(box.top, box.top + box.height) + 0.5, box.width)
    source_x, source_y = a * x + b * y + c, d * x + e * y + f
    outside = (source_x < 0) | (source_x >= width) | (source_y < 0) | (source_y >= height)
    bicubic = operation.interpolation == "bicubic"
    columns, lines = _taps_along(source_x, width, bicubic), _taps_along(source_y, height, bicubic)
    first = part.box.top * part.box.width + part.box.left
    lines = [(line * part.box.width - first, weight) for line, weight in lines]
    sources = np.empty((len(x), len(lines) * len(columns)), np.int32)
    weights = np.empty(sources.shape, np.float32)
    pairs = [(line, column) for line in lines for column in columns]
    for place, ((line, line_weight), (column, column_weight)) in enumerate(pairs):
        np.add(line, column, out=sources[:, place])
        np.multiply(line_weight, column_weight, out=weights[:, place])
    sources[outside], weights[outside] = part.box.height * part.box.width, 1 / len(pairs)
    return torch.from_numpy(sources), torch.from_numpy(weights)


def _taps_along(
    source_N: NDArray[np.float64], size: int, bicubic: bool
) -> list[tuple[NDArray[np.int32], NDArray[np.float32]]]:
    """The 1, 2 or 4 positions along one axis, clamped to the picture, and their weights."""
    first = np.floor(source_N - 0.5)
    share = (source_N - 0.5 - first).astype(np.float32)
    place = first.astype(np.int32)
    if not share.any():
        return [(np.clip(place, 0, size - 1), np.ones_like(share))]
    if bicubic:
        square, cube = share * share, share * share * share
        weights = [2 * square - share - cube, 1 - 2 * square + cube, share + square - cube, cube - square]
        place -= 1
    else:
        weights = [1 - share, share]
    return [(np.clip(place + offset, 0, size - 1), weight) for offset, weight in enumerate(weights)]
