"""Pixels of a ``Placement``: only the kept window is computed.

Axes: T frames, H height, W width, C = 3 colours.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from mvit_video.data.augment.placements import Placement


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
