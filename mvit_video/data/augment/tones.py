"""Operations that turn each value into another one, by a table for each plane (one colour of one frame).

Source: PIL ImageOps (autocontrast, equalize, invert, posterize, solarize), ImageEnhance (Brightness,
Contrast); timm data/auto_augment.py (solarize_add).
Axes: T frames, C = 3 colours, H height, W width, P = T * C planes.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mvit_video.data.augment.blends import blend_values, luma
from mvit_video.data.augment.operation import Operation, Part
from mvit_video.data.augment.placements import Box

Planes = NDArray[np.uint8]  # (T, 3, H, W)
Tables = NDArray[np.uint8]  # (P, 256), or (1, 256): the same for all planes

_VALUES = np.arange(256)


def reads(operation: Operation, box: Box, size: tuple[int, int]) -> Box:
    """What of the picture must be known to make ``box`` of it: all, where its values are counted."""
    return Box(0, 0, *size) if operation.name in _COUNTING else box


def apply(operation: Operation, part: Part, box: Box) -> Part:
    """``box`` of the picture after the operation."""
    if operation.name in _DIRECT:
        cut = part.cut(box)
        return Part(_DIRECT[operation.name](cut.planes, operation.value), box, part.size)
    tables = _TABLES[operation.name](part.planes, operation.value)
    return _look_up(part.cut(box), tables)


def _look_up(part: Part, tables: Tables) -> Part:
    planes = part.planes.reshape(-1, *part.planes.shape[2:])
    found = np.empty_like(planes)
    for number, plane in enumerate(planes):
        table = tables[number % len(tables)].tobytes()
        found[number] = np.frombuffer(plane.tobytes().translate(table), np.uint8).reshape(plane.shape)
    return Part(found.reshape(part.planes.shape), part.box, part.size)


def _auto_contrast(planes: Planes, value: float) -> Tables:
    """Each plane's values stretched to 0 to 255; a plane of one value stays."""
    counts = _histograms(planes) > 0
    lowest = counts.argmax(1)[:, None]
    highest = 255 - counts[:, ::-1].argmax(1)[:, None]
    scale = 255.0 / np.maximum(highest - lowest, 1)
    stretched = np.clip(np.trunc(_VALUES * scale + -lowest * scale), 0, 255)
    return np.where(highest > lowest, stretched, _VALUES).astype(np.uint8)


def _equalize(planes: Planes, value: float) -> Tables:
    """Each plane's values spread evenly; planes of one value, or too few pixels, stay."""
    counts = _histograms(planes)
    highest = 255 - (counts[:, ::-1] > 0).argmax(1)
    step = (counts.sum(1) - counts[np.arange(len(counts)), highest])[:, None] // 255
    below = counts.cumsum(1) - counts
    spread = (below + step // 2) // np.maximum(step, 1)
    return np.where(step > 0, np.minimum(spread, 255), _VALUES).astype(np.uint8)


def _invert(planes: Planes, value: float) -> Planes:
    return np.bitwise_not(planes)


def _posterize(planes: Planes, bits: float) -> Planes:
    dropped = 8 - min(max(int(bits), 0), 8)
    return np.bitwise_and(planes, np.uint8(0xFF >> dropped << dropped))


def _solarize(planes: Planes, threshold: float) -> Tables:
    return _same(np.where(threshold > _VALUES, _VALUES, 255 - _VALUES))


def _solarize_add(planes: Planes, added: float) -> Tables:
    return _same(np.where(_VALUES < 128, np.minimum(_VALUES + int(added), 255), _VALUES))


def _brightness(planes: Planes, factor: float) -> Tables:
    return _same(blend_values(0, _VALUES, factor))


def _contrast(planes: Planes, factor: float) -> Tables:
    """Each frame blended with its own mean luma."""
    height, width = planes.shape[2:]
    sums = np.array([luma(frame).sum(dtype=np.float64) for frame in planes])
    means = (sums / (height * width) + 0.5).astype(np.int64)
    return blend_values(np.repeat(means, 3)[:, None], _VALUES, factor)


def _same(values: NDArray[np.integer[Any]]) -> Tables:
    return values.astype(np.uint8)[None]


def _histograms(planes: Planes) -> NDArray[np.int64]:
    """How often each value stands in each plane: (P, 256)."""
    flat = torch.from_numpy(planes).flatten(0, 1).flatten(1)
    return np.stack([torch.bincount(plane, minlength=256).numpy() for plane in flat])


_TABLES: dict[str, Callable[[Planes, float], Tables]] = {
    "auto_contrast": _auto_contrast,
    "equalize": _equalize,
    "solarize": _solarize,
    "solarize_add": _solarize_add,
    "brightness": _brightness,
    "contrast": _contrast,
}
# Faster without a table.
_DIRECT: dict[str, Callable[[Planes, float], Planes]] = {"invert": _invert, "posterize": _posterize}
_COUNTING = ("auto_contrast", "equalize", "contrast")
NAMES = (*_TABLES, *_DIRECT)
