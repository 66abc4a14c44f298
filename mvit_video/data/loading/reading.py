"""What a worker does: a path in, the clips of one video out.

Everything random about a sample is drawn from (seed, epoch, index, repeat) and from nothing else. What
cannot be read comes back as a value, `Unreadable`: who asked decides what takes its place.

Axes: R repeats, V views, T frames, S crop size, C = 3 colours.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mvit_video.data.augment.erasing import Erasure, RandomErasing
from mvit_video.data.augment.transform import TrainTransform
from mvit_video.data.loading.bad_videos import BadVideo, bad_video
from mvit_video.data.loading.views import ClipTimes, decode_views
from mvit_video.data.loading.worker import result_room
from mvit_video.data.sampling.train_sampling import TrainSampling
from mvit_video.data.sampling.view_plan import ViewPlan
from mvit_video.data.video.errors import IndexContradicted, VideoError
from mvit_video.data.video.opening import Decoding, open_reader
from mvit_video.data.video.reader import VideoReader

_PLACES = 3  # from the packets, from what decoding finds, and once more
_DECODING = Decoding()
_TIME, _SPACE, _ERASING = 0, 3, 4  # independent random streams of one sample


@dataclass(frozen=True, slots=True)
class SampleKey:
    """Which training sample: video ``index`` in ``epoch``."""

    epoch: int
    index: int


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Instead of a video's clips: why there are none."""

    reason: str


@dataclass(frozen=True, slots=True)
class ClipTask:
    """Read the video at ``path`` as the sample ``key``; ``bad`` were tried before it."""

    key: SampleKey
    index: int
    path: str
    bad: tuple[BadVideo, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadClips:
    """uint8 (R, 3, T, S, S), laid out channels last, what to erase of each, and damage that was cut off."""

    clips: torch.Tensor
    erasures: tuple[Erasure | None, ...]
    damaged: tuple[BadVideo, ...]


@dataclass(frozen=True)
class ClipReader:
    """Reads training clips: one temporal draw, decoded once, and ``repeats`` spatial draws of it."""

    sampling: TrainSampling
    transform: TrainTransform
    seed: int = 0
    repeats: int = 1
    erasing: RandomErasing | None = None
    decoding: Decoding = _DECODING

    @property
    def result_bytes(self) -> int:
        """How large the clips are, if the transform tells how large it makes them."""
        side = getattr(self.transform, "crop_size", 0)
        return self.repeats * self.sampling.num_frames * side * side * 3

    def __call__(self, task: ClipTask) -> ReadClips | Unreadable:
        """The clips of the task's video."""
        try:
            return self.read(task.path, task.key)
        except VideoError as error:
            return Unreadable(bad_video(task.path, str(error)).reason)

    def read(self, path: str, key: SampleKey) -> ReadClips:
        """The clips of the video at ``path``, as sample ``key``.

        Raises:
            VideoError: It cannot be read.
        """
        draw = self.sampling.draw(self._generator(key, 0, _TIME))
        with open_reader(path, self.decoding) as video:
            frames = _read_frames(video, self.sampling, draw)
            damaged = _damage_of(video, path)
        generators = [self._generator(key, repeat, _SPACE) for repeat in range(self.repeats)]
        clips = self.transform.clips(frames, generators)
        return ReadClips(_stack(clips), self._draw_erasures(key, clips[0]), damaged)

    def _draw_erasures(self, key: SampleKey, clip_CTSS: torch.Tensor) -> tuple[Erasure | None, ...]:
        if self.erasing is None:
            return (None,) * self.repeats
        shape = clip_CTSS.shape[1:]
        return tuple(
            self.erasing.draw(self._generator(key, repeat, _ERASING), *shape)
            for repeat in range(self.repeats)
        )

    def _generator(self, key: SampleKey, repeat: int, stream: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, key.epoch, key.index, repeat, stream])


def _read_frames(
    video: VideoReader, sampling: TrainSampling, draw: NDArray[np.float64]
) -> list[NDArray[np.uint8]]:
    """The T frames that ``draw`` means, each uint8 (H, W, 3); repeated ones are one array.

    Stops at the last frame needed: for a random place a count that is too low does no harm.
    """
    assumed = max(1, video.expected_frames)
    for _ in range(_PLACES):
        indices = sampling.train_indices(draw, assumed, video.fps).tolist()
        try:
            frames = dict(video.stream(dict.fromkeys(indices), until_end=True, no_more=True))
        except IndexContradicted:
            frames = {}
        if indices[-1] in frames:
            return [frames[index] for index in indices]
        assumed = video.num_frames  # not what the packets promised
    raise VideoError(f"{video.name}: it has another number of frames each time; re-encode it")


def _damage_of(video: VideoReader, path: str) -> tuple[BadVideo, ...]:
    if video.damage is None:
        return ()
    return (BadVideo(path, f"good up to frame {video.damage.frame}, then {video.damage.reason}"),)


def _stack(clips: list[torch.Tensor]) -> torch.Tensor:
    """(R, 3, T, S, S) in the layout that the clips have, without a copy of a single one."""
    clips_TSSC = [clip.permute(1, 2, 3, 0) for clip in clips]
    stacked = clips_TSSC[0][None] if len(clips) == 1 else torch.stack(clips_TSSC)
    return stacked.permute(0, 4, 1, 2, 3)


@dataclass(frozen=True, slots=True)
class ViewTask:
    """Read all views of the video at ``path``, number ``index`` of its list."""

    index: int
    path: str


@dataclass(frozen=True, slots=True)
class ReadViews:
    """uint8 (V, 3, T, S, S), laid out channels last, where they lie, and damage that was cut off."""

    views: torch.Tensor
    clips: tuple[ClipTimes, ...]
    damaged: tuple[BadVideo, ...]


@dataclass(frozen=True)
class ViewReader:
    """Reads test views; ``shuffle_frames`` puts each clip's frames in an order of (seed, index)."""

    plan: ViewPlan
    shuffle_frames: bool = False
    seed: int = 0
    decoding: Decoding = _DECODING

    @property
    def result_bytes(self) -> int:
        """How large the views are."""
        plan = self.plan
        return plan.num_views * plan.num_frames * plan.crop_size**2 * 3

    def __call__(self, task: ViewTask) -> ReadViews | Unreadable:
        """All views of the task's video."""
        shuffle_seed: int | None = None
        if self.shuffle_frames:
            shuffle_seed = int(np.random.SeedSequence([self.seed, task.index]).generate_state(1)[0])
        try:
            with open_reader(task.path, self.decoding) as video:
                views, clips = decode_views(video, self.plan, shuffle_seed=shuffle_seed, room=result_room())
                return ReadViews(views, clips, _damage_of(video, task.path))
        except VideoError as error:
            return Unreadable(bad_video(task.path, str(error)).reason)
