"""Frames from segments that cover the whole video (TSN): one frame of each, whatever its length and rate.

Source: SlowFast slowfast/datasets/ssv2.py, get_seq_frames.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvit_video.data.sampling.clips import FrameIndices, check_positive, check_video_frames


@dataclass(frozen=True)
class SegmentSpec:
    """A clip of one frame from each of ``num_frames`` (T) equal segments of the video.

    Segment i reaches from round(i s) to round((i + 1) s), both included, with s = (video frames - 1) / T and
    halves rounded to even; neighbours share a frame.
    """

    num_frames: int

    def __post_init__(self) -> None:
        check_positive(self, "num_frames")

    def bounds(self, video_frames: int) -> tuple[FrameIndices, FrameIndices]:
        """First and last frame of each segment: int64 (T,) each."""
        check_video_frames(video_frames)
        length = (video_frames - 1) / self.num_frames
        edges = np.round(length * np.arange(self.num_frames + 1)).astype(np.int64)
        return edges[:-1], edges[1:]

    def frame_indices(self, video_frames: int, clip: int = 0, num_clips: int = 1) -> FrameIndices:
        """Test clip ``clip`` of ``num_clips``: int64 (T,), non-decreasing.

        A single clip takes the middle, (first + last) // 2, as the official code does. Several share the
        frames of each segment out evenly: clip j stands at 1/2 + (j - (num_clips - 1) // 2) / num_clips of
        them, so clip (num_clips - 1) // 2 is the official one, and where a segment has as many frames as
        there are clips, each takes another one.
        """
        if not 0 <= clip < num_clips:
            raise ValueError(f"clip {clip} was asked for, but there are {num_clips} (0 to {num_clips - 1})")
        first, last = self.bounds(video_frames)
        share = num_clips + 2 * (clip - (num_clips - 1) // 2)  # of 2 num_clips; whole numbers, so exact
        return first - (-(last - first + 1) * share) // (2 * num_clips) - 1

    def draw(self, generator: np.random.Generator) -> NDArray[np.float64]:
        """Where in each segment: float64 (T,) in [0, 1)."""
        return generator.random(self.num_frames)

    def train_indices(self, draw: NDArray[np.float64], video_frames: int, fps: float) -> FrameIndices:
        """A frame of each segment, both ends included and all equally likely; ``fps`` does not matter."""
        first, last = self.bounds(video_frames)
        return first + (draw * (last - first + 1)).astype(np.int64)
