"""Random erasing: a box of every frame of a clip becomes noise.

Drawn on the CPU; the pixels change on the device, after normalising, in ``finish_batch``. Noise is made
there from a stored seed, so a worker sends a few numbers and no pixels.

Source: SlowFast slowfast/datasets/random_erasing.py (_erase_cube).
Axes: C = 3 colours, T frames, H height, W width.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from mvit_video.data.augment.placements import Box

Fill = Literal["pixel", "rand", "const"]
_TRIES = 100


@dataclass(frozen=True, slots=True)
class Erasure:
    """Boxes of a clip that are erased, all frames alike.

    Args:
        boxes: In pixels.
        mode: "pixel": standard normal noise; "rand": one normal colour per box and frame; "const": zeros.
        seed: Of the noise.
    """

    boxes: tuple[Box, ...]
    mode: Fill
    seed: int

    def apply_(self, clip_CTHW: torch.Tensor) -> None:
        """Erases in place from a normalised clip: floats (3, T, H, W)."""
        generator = torch.Generator(clip_CTHW.device).manual_seed(self.seed)
        channels, frames = clip_CTHW.shape[:2]
        for box in self.boxes:
            part = clip_CTHW[..., box.top : box.top + box.height, box.left : box.left + box.width]
            if self.mode == "const":
                part.zero_()
                continue
            size = part.shape if self.mode == "pixel" else (channels, frames, 1, 1)
            part.copy_(torch.randn(size, generator=generator, device=part.device, dtype=part.dtype))


@dataclass(frozen=True)
class RandomErasing:
    """Draws which boxes of a clip are erased.

    Args:
        prob: Probability that anything is.
        mode: What fills a box, in units of the normalised clip: see ``Erasure``.
        count: Most boxes; their number is drawn from 1 to this, and they share the area.
        area: Smallest and largest share of the picture, all boxes together.
        aspect: Smallest height / width of a box; the largest is its inverse. Drawn log-uniformly.
    """

    prob: float
    mode: Fill = "pixel"
    count: int = 1
    area: tuple[float, float] = (0.02, 1 / 3)
    aspect: float = 0.3

    def __post_init__(self) -> None:
        if not 0 <= self.prob <= 1:
            raise ValueError(f"prob is {self.prob}, expected a probability, 0 to 1")
        if self.mode not in ("pixel", "rand", "const"):
            raise ValueError(f"mode is {self.mode!r}, expected 'pixel', 'rand' or 'const'")
        if self.count < 1:
            raise ValueError(f"count is {self.count}, expected 1 or more boxes")

    def draw(
        self, generator: np.random.Generator, num_frames: int, height: int, width: int
    ) -> Erasure | None:
        """Draws for one clip of this size; None: nothing is erased."""
        if generator.random() > self.prob:
            return None
        count = int(generator.integers(1, self.count + 1)) if self.count > 1 else 1
        found = (self._draw_box(generator, count, height, width) for _ in range(count))
        boxes = tuple(box for box in found if box is not None)
        seed = int(generator.integers(2**63))
        return Erasure(boxes, self.mode, seed) if boxes else None

    def _draw_box(self, generator: np.random.Generator, count: int, height: int, width: int) -> Box | None:
        log_aspect = math.log(self.aspect)
        for _ in range(_TRIES):
            pixels = generator.uniform(*self.area) * height * width / count
            ratio = math.exp(generator.uniform(log_aspect, -log_aspect))
            box_height, box_width = round(math.sqrt(pixels * ratio)), round(math.sqrt(pixels / ratio))
            if 0 < box_height < height and 0 < box_width < width:
                top = int(generator.integers(0, height - box_height + 1))
                left = int(generator.integers(0, width - box_width + 1))
                return Box(top, left, box_height, box_width)
        return None
