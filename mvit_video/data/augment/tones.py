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

Tables = NDArray[np.uint8]  # (P, 256), or (1, 256): the same for all planes

_VALUES = np.arange(256)


def look_up(clip_TCHW: torch.Tensor, tables: Tables) -> torch.Tensor:
    """The clip with every value replaced by its table's: uint8 (T, 3, H, W)."""
    planes = clip_TCHW.flatten(0, 1).numpy()
    found = np.empty_like(planes)
    for place, plane in enumerate(planes):
        table = tables[place % len(tables)].tobytes()
        found[place] = np.frombuffer(plane.tobytes().translate(table), np.uint8).reshape(plane.shape)
    return torch.from_numpy(found).view(clip_TCHW.shape)


def _auto_contrast(clip_TCHW: torch.Tensor, value: float) -> Tables:
    """Each plane's values stretched to 0 to 255; a plane of one value stays."""
    counts = _histograms(clip_TCHW) > 0
    lowest = counts.argmax(1)[:, None]
    highest = 255 - counts[:, ::-1].argmax(1)[:, None]
    scale = 255.0 / np.maximum(highest - lowest, 1)
    stretched = np.clip(np.trunc(_VALUES * scale + -lowest * scale), 0, 255)
    return np.where(highest > lowest, stretched, _VALUES).astype(np.uint8)


def _equalize(clip_TCHW: torch.Tensor, value: float) -> Tables:
    """Each plane's values spread evenly; planes of one value, or too few pixels, stay."""
    counts = _histograms(clip_TCHW)
    highest = 255 - (counts[:, ::-1] > 0).argmax(1)
    step = (counts.sum(1) - counts[np.arange(len(counts)), highest])[:, None] // 255
    below = counts.cumsum(1) - counts
    spread = (below + step // 2) // np.maximum(step, 1)
    return np.where(step > 0, np.minimum(spread, 255), _VALUES).astype(np.uint8)


def _invert(clip_TCHW: torch.Tensor, value: float) -> Tables:
    return _same(255 - _VALUES)


def _posterize(clip_TCHW: torch.Tensor, bits: float) -> Tables:
    dropped = 8 - min(max(int(bits), 0), 8)
    return _same(_VALUES >> dropped << dropped)


def _solarize(clip_TCHW: torch.Tensor, threshold: float) -> Tables:
    return _same(np.where(threshold > _VALUES, _VALUES, 255 - _VALUES))


def _solarize_add(clip_TCHW: torch.Tensor, added: float) -> Tables:
    return _same(np.where(_VALUES < 128, np.minimum(_VALUES + int(added), 255), _VALUES))


def _brightness(clip_TCHW: torch.Tensor, factor: float) -> Tables:
    return _same(blend_values(0, _VALUES, factor))


def _contrast(clip_TCHW: torch.Tensor, factor: float) -> Tables:
    """Each frame blended with its own mean luma."""
    height, width = clip_TCHW.shape[2:]
    sums = np.array([luma(frame).sum(dtype=np.float64) for frame in clip_TCHW.numpy()])
    means = (sums / (height * width) + 0.5).astype(np.int64)
    return blend_values(np.repeat(means, 3)[:, None], _VALUES, factor)


def _same(values: NDArray[np.integer[Any]]) -> Tables:
    return values.astype(np.uint8)[None]


def _histograms(clip_TCHW: torch.Tensor) -> NDArray[np.int64]:
    """How often each value stands in each plane: (P, 256)."""
    planes = clip_TCHW.flatten(0, 1).flatten(1)
    return np.stack([torch.bincount(plane, minlength=256).numpy() for plane in planes])


TABLES: dict[str, Callable[[torch.Tensor, float], Tables]] = {
    "auto_contrast": _auto_contrast,
    "equalize": _equalize,
    "invert": _invert,
    "posterize": _posterize,
    "solarize": _solarize,
    "solarize_add": _solarize_add,
    "brightness": _brightness,
    "contrast": _contrast,
}
