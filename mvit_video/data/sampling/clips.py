"""Which frames make a clip: pure arithmetic, no video touched.

A clip of T frames at sampling rate tau spans ``T * tau`` frames of a video at the target frame rate (30), so
at another rate it spans as many frames as last equally long. Frames are counted from 0; starts and spans are
in frames of the video and may be fractional, as the official code's are.

Source: SlowFast slowfast/datasets/decoder.py, get_start_end_idx and temporal_sampling.
"""

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray

FrameIndices = NDArray[np.int64]


class Duration(float):
    """Seconds of video that remember the frames and the rate they come from."""

    num_frames: int
    frame_rate: Fraction

    def __new__(cls, num_frames: int, frame_rate: Fraction) -> "Duration":
        """``num_frames / frame_rate`` seconds."""
        duration = super().__new__(cls, float(num_frames / frame_rate))
        duration.num_frames, duration.frame_rate = num_frames, frame_rate
        return duration

    def __getnewargs__(self) -> tuple[int, Fraction]:  # type: ignore[override]
        return self.num_frames, self.frame_rate


def check_positive(spec: object, *names: str) -> None:
    """Checks numbers of a specification that must be above 0.

    Raises:
        ValueError: Naming the first that is not.
    """
    for name in names:
        if not 0 < getattr(spec, name) < math.inf:
            raise ValueError(f"{name} is {getattr(spec, name)}, expected more than 0")


def check_video_frames(video_frames: int) -> None:
    """Checks that there is a frame to take.

    Raises:
        ValueError: There is none.
    """
    if video_frames < 1:
        raise ValueError(f"video_frames is {video_frames}, expected at least 1")


@dataclass(frozen=True)
class ClipSpec:
    """A clip of ``num_frames`` (T) frames, ``sampling_rate`` (tau) apart at ``target_fps``.

    In training the target rate is raised by up to ``jitter_fps`` (DATA.TRAIN_JITTER_FPS), which makes clips
    shorter in time.
    """

    num_frames: int
    sampling_rate: int
    target_fps: float = 30.0
    jitter_fps: float = 0.0

    def __post_init__(self) -> None:
        check_positive(self, "num_frames", "sampling_rate", "target_fps")
        if not 0 <= self.jitter_fps < math.inf:
            raise ValueError(f"jitter_fps is {self.jitter_fps}, expected 0 or more")

    @property
    def seconds(self) -> float:
        """How long a clip lasts, in seconds."""
        return self.sampling_rate * self.num_frames / self.target_fps

    def size(self, fps: float) -> float:
        """How many frames of a video at ``fps`` a clip spans; fractional, at least 1."""
        return max(1.0, self.sampling_rate * self.num_frames / self.target_fps * fps)

    def slack(self, video_frames: int, fps: float) -> float:
        """How many frames the start of a clip can move within a video; 0 when the video is too short."""
        return max(video_frames - self.size(fps), 0.0)

    def frame_indices(self, start: float, fps: float, video_frames: int) -> FrameIndices:
        """The T frames of the clip that starts at ``start``: int64, non-decreasing.

        T points spread evenly from the first to the last frame of the span, cut off to whole frames (16x4
        gives 0, 4, 8, 12, 16, 21, ..., 63, not steps of 4). Beyond the end the last frame repeats.
        """
        check_video_frames(video_frames)
        # torch and not numpy: the float32 rounding of torch.linspace decides which frame a whole number is.
        # Counted from the whole frame before the start, so that it is the same anywhere in a long video.
        origin = math.floor(start)
        points = torch.linspace(start - origin, start - origin + self.size(fps) - 1, self.num_frames)
        indices: FrameIndices = points.numpy().astype(np.int64) + origin
        return np.minimum(np.maximum(indices, 0), video_frames - 1)

    def random_start(self, position: float, video_frames: int, fps: float) -> float:
        """The start for training: ``position``, drawn from [0, 1), of the slack."""
        return position * self.slack(video_frames, fps)

    def draw(self, generator: np.random.Generator) -> NDArray[np.float64]:
        """The position, and the jitter of the target rate if there is one: float64 in [0, 1)."""
        return generator.random(2 if self.jitter_fps else 1)

    def train_indices(self, draw: NDArray[np.float64], video_frames: int, fps: float) -> FrameIndices:
        """The clip at a random place of the video: int64 (T,), non-decreasing.

        Source: SlowFast slowfast/datasets/kinetics.py (target_fps) and decoder.py get_start_end_idx, -1.
        """
        clip = (
            replace(self, target_fps=self.target_fps + self.jitter_fps * float(draw[1]))
            if self.jitter_fps
            else self
        )
        return clip.frame_indices(clip.random_start(float(draw[0]), video_frames, fps), fps, video_frames)


def uniform_start(index: int, num_clips: int, slack: float, *, use_offset: bool) -> float:
    """The start of test clip ``index`` of ``num_clips``, spread over a video with ``slack`` frames to spare.

    Args:
        index: 0 to num_clips - 1.
        num_clips: Clips per video.
        slack: Frames in the video less frames in a clip, not negative.
        use_offset: True (TEST.USE_OFFSET_SAMPLING, all published MViT recipes): whole steps, the last clip
            near the end, a single clip in the middle. False: steps of slack / num_clips; the last clip
            never reaches the end.
    """
    if not 0 <= index < num_clips:
        raise ValueError(f"clip {index} was asked for, but there are {num_clips} (0 to {num_clips - 1})")
    if not use_offset:
        return slack * index / num_clips
    if num_clips == 1:
        return float(math.floor(slack / 2))
    return float(index * math.floor(slack / (num_clips - 1)))
