"""Test views: one decoding pass per video gives all its temporal clips and spatial crops.

Positions need the frame count, which only decoding knows. The packets give a count that is nearly always
right; positions are computed from it, the video is decoded to its end, and where decoding finds another
count, the positions are computed again and the video decoded once more. Decoding stops early nowhere: the
last clip ends near the end anyway, and a count that is not verified is not known.

Axes: V views (temporal first, then crop), T frames, S crop size.
"""

import heapq
import math
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from mvit_video.data.augment.crops import Resampler, place_test_crop
from mvit_video.data.sampling.clips import FrameIndices
from mvit_video.data.sampling.view_plan import ViewPlan
from mvit_video.data.video.pyav import VideoReader


class ClipTimes(NamedTuple):
    """Where in the video a clip lies: from its first frame's start to its last frame's end."""

    start_seconds: float
    end_seconds: float
    frame_indices: tuple[int, ...]


class Views(NamedTuple):
    """uint8 (V, 3, T, S, S), laid out channels last; and one ``ClipTimes`` per temporal view."""

    views: torch.Tensor
    clips: tuple[ClipTimes, ...]


def decode_views(video: VideoReader, plan: ViewPlan, *, shuffle_seed: int | None = None) -> Views:
    """Decodes all views of a video, in one pass unless its packets miscount its frames.

    Args:
        video: From ``open_video``.
        plan: The views.
        shuffle_seed: Puts the frames of each clip in a random order of this seed (a control: what is left
            of the accuracy when order is gone).

    Raises:
        VideoError: The video is damaged.
    """
    fps = video.fps
    assumed = max(1, video.expected_frames)
    while True:
        indices = plan.frame_indices(assumed, fps)
        views = _decode_clips(video, plan, indices)
        if video.num_frames == assumed:
            break
        assumed = video.num_frames
    if shuffle_seed is not None:
        indices = _shuffle(views, plan, indices, shuffle_seed)
    return Views(views.permute(0, 4, 1, 2, 3), tuple(_clip_times(clip, fps) for clip in indices))


def iter_clips(video: VideoReader, plan: ViewPlan, every_seconds: float) -> Iterator[Views]:
    """One clip every so many seconds, to the end, in memory that does not grow with the video.

    Clips start at 0, ``every_seconds``, 2 ``every_seconds``, ... (at least a frame apart). A last clip that
    runs over the end repeats the last frame; it is left out when less than half of it lies in the video (the
    first clip never is).

    Args:
        video: From ``open_video``.
        plan: T, tau, crops and sizes; ``temporal_views`` does not matter here.
        every_seconds: From one clip's start to the next.

    Yields:
        Views of one clip: its spatial crops.

    Raises:
        VideoError: The video is damaged; what came before it has been yielded.
    """
    if not 0 < every_seconds < math.inf:
        raise ValueError(f"every_seconds is {every_seconds}, expected a number above 0")
    fps = video.fps
    pattern = plan.window_indices(fps)
    step = max(1.0, every_seconds * fps)
    crops = _resamplers(video, plan)
    held: dict[int, torch.Tensor] = {}  # what the clips to come need of the frames already seen
    number, start = 0, 0
    for index, image in video.stream(_indices_of_clips(pattern, step), until_end=True):
        held[index] = torch.stack([crop(image) for crop in crops])
        while index >= start + pattern[-1]:
            yield _gather(held, pattern + start, fps)
            number, start = number + 1, _whole_frames((number + 1) * step)
            held = {kept: pixels for kept, pixels in held.items() if kept >= start}
    while number == 0 or video.num_frames - start >= plan.clip.size(fps) / 2:
        yield _gather(held, np.minimum(pattern + start, video.num_frames - 1), fps)
        number, start = number + 1, _whole_frames((number + 1) * step)


def _indices_of_clips(pattern: FrameIndices, step: float) -> Iterator[int]:
    """The frames of endlessly many clips of this pattern, ``step`` frames apart, in order, each once."""
    number, last = 0, -1
    wanted: list[int] = []
    while True:
        while not wanted or _whole_frames(number * step) <= wanted[0]:
            for index in pattern + _whole_frames(number * step):
                heapq.heappush(wanted, int(index))
            number += 1
        index = heapq.heappop(wanted)
        if index > last:
            last = index
            yield index


def _whole_frames(position: float) -> int:
    return int(position + 1e-6)


def _resamplers(video: VideoReader, plan: ViewPlan) -> list[Resampler]:
    """One per spatial crop; a single crop is the centre."""
    crops = (1,) if plan.spatial_crops == 1 else (0, 1, 2)
    placements = (
        place_test_crop(
            video.height, video.width, short_side=plan.short_side, crop_size=plan.crop_size, crop=crop
        )
        for crop in crops
    )
    return [Resampler(placement) for placement in placements]


def _decode_clips(video: VideoReader, plan: ViewPlan, indices: tuple[FrameIndices, ...]) -> torch.Tensor:
    """uint8 (V, T, S, S, 3); each frame is put where it belongs as it comes, and not kept."""
    slots: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for view, clip in enumerate(indices):
        for time, index in enumerate(clip.tolist()):
            slots[index].append((view * plan.spatial_crops, time))
    size = plan.crop_size
    views_VTSSC = torch.empty((plan.num_views, plan.num_frames, size, size, 3), dtype=torch.uint8)
    crops = _resamplers(video, plan)
    for index, image in video.stream(sorted(slots), until_end=True):
        for number, crop in enumerate(crops):
            window = crop(image)
            for view, time in slots.get(index, ()):
                views_VTSSC[view + number, time] = window
    return views_VTSSC


def _gather(held: dict[int, torch.Tensor], indices: FrameIndices, fps: float) -> Views:
    clip_TVSSC = torch.stack([held[index] for index in indices.tolist()])
    return Views(clip_TVSSC.permute(1, 4, 0, 2, 3), (_clip_times(indices, fps),))


def _shuffle(
    views_VTSSC: torch.Tensor, plan: ViewPlan, indices: tuple[FrameIndices, ...], seed: int
) -> tuple[FrameIndices, ...]:
    """Puts each clip's frames in random order, in place, alike in its crops; returns the new order."""
    generator = np.random.default_rng(seed)
    shuffled = []
    for view, clip in enumerate(indices):
        order = generator.permutation(len(clip))
        rows = slice(view * plan.spatial_crops, (view + 1) * plan.spatial_crops)
        views_VTSSC[rows] = views_VTSSC[rows][:, torch.from_numpy(order)]
        shuffled.append(clip[order])
    return tuple(shuffled)


def _clip_times(clip: FrameIndices, fps: float) -> ClipTimes:
    return ClipTimes(int(clip.min()) / fps, (int(clip.max()) + 1) / fps, tuple(clip.tolist()))
