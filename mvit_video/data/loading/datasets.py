"""Map-style datasets: a key in, a sample out, whatever process it runs in.

The number of workers, the order of work and a resumed run change nothing about a sample.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset

from mvit_video.data.augment.erasing import Erasure, RandomErasing
from mvit_video.data.augment.transform import TrainTransform
from mvit_video.data.lists.records import ListError, VideoRecord
from mvit_video.data.loading.bad_videos import BadVideo
from mvit_video.data.loading.reading import (
    ClipReader,
    ClipTask,
    ReadClips,
    ReadViews,
    SampleKey,
    Unreadable,
    ViewReader,
    ViewTask,
)
from mvit_video.data.loading.views import ClipTimes
from mvit_video.data.sampling.train_sampling import TrainSampling
from mvit_video.data.sampling.view_plan import ViewPlan
from mvit_video.data.video.errors import VideoError
from mvit_video.data.video.opening import Decoding

MAX_REPLACEMENTS = 10
_DRAWS = 100  # of which the first that was not tried yet counts
_REPLACEMENT = 1  # a random stream apart from those of the clips


@dataclass(frozen=True, slots=True)
class TrainSample:
    """The clips of one video: uint8 (R, 3, T, S, S) laid out channels last, R the repeats.

    ``index`` and ``label`` are those of the video that was read; ``erasures`` says what to erase of each
    clip; ``bad`` are the unreadable videos it stands in for, ``damaged`` is itself if its end was cut off.
    """

    clips: torch.Tensor
    label: int
    index: int
    erasures: tuple[Erasure | None, ...] = ()
    bad: tuple[BadVideo, ...] = ()
    damaged: tuple[BadVideo, ...] = ()


@dataclass(frozen=True, slots=True)
class TestSample:
    """All views of one video, uint8 (V, 3, T, S, S); or None and the reason in ``error``."""

    __test__ = False  # not a test class, whatever pytest thinks of the name

    index: int
    views: torch.Tensor | None
    clips: tuple[ClipTimes, ...]
    error: str | None
    damaged: tuple[BadVideo, ...] = ()


class TrainClips(Dataset[TrainSample]):
    """One random clip, randomly cut, of a labelled video.

    An unreadable video is replaced by another one, drawn from the same seed and reported in ``bad``.

    Args:
        records: Videos with labels.
        sampling: Which frames make a clip.
        transform: Crops and augments.
        seed: Of everything random.
        repeats: R, clips cut out of the same frames (repeated augmentation).
        erasing: Draws what to erase of each clip, on the device and later.
        decoding: How videos are opened.
    """

    def __init__(
        self,
        records: Sequence[VideoRecord],
        sampling: TrainSampling,
        transform: TrainTransform,
        *,
        seed: int = 0,
        repeats: int = 1,
        erasing: RandomErasing | None = None,
        decoding: Decoding = Decoding(),  # noqa: B008 -- frozen
    ) -> None:
        if len(records) == 0:
            raise ListError("there are no videos to train on")
        unlabelled = next((record.path for record in records if record.label is None), None)
        if unlabelled is not None:
            raise ListError(f"{unlabelled}: has no label, and training needs one for every video")
        if repeats < 1:
            raise ValueError(f"repeats is {repeats}, expected at least 1")
        self.records = records
        self.reader = ClipReader(sampling, transform, seed, repeats, erasing, decoding)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, key: SampleKey) -> TrainSample:
        """The sample of this key.

        Raises:
            VideoError: Neither the video nor any of the ten drawn to replace it can be read.
        """
        task = self.task(key)
        while isinstance(result := self.reader(task), Unreadable):
            task = self.replace(task, result.reason)
        return self.sample(task, result)

    def task(self, key: SampleKey) -> ClipTask:
        """What to read for this key."""
        return ClipTask(key, key.index, self.records[key.index].path)

    def replace(self, task: ClipTask, reason: str) -> ClipTask:
        """What to read where the task's video is unreadable.

        Raises:
            VideoError: Ten others were unreadable before it, or all that were drawn.
        """
        bad = (*task.bad, BadVideo(task.path, reason))
        if len(bad) > MAX_REPLACEMENTS:
            raise VideoError(f"{bad[-1]} (and {MAX_REPLACEMENTS} more videos before it could not be read)")
        key, tried = task.key, {video.path for video in bad}
        generator = np.random.default_rng([self.reader.seed, key.epoch, key.index, 0, _REPLACEMENT])
        for index in generator.integers(len(self.records), size=_DRAWS).tolist():
            path = self.records[index].path
            if path not in tried:
                return ClipTask(key, index, path, bad)
        raise VideoError(f"{bad[-1]} ({len(bad) - 1} more could not be read before it, and no other is left)")

    def sample(self, task: ClipTask, read: ReadClips) -> TrainSample:
        """The sample that came of a task."""
        label = self.records[task.index].label
        assert label is not None
        return TrainSample(read.clips, label, task.index, read.erasures, task.bad, read.damaged)


class TestVideos(Dataset[TestSample]):
    """All views of each video; what cannot be read comes back as an error, never as another video.

    ``shuffle_frames`` puts the frames of every clip in random order, drawn from ``seed`` and the index.
    """

    __test__ = False  # not a test class, whatever pytest thinks of the name

    def __init__(
        self,
        records: Sequence[VideoRecord],
        plan: ViewPlan,
        *,
        shuffle_frames: bool = False,
        seed: int = 0,
        decoding: Decoding = Decoding(),  # noqa: B008 -- frozen
    ) -> None:
        self.records = records
        self.plan = plan
        self.reader = ViewReader(plan, shuffle_frames, seed, decoding)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> TestSample:
        """The views of video ``index``."""
        task = self.task(index)
        return self.sample(task, self.reader(task))

    def task(self, index: int) -> ViewTask:
        """What to read for this index."""
        return ViewTask(index, self.records[index].path)

    def sample(self, task: ViewTask, read: ReadViews | Unreadable) -> TestSample:
        """The sample that came of a task."""
        if isinstance(read, Unreadable):
            return TestSample(task.index, None, (), str(BadVideo(task.path, read.reason)))
        return TestSample(task.index, read.views, read.clips, None, read.damaged)
