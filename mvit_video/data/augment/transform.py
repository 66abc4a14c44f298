"""A training clip out of whole frames: drawn once, then the same for every frame.

Order: (short side scaled, RandAugment or colour jitter), cut and scaled, mirrored. The rest of the recipe
(normalising, erasing, mixing) happens to whole batches on the device: ``finish_batch``.

Source: SlowFast slowfast/datasets/kinetics.py (_aug_frame), datasets/utils.py (spatial_sampling) and
datasets/transform.py (random_short_side_scale_jitter, random_resized_crop, horizontal_flip).
Axes: T frames, H height, W width, S crop size, C = 3 colours.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from mvit_video.data.augment.colour_jitter import draw_colour_jitter
from mvit_video.data.augment.operation import Operation
from mvit_video.data.augment.operations import apply_operations
from mvit_video.data.augment.placements import Box, Placement, draw_region, scale_short_side
from mvit_video.data.augment.rand_augment import RandAugment
from mvit_video.data.augment.resampling import Resampler


@dataclass(frozen=True)
class TrainTransform:
    """Training crop, mirror image and change of colours.

    Args:
        crop_size: Side of the clip, in pixels.
        jitter_scales: Smallest and largest short side, in pixels, for a random crop of the scaled picture;
            used when ``area`` and ``aspect`` are None. With RandAugment or colour jitter, pictures with a
            longer short side than the first number are scaled down to it before anything else.
        area: Smallest and largest share of the picture's area, for a random resized crop.
        aspect: Smallest and largest width / height of that crop, drawn log-uniformly.
        flip: Mirror left and right half of the time.
        inverse_uniform: Draw the short side so that its inverse is uniform, rather than itself.
        rand_augment: Random operations on the whole picture.
        colour_jitter: Strength of random brightness, contrast and saturation, each a factor of 1 - strength
            to 1 + strength. As officially, RandAugment replaces it where both are given.
    """

    crop_size: int
    jitter_scales: tuple[int, int] = (256, 320)
    area: tuple[float, float] | None = (0.08, 1.0)
    aspect: tuple[float, float] | None = (3 / 4, 4 / 3)
    flip: bool = True
    inverse_uniform: bool = False
    rand_augment: RandAugment | None = None
    colour_jitter: float | None = None

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
        if self.colour_jitter is not None and self.colour_jitter < 0:
            raise ValueError(f"colour_jitter is {self.colour_jitter}, expected 0 or more")

    @property
    def changes_colours(self) -> bool:
        """Whether whole pictures are changed before they are cut."""
        return self.rand_augment is not None or bool(self.colour_jitter)

    def draw_operations(self, generator: np.random.Generator) -> tuple[Operation, ...]:
        """Draws what is done to the whole picture."""
        if self.rand_augment is not None:
            return self.rand_augment.draw(generator)
        if self.colour_jitter:
            return draw_colour_jitter(self.colour_jitter, generator)
        return ()

    def draw(self, height: int, width: int, generator: np.random.Generator) -> Placement:
        """Draws where a picture of this size is cut; no pixel is touched."""
        if self.area is not None and self.aspect is not None:
            region = draw_region(height, width, self.area, self.aspect, generator)
            size = self.crop_size
            placement = Placement(region, (size, size), Box(0, 0, size, size))
        else:
            placement = self._draw_jittered(height, width, generator)
        return replace(placement, flip=self.flip and generator.random() < 0.5)

    def __call__(
        self, frames_THWC: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], generator: np.random.Generator
    ) -> torch.Tensor:
        """Draws once and treats all frames alike: uint8 (3, T, S, S), laid out channels last."""
        return self.clips(frames_THWC, [generator])[0]

    def clips(
        self,
        frames_THWC: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
        generators: Sequence[np.random.Generator],
    ) -> list[torch.Tensor]:
        """Several clips of the same frames (repeated augmentation); what they share is done once.

        Args:
            frames_THWC: T frames of one size, each uint8 (H, W, 3).
            generators: One per clip, from which everything random about it is drawn.

        Returns:
            A clip per generator: uint8 (3, T, S, S), laid out channels last.
        """
        if self.changes_colours:
            frames_THWC = _scaled_down(frames_THWC, self.jitter_scales[0])
        height, width = frames_THWC[0].shape[:2]
        clips = []
        for generator in generators:
            operations = self.draw_operations(generator)
            resampler = Resampler(self.draw(height, width, generator))
            if operations:
                parts = apply_operations(operations, frames_THWC, resampler.reads)
                windows = [resampler.of_part(part) for part in parts]
            else:
                windows = [resampler(frame) for frame in frames_THWC]
            clips.append(torch.stack(windows).permute(3, 0, 1, 2))
        return clips

    def _draw_jittered(self, height: int, width: int, generator: np.random.Generator) -> Placement:
        low, high = self.jitter_scales
        if self.inverse_uniform:
            short_side = round(1 / generator.uniform(1 / high, 1 / low))
        else:
            short_side = round(generator.uniform(low, high))
        scaled = scale_short_side(height, width, short_side)
        top = int(generator.integers(0, scaled[0] - self.crop_size + 1))
        left = int(generator.integers(0, scaled[1] - self.crop_size + 1))
        window = Box(top, left, self.crop_size, self.crop_size)
        return Placement(Box(0, 0, height, width), scaled, window)


def _scaled_down(
    frames_THWC: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], short_side: int
) -> Sequence[NDArray[np.uint8]] | NDArray[np.uint8]:
    """The frames with a short side of no more than this many pixels, each uint8 (H, W, 3)."""
    height, width = frames_THWC[0].shape[:2]
    if min(height, width) <= short_side:
        return frames_THWC
    size = scale_short_side(height, width, short_side)
    resampler = Resampler(Placement(Box(0, 0, height, width), size, Box(0, 0, *size)))
    return [resampler(frame).numpy() for frame in frames_THWC]
