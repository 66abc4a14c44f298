"""Our test and training positions as PyTorchVideo clip samplers, for its datasets.

A clip is given in seconds from its first frame to just behind its last (frame / fps, as fractions), so that
``get_clip`` comes back to exactly those frames. ``subsample`` picks T of them; where a clip does not span a
whole number of frames, ``clip_CTHW[:, clip.frame_indices(0, fps, clip_CTHW.shape[1])]`` picks the official T.
"""

import random
from fractions import Fraction
from typing import Any

from pytorchvideo.data.clip_sampling import ClipInfo
from pytorchvideo.data.clip_sampling import ClipSampler as PytorchClipSampler

from mvit_video.data.sampling.clips import ClipSpec, Duration, uniform_start


class ClipSampler(PytorchClipSampler):
    """What both samplers share: positions in frames, given in seconds.

    Durations of our own videos know their frame count and rate. For any other video the rate is ``fps``
    (the clip's target rate when None) and the count is what the duration holds at that rate.
    """

    def __init__(self, clip: ClipSpec, *, fps: float | None = None) -> None:
        super().__init__(Fraction(clip.seconds))
        self.clip = clip
        self._fallback_rate = Fraction(clip.target_fps if fps is None else fps)

    def _measure(self, duration: float | Fraction) -> tuple[int, Fraction]:
        if isinstance(duration, Duration):
            return duration.num_frames, duration.frame_rate
        return max(1, round(float(duration * self._fallback_rate))), self._fallback_rate

    def _clip_info(self, start: float, duration: float | Fraction, index: int, *, is_last: bool) -> ClipInfo:
        video_frames, rate = self._measure(duration)
        indices = self.clip.frame_indices(start, float(rate), video_frames)
        first, last = int(indices[0]), int(indices[-1])
        return ClipInfo(first / rate, (last + 1) / rate, index, 0, is_last)


class RandomClips(ClipSampler):
    """One clip per video, anywhere in it (training).

    Source: SlowFast slowfast/datasets/decoder.py get_start_end_idx, clip_idx -1.
    """

    def __init__(
        self, clip: ClipSpec, *, fps: float | None = None, generator: random.Random | None = None
    ) -> None:
        super().__init__(clip, fps=fps)
        self._random = generator or random.Random()

    def __call__(
        self, last_clip_time: float | Fraction, video_duration: float | Fraction, annotation: dict[str, Any]
    ) -> ClipInfo:
        """The next clip of a video of ``video_duration`` seconds."""
        video_frames, rate = self._measure(video_duration)
        start = self.clip.random_start(self._random.random(), video_frames, float(rate))
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
        index = self._current_clip_index
        video_frames, rate = self._measure(video_duration)
        slack = self.clip.slack(video_frames, float(rate))
        start = uniform_start(index, self.num_clips, slack, use_offset=self._use_offset)
        is_last = index == self.num_clips - 1
        self._current_clip_index = 0 if is_last else index + 1
        return self._clip_info(start, video_duration, index, is_last=is_last)

    def reset(self) -> None:
        """Starts again at the first clip, for the next video."""
        self._current_clip_index = 0
