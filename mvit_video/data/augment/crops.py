"""Where a picture is cut and scaled, drawn apart from the pixels; then the pixels.

Everything spatial is one ``Placement``: a region of the picture is scaled (bilinear, no antialiasing, pixel
centres at .5) to a size, and a square window of that is kept. A ``Resampler`` computes only that window.
Pixels stay uint8 until they are on the device, where ``normalise`` makes floats of them.

Source: SlowFast slowfast/datasets/transform.py (random_resized_crop, random_short_side_scale_jitter,
uniform_crop) and datasets/utils.py (spatial_sampling, tensor_normalize).
Axes: B batch, T frames, H height, W width, S crop size, C = 3 colours.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

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


@dataclass(frozen=True)
class TrainTransform:
    """Training crop and mirror image.

    Args:
        crop_size: Side of the clip, in pixels.
        jitter_scales: Smallest and largest short side, in pixels, for a random crop of the scaled picture;
            used when ``area`` and ``aspect`` are None.
        area: Smallest and largest share of the picture's area, for a random resized crop.
        aspect: Smallest and largest width / height of that crop, drawn log-uniformly.
        flip: Mirror left and right half of the time.
    """

    crop_size: int
    jitter_scales: tuple[int, int] = (256, 320)
    area: tuple[float, float] | None = (0.08, 1.0)
    aspect: tuple[float, float] | None = (3 / 4, 4 / 3)
    flip: bool = True

    def __post_init__(self) -> None:
        if (self.area is None) != (self.aspect is None):
            raise ValueError(f"area is {self.area} and aspect is {self.aspect}; give both, or neither")
        if self.area is None and not self.crop_size <= self.jitter_scales[0] <= self.jitter_scales[1]:
            low, high = self.jitter_scales
            raise ValueError(
                f"jitter_scales are {low} to {high}, expected ascending, from crop_size {self.crop_size} up"
            )
        for name, bounds in (("area", self.area), ("aspect", self.aspect)):
            if bounds is not None and not 0 < bounds[0] <= bounds[1]:
                raise ValueError(f"{name} is {bounds}, expected two ascending numbers above 0")

    def draw(self, height: int, width: int, generator: np.random.Generator) -> Placement:
        """Draws where a picture of this size is cut; no pixel is touched."""
        if self.area is not None and self.aspect is not None:
            region = _draw_region(height, width, self.area, self.aspect, generator)
            size = self.crop_size
            placement = Placement(region, (size, size), Box(0, 0, size, size))
        else:
            placement = self._draw_jittered(height, width, generator)
        return replace(placement, flip=self.flip and generator.random() < 0.5)

    def __call__(
        self, frames_THWC: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], generator: np.random.Generator
    ) -> torch.Tensor:
        """Draws once and cuts all frames alike: uint8 (3, T, S, S), laid out channels last."""
        height, width = frames_THWC[0].shape[:2]
        resampler = Resampler(self.draw(height, width, generator))
        clip_TSSC = torch.stack([resampler(frame) for frame in frames_THWC])
        return clip_TSSC.permute(3, 0, 1, 2)

    def _draw_jittered(self, height: int, width: int, generator: np.random.Generator) -> Placement:
        short_side = round(generator.uniform(*self.jitter_scales))
        scaled = scale_short_side(height, width, short_side)
        top = int(generator.integers(0, scaled[0] - self.crop_size + 1))
        left = int(generator.integers(0, scaled[1] - self.crop_size + 1))
        window = Box(top, left, self.crop_size, self.crop_size)
        return Placement(Box(0, 0, height, width), scaled, window)


def _draw_region(
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


class Resampler:
    """Cuts and scales pictures of one size as a ``Placement`` says, computing only the kept window."""

    def __init__(self, placement: Placement) -> None:
        region, window = placement.region, placement.window
        self._flip = placement.flip
        self._size = (window.height, window.width)
        rows = _taps(region.height, placement.scaled[0], window.top, window.height)
        columns = _taps(region.width, placement.scaled[1], window.left, window.width)
        # Only the part of the picture that the window reads is ever made float.
        self._top, self._bottom = region.top + int(rows[0].min()), region.top + int(rows[1].max()) + 1
        self._left, self._right = region.left + int(columns[0].min()), region.left + int(columns[1].max()) + 1
        self._copies = placement.scaled == (region.height, region.width)
        self._rows = tuple(torch.from_numpy(tap - rows[0].min()) for tap in rows[:2])
        self._row_weights = torch.from_numpy(rows[2])[:, None]
        colours = np.arange(3)
        self._columns = tuple(
            torch.from_numpy(((tap - columns[0].min())[:, None] * 3 + colours).reshape(-1))
            for tap in columns[:2]
        )
        self._column_weights = torch.from_numpy(np.repeat(columns[2], 3))

    def __call__(self, frame_HWC: NDArray[np.uint8]) -> torch.Tensor:
        """The window of one picture: uint8 (H, W, 3)."""
        part = torch.from_numpy(frame_HWC)[self._top : self._bottom, self._left : self._right]
        if not self._copies:
            part = self._interpolate(part)
        return part.flip(1) if self._flip else part

    def _interpolate(self, part_HWC: torch.Tensor) -> torch.Tensor:
        pixels = part_HWC.reshape(part_HWC.shape[0], -1).to(torch.float32)
        above, below = (pixels.index_select(0, tap) for tap in self._rows)
        lines = torch.lerp(above, below, self._row_weights)
        before, behind = (lines.index_select(1, tap) for tap in self._columns)
        scaled = torch.lerp(before, behind, self._column_weights)
        return scaled.add_(0.5).to(torch.uint8).view(*self._size, 3)


def _taps(
    size: int, scaled: int, first: int, count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """For ``count`` scaled positions from ``first``: both source positions, and the second one's weight."""
    source = np.maximum((np.arange(first, first + count) + 0.5) * (size / scaled) - 0.5, 0)
    near = np.minimum(source.astype(np.int64), size - 1)
    far = np.minimum(near + 1, size - 1)
    if scaled == size:
        far = near
    return near, far, (source - near).astype(np.float32)


def subsample(clip_CTHW: torch.Tensor, num_frames: int) -> torch.Tensor:
    """``num_frames`` of a clip's frames, spread evenly from the first to the last: (C, num_frames, H, W)."""
    points = torch.linspace(0, clip_CTHW.shape[1] - 1, num_frames)
    return clip_CTHW[:, points.long()]


def normalise(
    clips_uint8: torch.Tensor,
    mean: Sequence[float],
    std: Sequence[float],
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    """``(clips / 255 - mean) / std`` on the device the clips are on.

    Args:
        clips_uint8: uint8 (..., 3, T, H, W).
        mean: Per colour, for pixels in 0 to 1.
        std: Per colour, for pixels in 0 to 1.
        dtype: Of the result; the arithmetic is float32.
    """
    if clips_uint8.dtype != torch.uint8 or clips_uint8.ndim < 4 or clips_uint8.shape[-4] != 3:
        raise ValueError(
            f"clips are {clips_uint8.dtype} {tuple(clips_uint8.shape)}, expected uint8 (..., 3, T, H, W)"
        )
    mean_C = torch.tensor(mean, dtype=torch.float32, device=clips_uint8.device).view(3, 1, 1, 1)
    std_C = torch.tensor(std, dtype=torch.float32, device=clips_uint8.device).view(3, 1, 1, 1)
    return clips_uint8.to(torch.float32).sub_(mean_C * 255).div_(std_C * 255).to(dtype)
