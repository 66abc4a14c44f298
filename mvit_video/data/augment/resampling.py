"""Pixels of a ``Placement``: only the kept window is computed.

Bilinear, without antialiasing, pixel centres at .5. Where the processor has AVX2, in fixed point (torch's
kernel for uint8 pictures, several times faster): within 1 of 255 of the exact value, because it rounds
between its two passes. Elsewhere in float32: within 0.5.

Axes: N pictures, H height, W width, C = 3 colours.
"""

import math
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from mvit_video.data.augment.placements import Box, Placement

_SHRINKS = 0.8  # heights that shrink to less than this are scaled first: from there on it pays


class Resampler:
    """Cuts and scales pictures of one size as a ``Placement`` says, computing only the kept window.

    Attributes:
        reads: The part of the picture that the window is made of.
    """

    def __init__(self, placement: Placement) -> None:
        region, window = placement.region, placement.window
        self._flip = placement.flip
        self._scale: _FixedPoint | _Float | None = None
        if placement.scaled == (region.height, region.width):
            self.reads = Box(region.top + window.top, region.left + window.left, window.height, window.width)
            return
        self._scale = _FixedPoint(placement) if _has_fixed_point() else _Float(placement)
        rows, columns = self._scale.rows, self._scale.columns
        top, left = region.top + rows.start, region.left + columns.start
        self.reads = Box(top, left, rows.stop - rows.start, columns.stop - columns.start)

    def __call__(self, frame_HWC: NDArray[np.uint8]) -> torch.Tensor:
        """The window of one picture: uint8 (H, W, 3)."""
        part_HWC = self.part_of(frame_HWC)
        if isinstance(self._scale, _FixedPoint) and self._scale.may_run_on:
            part_HWC = _unbroken(frame_HWC, self.reads, part_HWC)
        return self.of_part(part_HWC)

    def part_of(self, frame_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """What is read of one picture: not copied."""
        box = self.reads
        return frame_HWC[box.top : box.top + box.height, box.left : box.left + box.width]

    def of_parts(self, parts_NHWC: NDArray[np.uint8]) -> torch.Tensor:
        """The windows of several pictures, out of what is read of them: uint8 (N, H, W, 3).

        Small ones cost less so than one by one.
        """
        return self._windows(torch.from_numpy(parts_NHWC))

    def of_part(self, part_HWC: NDArray[np.uint8]) -> torch.Tensor:
        """The window, out of what is read of the picture alone: uint8 (H, W, 3)."""
        part = part_HWC if self._scale is None else np.ascontiguousarray(part_HWC)
        # The batch axis is torch's: NumPy's has a stride of 0, which does not count as channels last.
        return self._windows(torch.from_numpy(part)[None])[0]

    def _windows(self, parts_NHWC: torch.Tensor) -> torch.Tensor:
        windows = parts_NHWC if self._scale is None else self._scale(parts_NHWC)
        return windows.flip(2) if self._flip else windows


def _unbroken(frame_HWC: NDArray[np.uint8], box: Box, part_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The part with its rows as long as the picture's, each running on into the next: contiguous uncopied.

    The part as it is where its last row would run out of the picture.
    """
    width = frame_HWC.shape[1]
    first = box.top * width + box.left
    last = first + box.height * width
    if not frame_HWC.flags.c_contiguous or last > frame_HWC.shape[0] * width:
        return part_HWC
    return frame_HWC.reshape(-1, 3)[first:last].reshape(box.height, width, 3)


@cache
def _has_fixed_point() -> bool:
    """Whether torch has its fast kernel here; the one it has otherwise is slow and cuts off."""
    return torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")


class _Span(NamedTuple):
    """What of an axis is read (``start`` to ``stop``), and which of the ``total`` positions made are kept.

    ``is_inside``: no position kept looks beyond the axis, where the kernel would repeat its last pixel.
    """

    start: int
    stop: int
    total: int
    kept: slice
    factor: float
    is_inside: bool

    def made_of(self, length: int) -> int:
        """How many positions to make: the kernel leaves an axis alone whose length does not change."""
        return self.total + (self.total == length and self.factor != 1)


def _span(size: int, scaled: int, first: int, count: int) -> _Span:
    """For ``count`` positions from ``first`` of ``size`` pixels scaled to ``scaled``.

    The kernel starts at a picture's edge, so a part begins where a scaled position falls on the edge of a
    pixel; with enough positions to spare that none which is kept misses its neighbour on the left.
    """
    step = scaled // math.gcd(size, scaled)
    spare = max(0, math.ceil(0.5 * scaled / size - 0.5))
    begin = max(0, first - spare) // step * step
    wanted = math.floor((first + count - 0.5) * size / scaled - 0.5) + 2
    kept = slice(first - begin, first - begin + count)
    return _Span(
        begin * size // scaled, min(size, wanted), kept.stop, kept, scaled / size, is_inside=wanted <= size
    )


class _FixedPoint:
    """torch's bilinear kernel for uint8 pictures.

    Attributes:
        may_run_on: Rows may be longer than what is read of them: what follows makes no difference.
    """

    def __init__(self, placement: Placement) -> None:
        region, scaled, window = placement.region, placement.scaled, placement.window
        self.rows = _span(region.height, scaled[0], window.top, window.height)
        self.columns = _span(region.width, scaled[1], window.left, window.width)
        self.may_run_on = self.columns.is_inside

    def __call__(self, parts_NHWC: torch.Tensor) -> torch.Tensor:
        rows, columns = self.rows, self.columns
        parts_NCHW = parts_NHWC.permute(0, 3, 1, 2)
        height, width = parts_NCHW.shape[2:]
        size = rows.made_of(height), columns.made_of(width)
        # What F.interpolate calls; that would round the sizes down once more.
        scale = torch.ops.aten.upsample_bilinear2d
        if rows.factor < _SHRINKS:
            # By itself the kernel would scale along all rows first, also along those that are left out then.
            parts_NCHW = scale(parts_NCHW, (size[0], width), False, rows.factor, 1.0)
        scaled_NCHW = scale(parts_NCHW, size, False, rows.factor, columns.factor)
        windows: torch.Tensor = scaled_NCHW.permute(0, 2, 3, 1)[:, rows.kept, columns.kept]
        return windows


class _Float:
    """Two gathers and two interpolations in float32, rounded once."""

    def __init__(self, placement: Placement) -> None:
        region, scaled, window = placement.region, placement.scaled, placement.window
        self._size = (window.height, window.width)
        rows = _taps(region.height, scaled[0], window.top, window.height)
        columns = _taps(region.width, scaled[1], window.left, window.width)
        self.rows = slice(int(rows[0].min()), int(rows[1].max()) + 1)
        self.columns = slice(int(columns[0].min()), int(columns[1].max()) + 1)
        self._rows = tuple(torch.from_numpy(tap - self.rows.start) for tap in rows[:2])
        self._row_weights = torch.from_numpy(rows[2])[:, None]
        colours = np.arange(3)
        self._columns = tuple(
            torch.from_numpy(((tap - self.columns.start)[:, None] * 3 + colours).reshape(-1))
            for tap in columns[:2]
        )
        self._column_weights = torch.from_numpy(np.repeat(columns[2], 3))

    def __call__(self, parts_NHWC: torch.Tensor) -> torch.Tensor:
        pixels = parts_NHWC.flatten(2).to(torch.float32)
        above, below = (pixels.index_select(1, tap) for tap in self._rows)
        lines = torch.lerp(above, below, self._row_weights)
        before, behind = (lines.index_select(2, tap) for tap in self._columns)
        scaled = torch.lerp(before, behind, self._column_weights)
        return scaled.add_(0.5).to(torch.uint8).view(-1, *self._size, 3)


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
