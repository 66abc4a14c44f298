"""Which temporal clips and spatial crops of a video are tested."""

from dataclasses import dataclass
from typing import Literal, get_args

from mvit_video.data.sampling.clips import ClipSpec, FrameIndices, uniform_start
from mvit_video.data.sampling.segments import SegmentSpec

_ENDLESS = 2**62  # frames; more than any video has

Sampling = Literal["dense", "segments"]


@dataclass(frozen=True)
class ViewPlan:
    """Which views of a video are looked at.

    Args:
        num_frames: T, frames per clip.
        sampling_rate: tau, frames between them at ``target_fps``; with segments it only says how long the
            windows of ``iter_clips`` are.
        temporal_views: Clips per video, spread over it.
        spatial_crops: 1 (centre) or 3 (both ends and centre of the longer side).
        crop_size: S, side of a crop in pixels.
        short_side: What the short side is scaled to first, in pixels.
        use_offset_sampling: Which of the two official rules spreads the clips.
        target_fps: The frame rate that ``sampling_rate`` counts in.
        sampling: "dense": clips of T x tau frames (Kinetics). "segments": every clip takes a frame from each
            of T segments of the whole video (Something-Something-v2).
    """

    num_frames: int
    sampling_rate: int
    temporal_views: int
    spatial_crops: int
    crop_size: int
    short_side: int
    use_offset_sampling: bool = True
    target_fps: float = 30.0
    sampling: Sampling = "dense"

    def __post_init__(self) -> None:
        if self.temporal_views < 1:
            raise ValueError(f"temporal_views is {self.temporal_views}, expected at least 1")
        if self.spatial_crops not in (1, 3):
            raise ValueError(f"spatial_crops is {self.spatial_crops}, expected 1 or 3")
        if not 1 <= self.crop_size <= self.short_side:
            raise ValueError(f"crop_size is {self.crop_size}, expected 1 to short_side {self.short_side}")
        if self.sampling not in get_args(Sampling):
            raise ValueError(f"sampling is {self.sampling!r}, expected {' or '.join(get_args(Sampling))}")
        ClipSpec(self.num_frames, self.sampling_rate, self.target_fps)

    @property
    def clip(self) -> ClipSpec:
        """The clip of one temporal view."""
        return ClipSpec(self.num_frames, self.sampling_rate, self.target_fps)

    @property
    def num_views(self) -> int:
        """Views per video."""
        return self.temporal_views * self.spatial_crops

    def frame_indices(self, video_frames: int, fps: float) -> tuple[FrameIndices, ...]:
        """The frames of each temporal view of a video."""
        if self.sampling == "segments":
            segments = SegmentSpec(self.num_frames)
            return tuple(
                segments.frame_indices(video_frames, view, self.temporal_views)
                for view in range(self.temporal_views)
            )
        clip, slack = self.clip, self.clip.slack(video_frames, fps)
        starts = (
            uniform_start(view, self.temporal_views, slack, use_offset=self.use_offset_sampling)
            for view in range(self.temporal_views)
        )
        return tuple(clip.frame_indices(start, fps, video_frames) for start in starts)

    def window_indices(self, fps: float) -> FrameIndices:
        """The frames of a clip of T x tau frames, counted from its start, whatever the video's length."""
        if self.sampling == "segments":
            return SegmentSpec(self.num_frames).frame_indices(round(self.clip.size(fps)))
        return self.clip.frame_indices(0, fps, _ENDLESS)
