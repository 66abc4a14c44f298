"""Test views: one decoding pass per video gives all its temporal clips and spatial crops.

Positions need the frame count. Where the packets are trusted, theirs is exact and decoding ends at the last
frame needed. Elsewhere theirs is nearly always right: positions are computed from it, the video is decoded to
its end, and where decoding finds another count, positions and views are made again.

Axes: V views (temporal first, then crop), T frames, S crop size.
"""

import heapq
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from mvit_video.data.augment.placements import Box, place_test_crop
from mvit_video.data.augment.resampling import Resampler
from mvit_video.data.sampling.clips import FrameIndices
from mvit_video.data.sampling.view_plan import ViewPlan
from mvit_video.data.video.errors import Damage, IndexContradicted
from mvit_video.data.video.reader import Image, VideoFrames

# Images that are scaled in one go, which saves a sixth (480x270) to a half (176x144) of scaling. They are
# copied together; where that costs more than it saves (1280x720), they are too large for this.
_MOST_IMAGES = 64
_MOST_BYTES = 1 << 22


class ClipTimes(NamedTuple):
    """Where in the video a clip lies: from its first frame's start to its last frame's end."""

    start_seconds: float
    end_seconds: float
    frame_indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Views:
    """Views of a video; ``views, clips = ...`` takes the first two apart.

    Attributes:
        views: uint8 (V, 3, T, S, S), laid out channels last.
        clips: One per temporal view.
        damage: Where the video is damaged, if decoding came across it: it was treated as ending there.
    """

    views: torch.Tensor
    clips: tuple[ClipTimes, ...]
    damage: Damage | None = None

    def __iter__(self) -> Iterator[Any]:
        return iter((self.views, self.clips))


def decode_views(
    video: VideoFrames,
    plan: ViewPlan,
    *,
    shuffle_seed: int | None = None,
    room: bytearray | memoryview | None = None,
) -> Views:
    """Decodes all views of a video, in one pass unless its packets miscount its frames.

    Args:
        video: From ``open_video`` or ``open_reader``.
        plan: The views.
        shuffle_seed: Puts the frames of each clip in a random order of this seed (a control: what is left
            of the accuracy when order is gone).
        room: Memory that the views are written into, from its beginning, where it is large enough. If it has
            been used before, thirty views cost 15 to 25 ms less than in new memory.

    Raises:
        VideoError: The video is damaged, and was opened to refuse that.
    """
    assumed = max(1, video.expected_frames)
    while True:
        indices = plan.frame_indices(assumed, video.fps)
        try:
            views_VTSSC = _decode_clips(video, plan, indices, room)
            found = video.num_frames
        except IndexContradicted:
            continue  # its packets are not trusted any more
        if found == assumed:
            break
        assumed = found
    if shuffle_seed is not None:
        indices = _shuffle(views_VTSSC, plan, indices, shuffle_seed)
    fps = video.fps
    times = tuple(_clip_times(clip, fps) for clip in indices)
    return Views(views_VTSSC.permute(0, 4, 1, 2, 3), times, video.damage)


def iter_clips(video: VideoFrames, plan: ViewPlan, every_seconds: float) -> Iterator[Views]:
    """One clip every so many seconds, to the end, in memory that does not grow with the video.

    Clips start at 0, ``every_seconds``, 2 ``every_seconds``, ... (at least a frame apart). A last clip that
    runs over the end repeats the last frame; it is left out when less than half of it lies in the video (the
    first clip never is). With segments, a clip's T segments are those of its T x tau frames.

    Args:
        video: From ``open_video`` or ``open_reader``.
        plan: T, tau, crops and sizes; ``temporal_views`` does not matter here.
        every_seconds: From one clip's start to the next.

    Yields:
        Views of one clip: its spatial crops.

    Raises:
        VideoError: The video is damaged, and was opened to refuse that; what came before it has been yielded.
    """
    if not 0 < every_seconds < math.inf:
        raise ValueError(f"every_seconds is {every_seconds}, expected a number above 0")
    number = 0
    while True:
        try:
            for views in _windows(video, plan, every_seconds, number):
                yield views
                number += 1
            return
        except IndexContradicted:
            continue  # its packets are not trusted any more: on with the clip that was to come


def _windows(video: VideoFrames, plan: ViewPlan, every_seconds: float, first: int) -> Iterator[Views]:
    """The clips from number ``first`` on."""
    fps = video.fps
    pattern = plan.window_indices(fps)
    step = max(1.0, every_seconds * fps)
    crops = _Crops(video, plan)
    held: dict[int, torch.Tensor] = {}  # what the clips to come need of the frames already seen
    number, start = first, _whole_frames(first * step)
    for index, image in video.stream(_indices_of_clips(pattern, step, first), until_end=True):
        held[index] = torch.cat(crops(image))
        while index >= start + pattern[-1]:
            yield _gather(held, pattern + start, video)
            number, start = number + 1, _whole_frames((number + 1) * step)
            held = {kept: pixels for kept, pixels in held.items() if kept >= start}
    while number == 0 or video.num_frames - start >= plan.clip.size(fps) / 2:
        yield _gather(held, np.minimum(pattern + start, video.num_frames - 1), video)
        number, start = number + 1, _whole_frames((number + 1) * step)


def _indices_of_clips(pattern: FrameIndices, step: float, number: int) -> Iterator[int]:
    """The frames of the clips from ``number`` on, ``step`` frames apart: sorted, each once."""
    last = -1
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


class _Crops:
    """The spatial crops of a picture: scaled once together, where they overlap, and then cut apart."""

    def __init__(self, video: VideoFrames, plan: ViewPlan) -> None:
        sizes = {"short_side": plan.short_side, "crop_size": plan.crop_size}
        numbers = (1,) if plan.spatial_crops == 1 else (0, 1, 2)  # a single crop is the centre
        placements = [place_test_crop(video.height, video.width, crop=number, **sizes) for number in numbers]
        windows = [placement.window for placement in placements]
        top, left = min(window.top for window in windows), min(window.left for window in windows)
        height = max(window.top + window.height for window in windows) - top
        width = max(window.left + window.width for window in windows) - left
        self._apart: list[Resampler] = []
        if height * width > sum(window.height * window.width for window in windows):
            self._apart = [Resampler(placement) for placement in placements]
        self._together = Resampler(replace(placements[0], window=Box(top, left, height, width)))
        self._parts = [
            (
                slice(window.top - top, window.top - top + window.height),
                slice(window.left - left, window.left - left + window.width),
            )
            for window in windows
        ]

    def __call__(self, image: Image) -> list[torch.Tensor]:
        """uint8 (1, S, S, 3) per crop."""
        if self._apart:
            return [resample(image)[None] for resample in self._apart]
        return self._cut(self._together(image)[None])

    def of_all(
        self, frames: Iterable[tuple[int, Image]], together: int
    ) -> Iterator[tuple[list[int], list[torch.Tensor]]]:
        """The indices of up to so many frames, and uint8 (N, S, S, 3) per crop; each to be used at once."""
        if together == 1 or self._apart:
            for index, image in frames:
                yield [index], self(image)
            return
        box = self._together.reads
        parts_NHWC = np.empty((together, box.height, box.width, 3), np.uint8)
        remaining = iter(frames)
        while group := list(self._collect(remaining, parts_NHWC)):
            yield group, self._cut(self._together.of_parts(parts_NHWC[: len(group)]))

    def _collect(self, frames: Iterator[tuple[int, Image]], parts_NHWC: Image) -> Iterator[int]:
        """Copies what is read of the next frames, each while the cache has it; yields the indices."""
        for part_HWC, (index, image) in zip(parts_NHWC, frames, strict=False):
            part_HWC[:] = self._together.part_of(image)
            yield index

    def _cut(self, scaled_NHWC: torch.Tensor) -> list[torch.Tensor]:
        return [scaled_NHWC[:, rows, columns] for rows, columns in self._parts]


def _decode_clips(
    video: VideoFrames,
    plan: ViewPlan,
    indices: Sequence[FrameIndices],
    room: bytearray | memoryview | None,
) -> torch.Tensor:
    """uint8 (V, T, S, S, 3); each frame is put where it belongs as it comes, and not kept."""
    slots: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for view, clip in enumerate(indices):
        for time, index in enumerate(clip.tolist()):
            slots[index].append((view * plan.spatial_crops, time))
    size = plan.crop_size
    num_views = len(indices) * plan.spatial_crops
    views_VTSSC = _array((num_views, plan.num_frames, size, size, 3), room)
    crops = _Crops(video, plan)
    frames = video.stream(sorted(slots), until_end=True, no_more=True)
    together = max(1, min(_MOST_IMAGES, _MOST_BYTES // (3 * video.height * video.width)))
    for group, crops_of_group in crops.of_all(frames, together):
        for number, windows in enumerate(crops_of_group):
            pixels_NSSC = windows.numpy()  # whose assignments cost less than torch's
            for index, pixels_SSC in zip(group, pixels_NSSC, strict=True):
                for view, time in slots.get(index, ()):
                    views_VTSSC[view + number, time] = pixels_SSC
    return torch.from_numpy(views_VTSSC)


def _array(shape: tuple[int, ...], room: bytearray | memoryview | None) -> NDArray[np.uint8]:
    """uint8 of this shape, in ``room`` or in memory of its own."""
    count = math.prod(shape)
    if room is not None and len(room) >= count:
        return np.frombuffer(room, np.uint8, count).reshape(shape)
    # NumPy asks for huge pages, PyTorch does not: filling 30 views of 16 frames takes a third of the time.
    return np.empty(shape, np.uint8)


def _gather(held: dict[int, torch.Tensor], indices: FrameIndices, video: VideoFrames) -> Views:
    clip_TVSSC = torch.stack([held[index] for index in indices.tolist()])
    return Views(clip_TVSSC.permute(1, 4, 0, 2, 3), (_clip_times(indices, video.fps),), video.damage)


def _shuffle(
    views_VTSSC: torch.Tensor, plan: ViewPlan, indices: Sequence[FrameIndices], seed: int
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
