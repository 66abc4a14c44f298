"""PyTorchVideo's clip samplers in our datasets: their seconds become our frame numbers.

A clip from ``start`` to ``end`` seconds has the frames i with ``start <= i / fps < end``, as its ``get_clip``
gives them; T of these, spread evenly from first to last, are taken (its ``UniformTemporalSubsample``). Its
samplers draw from Python's own random numbers. Here these are seeded from ours while a sampler runs, and
put back after, so a sample is the same in any process.

PyTorchVideo is not imported: a sampler is anything that is called and reset like its ``ClipSampler``.
"""

import contextlib
import copy
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from mvit_video.data.sampling.clips import FrameIndices, check_positive
from mvit_video.data.sampling.view_plan import ViewPlan

_MOST_CLIPS = 10_000  # of one video, and more per frame and second; a sampler without a last one is a mistake
_MOST_PER_SECOND = 100
_ROUNDING_FRAMES = 1e-6  # floats of seconds come back to the frame they were made from
_FINEST_RATE = 1_000_000  # 30000 / 1001 as a float is that fraction again


class SecondsSampler(Protocol):
    """What ``pytorchvideo.data.clip_sampling.ClipSampler`` is, as far as it is used here."""

    def __call__(self, last_clip_time: Any, video_duration: Any, annotation: Any, /) -> Any:
        """The next clip: start, end, clip index, augmentation index, is it the last; or lists of these."""

    def reset(self) -> None:
        """Starts anew, for the next video."""


@dataclass(frozen=True)
class SampledClips:
    """Training clips at the places a PyTorchVideo sampler chooses: a ``TrainSampling``.

    ``TrainClips`` takes one clip per video and epoch. Where the sampler gives several (uniform, constant
    clips per video, random multi), one of them is drawn, all equally likely.

    Args:
        sampler: Such as ``make_clip_sampler("random", 2.0)``. It is copied for every video.
        num_frames: T, frames per clip.
    """

    sampler: SecondsSampler
    num_frames: int

    def __post_init__(self) -> None:
        check_positive(self, "num_frames")

    def draw(self, generator: np.random.Generator) -> NDArray[np.float64]:
        """What the sampler's random numbers are seeded with, and which of its clips: float64 (2,)."""
        return generator.random(2)

    def train_indices(self, draw: NDArray[np.float64], video_frames: int, fps: float) -> FrameIndices:
        """The frames of one of the sampler's clips: int64 (T,), non-decreasing.

        A clip that lies behind the end is the last frame, repeated.
        """
        clips = _clips(self.sampler, video_frames, fps, seed=int(draw[0] * 2**53))
        first, stop = clips[int(draw[1] * len(clips))]
        return _spread(first, stop, video_frames, self.num_frames)


@dataclass(frozen=True)
class SampledViews(ViewPlan):
    """Test views at the places a PyTorchVideo sampler chooses: a plan for ``decode_views``, ``TestVideos``.

    A video has as many temporal views as the sampler gives it clips with frames, and at least one, so videos
    may have different numbers of views. A random sampler gives videos of the same length the same places.

    Args:
        sampler: Such as ``make_clip_sampler("constant_clips_per_video", 2.0, 10)``.
        seed: Of the random numbers that the sampler draws.
    """

    sampler: SecondsSampler = field(kw_only=True)
    seed: int = field(default=0, kw_only=True)

    def frame_indices(self, video_frames: int, fps: float) -> tuple[FrameIndices, ...]:
        """The frames of each clip that the sampler gives."""
        clips = _clips(self.sampler, video_frames, fps, self.seed)
        inside = [clip for clip in clips if clip[0] < min(clip[1], video_frames)] or clips[:1]
        return tuple(_spread(first, stop, video_frames, self.num_frames) for first, stop in inside)


def sampled_views(
    sampler: SecondsSampler,
    num_frames: int,
    *,
    crop_size: int = 224,
    short_side: int = 256,
    spatial_crops: int = 1,
    seed: int = 0,
) -> SampledViews:
    """The test views of a PyTorchVideo sampler, each of ``num_frames`` frames.

    Raises:
        ValueError: Sizes that do not fit, as for ``ViewPlan``.
    """
    return SampledViews(
        num_frames=num_frames,
        sampling_rate=1,
        temporal_views=1,
        spatial_crops=spatial_crops,
        crop_size=crop_size,
        short_side=short_side,
        sampler=sampler,
        seed=seed,
    )


def _clips(sampler: SecondsSampler, video_frames: int, fps: float, seed: int) -> list[tuple[int, int]]:
    """(first frame, behind the last frame) of all clips of a video; further views of a clip are left out."""
    rate = Fraction(fps).limit_denominator(_FINEST_RATE)
    duration = Fraction(video_frames) / rate
    sampler = copy.deepcopy(sampler)
    sampler.reset()
    clips: list[tuple[int, int]] = []
    time: Any = 0.0
    with _seeded(seed):
        for _ in range(_MOST_CLIPS + video_frames + _MOST_PER_SECOND * math.ceil(duration)):
            start, end, _, augmentation, is_last = sampler(time, duration, {})
            time = end
            rows = (
                zip(start, end, augmentation, strict=True)
                if isinstance(start, list)
                else [(start, end, augmentation)]
            )
            clips += [(_frame_from(a, rate), _frame_from(b, rate)) for a, b, number in rows if number == 0]
            if is_last[-1] if isinstance(is_last, list) else is_last:
                return clips
    raise ValueError(
        f"{type(sampler).__name__} says of no clip that it is the last ({len(clips)} clips of a video of "
        f"{float(duration):.2f} seconds)"
    )


def _frame_from(seconds: float | Fraction, rate: Fraction) -> int:
    """The first frame at or behind this time."""
    return max(0, math.ceil(seconds * rate - _ROUNDING_FRAMES))


def _spread(first: int, stop: int, video_frames: int, num_frames: int) -> FrameIndices:
    first = min(first, video_frames - 1)
    last = max(first, min(stop, video_frames) - 1)
    return first + torch.linspace(0, last - first, num_frames).long().numpy()


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seeds the random numbers that samplers use (Python's, NumPy's, PyTorch's on the CPU), for a while."""
    python, numpy, pytorch = random.getstate(), np.random.get_state(), torch.default_generator.get_state()
    try:
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.default_generator.manual_seed(seed)
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.default_generator.set_state(pytorch)
