"""Rotation, shear and translation of all frames of a clip at once.

Every output pixel is a weighted sum of 4 or 16 source pixels, the same in all frames and colours. With the
pixels as the rows of a table and frames and colours as its columns, that is one sum of weighted rows
(``embedding_bag``), and the fill colour one row more.

Source: PIL Image.transform(AFFINE) and Image.rotate, whose bicubic kernel has a = -1 (torch's has -0.75);
timm data/auto_augment.py (rotate, shear_x, shear_y, translate_x_rel, translate_y_rel).
Axes: T frames, C = 3 colours, H height, W width, N = H * W pixels, K source pixels of one.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

NAMES = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
FILL = 128  # SlowFast gives RandAugment no mean colour, so timm's default stands

_BLOCK = 12288  # pixels
_ROUNDING = 3e-4

Matrix = tuple[float, float, float, float, float, float]


def transform(clip_TCHW: torch.Tensor, name: str, value: float, *, bicubic: bool) -> torch.Tensor:
    """The clip rotated, sheared or translated, grey where it was moved away: uint8 (T, 3, H, W).

    Args:
        clip_TCHW: uint8 (T, 3, H, W), contiguous, on the CPU.
        name: One of ``NAMES``.
        value: Degrees, slope or share of the side, as ``Operation`` has it.
        bicubic: Interpolate from 4 x 4 pixels, rather than 2 x 2.
    """
    height, width = clip_TCHW.shape[2:]
    if name == "rotate" and value % 360 == 0:
        return clip_TCHW
    matrix = _matrix(name, value, height, width)
    planes = clip_TCHW.view(-1, height * width).numpy()
    pixels = np.empty((height * width + 1, len(planes)), np.float32)
    pixels[:-1], pixels[-1] = planes.T, FILL
    table = torch.from_numpy(pixels)
    moved = np.empty_like(planes)
    step = max(1, _BLOCK // width)
    for top in range(0, height, step):  # in blocks that stay in the processor's cache
        rows = np.arange(top, min(top + step, height))
        sources_NK, weights_NK = _taps(matrix, rows, height, width, bicubic)
        sums = F.embedding_bag(sources_NK, table, per_sample_weights=weights_NK, mode="sum")
        # PIL cuts fractions off; in float32 whole numbers may come out a little too small.
        moved_NP = sums.add_(_ROUNDING).clamp_(0, 255).to(torch.uint8)
        moved[:, top * width : (top + len(rows)) * width] = moved_NP.numpy().T
    return torch.from_numpy(moved).view(clip_TCHW.shape)


def _matrix(name: str, value: float, height: int, width: int) -> Matrix:
    """(a, b, c, d, e, f): the source of pixel centre (x, y) is (a x + b y + c, d x + e y + f)."""
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


def _taps(
    matrix: Matrix, rows: NDArray[np.int64], height: int, width: int, bicubic: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Which pixels the pixels of these rows are made of, int32 (N, K), and their weights, float32 (N, K)."""
    a, b, c, d, e, f = matrix
    y, x = np.repeat(rows + 0.5, width), np.tile(np.arange(width) + 0.5, len(rows))
    source_x, source_y = a * x + b * y + c, d * x + e * y + f
    outside = (source_x < 0) | (source_x >= width) | (source_y < 0) | (source_y >= height)
    columns = _taps_along(source_x, width, bicubic)
    lines = [(line * width, weight) for line, weight in _taps_along(source_y, height, bicubic)]
    sources = np.empty((len(x), len(lines) * len(columns)), np.int32)
    weights = np.empty(sources.shape, np.float32)
    pairs = [(line, column) for line in lines for column in columns]
    for place, ((line, line_weight), (column, column_weight)) in enumerate(pairs):
        np.add(line, column, out=sources[:, place])
        np.multiply(line_weight, column_weight, out=weights[:, place])
    sources[outside], weights[outside] = height * width, 1 / len(pairs)
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
