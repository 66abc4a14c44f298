"""A training clip out of whole frames: drawn once, then the same for every frame.

Order: (short side scaled, RandAugment or colour jitter), cut and scaled, mirrored. The rest of the recipe
(normalising, erasing, mixing) happens to whole batches on the device: ``finish_batch``.

Source: SlowFast slowfast/datasets/kinetics.py (_aug_frame), datasets/utils.py (spatial_sampling) and
datasets/transform.py (random_short_side_scale_jitter, random_resized_crop, horizontal_flip).
Axes: R repeats, T frames, H height, W width, S crop size, C = 3 colours.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from mvit_video.data.augment.colour_jitter import draw_colour_jitter
from mvit_video.data.augment.operations import Operation, apply_operations
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

    def start(self, height: int, width: int, generators: Sequence[np.random.Generator]) -> "ClipMaker":
        """Draws clips of one decoded video, one per generator; the frames follow one by one.

        Args:
            height: Of the frames, in pixels.
            width: Of the frames, in pixels.
            generators: One per repeat; everything random about a repeat is drawn from its own.
        """
        return ClipMaker(self, height, width, generators)

    def __call__(
        self, frames_THWC: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], generator: np.random.Generator
    ) -> torch.Tensor:
        """Draws once and treats all frames alike: uint8 (3, T, S, S), laid out channels last."""
        height, width = frames_THWC[0].shape[:2]
        maker = self.start(height, width, [generator])
        for frame in frames_THWC:
            maker.add(frame)
        return maker.clips()[0]

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


class ClipMaker:
    """Clips of one video in the making, one per repeat, from frames added in order.

    Only what is needed of a frame is kept: its windows or, where whole pictures are changed, the frame with
    its short side scaled down. A frame may be used again for several places of the clip.
    """

    def __init__(
        self,
        transform: TrainTransform,
        height: int,
        width: int,
        generators: Sequence[np.random.Generator],
    ) -> None:
        self._scaler: Resampler | None = None
        if transform.changes_colours:
            short_side = min(height, width, transform.jitter_scales[0])
            size = scale_short_side(height, width, short_side)
            self._scaler = Resampler(Placement(Box(0, 0, height, width), size, Box(0, 0, *size)))
            height, width = size
        self._draws: list[tuple[tuple[Operation, ...], Resampler]] = []
        for generator in generators:
            operations = transform.draw_operations(generator)
            self._draws.append((operations, Resampler(transform.draw(height, width, generator))))
        self._kept: list[list[torch.Tensor]] = [[] for _ in generators]

    def add(self, frame_HWC: NDArray[np.uint8]) -> None:
        """Takes the next frame: uint8 (H, W, 3). It is not kept."""
        if self._scaler is not None:
            self._kept[0].append(self._scaler(frame_HWC).permute(2, 0, 1).contiguous())
            return
        for (_, resampler), kept in zip(self._draws, self._kept, strict=True):
            kept.append(resampler(frame_HWC))

    def clips(self, positions: Sequence[int] | None = None) -> torch.Tensor:
        """The clips: uint8 (R, 3, T, S, S), each laid out channels last.

        Args:
            positions: Which of the added frames stand where in the clip; all of them once by default.
        """
        chosen = None if positions is None else torch.as_tensor(positions, dtype=torch.int64)
        return torch.stack([self._clip(repeat, chosen) for repeat in range(len(self._draws))]).permute(
            0, 4, 1, 2, 3
        )

    def _clip(self, repeat: int, chosen: torch.Tensor | None) -> torch.Tensor:
        if self._scaler is None:
            clip_TSSC = torch.stack(self._kept[repeat])
        else:
            operations, resampler = self._draws[repeat]
            changed_TCHW = apply_operations(operations, torch.stack(self._kept[0]))
            clip_TSSC = torch.stack([resampler(frame.numpy()) for frame in changed_TCHW.permute(0, 2, 3, 1)])
        return clip_TSSC if chosen is None else clip_TSSC[chosen]
