"""Our test and training positions as PyTorchVideo clip samplers, for its datasets.

A clip is given in seconds from its first frame to just behind its last (frame / fps, as fractions), so that
``get_clip`` comes back to exactly those frames. ``subsample`` picks T of them; where a clip does not span a
whole number of frames, ``clip_CTHW[:, clip.frame_indices(0, fps, clip_CTHW.shape[1])]`` picks the official T.
The frames of segments lie apart: they are given as T clips of one frame each, and come as a list.
"""

import random
from fractions import Fraction
from typing import Any

import numpy as np
from pytorchvideo.data.clip_sampling import ClipInfo, ClipInfoList
from pytorchvideo.data.clip_sampling import ClipSampler as PytorchClipSampler

from mvit_video.data.sampling.clips import ClipSpec, Duration, FrameIndices, uniform_start
from mvit_video.data.sampling.segments import SegmentSpec


class FrameSampler(PytorchClipSampler):
    """What all samplers share: positions in frames, given in seconds.

    Durations of our own videos know their frame count and rate. For any other video the rate is ``fps`` and
    the count is what the duration holds at that rate.
    """

    def __init__(self, seconds: float, fps: float) -> None:
        super().__init__(Fraction(seconds))
        self._fallback_rate = Fraction(fps)

    def reset(self) -> None:
        """Starts again at the first clip, for the next video."""
        self._current_clip_index = 0

    def _measure(self, duration: float | Fraction) -> tuple[int, Fraction]:
        if isinstance(duration, Duration):
            return duration.num_frames, duration.frame_rate
        return max(1, round(float(duration * self._fallback_rate))), self._fallback_rate

    def _next_of(self, num_clips: int) -> tuple[int, bool]:
        """The number of this clip, and whether it is the video's last; counts on."""
        index = self._current_clip_index
        is_last = index == num_clips - 1
        self._current_clip_index = 0 if is_last else index + 1
        return index, is_last


class ClipSampler(FrameSampler):
    """Clips of T x tau; for videos other than ours at ``fps`` (the clip's target rate when None)."""

    def __init__(self, clip: ClipSpec, *, fps: float | None = None) -> None:
        super().__init__(clip.seconds, clip.target_fps if fps is None else fps)
        self.clip = clip

    def _clip_info(self, start: float, duration: float | Fraction, index: int, *, is_last: bool) -> ClipInfo:
        video_frames, rate = self._measure(duration)
        indices = self.clip.frame_indices(start, float(rate), video_frames)
        first, last = int(indices[0]), int(indices[-1])
        return ClipInfo(first / rate, (last + 1) / rate, index, 0, is_last)


class RandomClips(ClipSampler):
    """One clip per video, anywhere in it (training).

    Without a ``generator`` positions come from the ``random`` module, as those of PyTorchVideo's own samplers
    do: a ``DataLoader`` seeds it differently in each worker and epoch.

    Source: SlowFast slowfast/datasets/decoder.py get_start_end_idx, clip_idx -1.
    """

    def __init__(
        self, clip: ClipSpec, *, fps: float | None = None, generator: random.Random | None = None
    ) -> None:
        super().__init__(clip, fps=fps)
        self._generator = generator

    def __call__(
        self, last_clip_time: float | Fraction, video_duration: float | Fraction, annotation: dict[str, Any]
    ) -> ClipInfo:
        """The next clip of a video of ``video_duration`` seconds."""
        video_frames, rate = self._measure(video_duration)
        position = (self._generator or random).random()
        start = self.clip.random_start(position, video_frames, float(rate))
        return self._clip_info(start, video_duration, 0, is_last=True)


class UniformClips(ClipSampler):
    """``num_clips`` clips per video at the official test positions, by either of its two rules.

    Source: SlowFast slowfast/datasets/decoder.py get_start_end_idx.
    """

    def __init__(
        self, clip: ClipSpec, num_clips: int, *, use_offset: bool = True, fps: float | None = None
    ) -> None:
        super().__init__(clip, fps=fps)
        self.num_clips = num_clips
        self._use_offset = use_offset

    def __call__(
        self, last_clip_time: float | Fraction, video_duration: float | Fraction, annotation: dict[str, Any]
    ) -> ClipInfo:
        """The next clip of a video of ``video_duration`` seconds."""
        index, is_last = self._next_of(self.num_clips)
        video_frames, rate = self._measure(video_duration)
        slack = self.clip.slack(video_frames, float(rate))
        start = uniform_start(index, self.num_clips, slack, use_offset=self._use_offset)
        return self._clip_info(start, video_duration, index, is_last=is_last)


class SegmentClips(FrameSampler):
    """One frame from each of T segments of the whole video, as for Something-Something-v2.

    A sample's "video" is then a list of T clips (C, 1, H, W); ``SampleTransform`` joins them.

    Args:
        segments: T.
        num_clips: Test clips per video, at the test positions; None for one random clip (training).
        fps: Of videos other than ours.
        generator: Of random clips; else they come from the ``random`` module.
    """

    def __init__(
        self,
        segments: SegmentSpec,
        num_clips: int | None = None,
        *,
        fps: float = 30.0,
        generator: random.Random | None = None,
    ) -> None:
        super().__init__(1 / fps, fps)
        self.segments = segments
        self.num_clips = num_clips
        self._generator = generator

    def __call__(  # type: ignore[override]  # a list of clips, as from RandomMultiClipSampler
        self, last_clip_time: object, video_duration: float | Fraction, annotation: dict[str, Any]
    ) -> ClipInfoList:
        """The frames of the next clip of a video of ``video_duration`` seconds."""
        video_frames, rate = self._measure(video_duration)
        index, is_last = self._next_of(self.num_clips or 1)
        frames = self._frames(index, video_frames, float(rate)).tolist()
        count = len(frames)
        return ClipInfoList(
            [frame / rate for frame in frames],
            [(frame + 1) / rate for frame in frames],
            [index] * count,
            [0] * count,
            [is_last] * count,
        )

    def _frames(self, index: int, video_frames: int, fps: float) -> FrameIndices:
        if self.num_clips is not None:
            return self.segments.frame_indices(video_frames, index, self.num_clips)
        source = self._generator or random
        draw = np.array([source.random() for _ in range(self.segments.num_frames)])
        return self.segments.train_indices(draw, video_frames, fps)
