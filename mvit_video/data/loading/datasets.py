"""Map-style datasets: a key in, a sample out, whatever process it runs in.

Everything random about a training sample is drawn from (seed, epoch, index, repeat), so the number of
workers, the order of work and a resumed run change nothing.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset

from mvit_video.data.augment.crops import Resampler, TrainTransform
from mvit_video.data.lists.reading import ListError, VideoRecord
from mvit_video.data.loading.views import ClipTimes, decode_views
from mvit_video.data.sampling.clips import ClipSpec, FrameIndices
from mvit_video.data.sampling.view_plan import ViewPlan
from mvit_video.data.video.errors import VideoError
from mvit_video.data.video.pyav import VideoReader

MAX_REPLACEMENTS = 10
_CLIP, _REPLACEMENT = 0, 1  # independent random streams of one sample
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SampleKey:
    """Which training sample: draw ``repeat`` of video ``index`` in ``epoch``."""

    epoch: int
    index: int
    repeat: int = 0


@dataclass(frozen=True, slots=True)
class TrainSample:
    """A training clip, uint8 (3, T, S, S) laid out channels last.

    ``index`` and ``label`` are those of the video that was read; ``replaced`` counts the unreadable videos
    before it.
    """

    clip: torch.Tensor
    label: int
    index: int
    replaced: int


@dataclass(frozen=True, slots=True)
class TestSample:
    """All views of one video, uint8 (V, 3, T, S, S); or None and the reason in ``error``."""

    index: int
    views: torch.Tensor | None
    clips: tuple[ClipTimes, ...]
    error: str | None


class TrainClips(Dataset[TrainSample]):
    """One random clip, randomly cut, of a labelled video.

    An unreadable video is replaced by another one, drawn from the same seed and counted.
    """

    def __init__(
        self, records: Sequence[VideoRecord], clip: ClipSpec, transform: TrainTransform, *, seed: int = 0
    ) -> None:
        if len(records) == 0:
            raise ListError("there are no videos to train on")
        unlabelled = next((record.path for record in records if record.label is None), None)
        if unlabelled is not None:
            raise ListError(f"{unlabelled}: has no label, and training needs one for every video")
        self.records = records
        self.clip = clip
        self.transform = transform
        self.seed = seed

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, key: SampleKey) -> TrainSample:
        """The sample of this key.

        Raises:
            VideoError: Neither the video nor any of the ten drawn to replace it can be read.
        """
        index = key.index
        replacements = self._generator(key, _REPLACEMENT)
        for replaced in range(MAX_REPLACEMENTS + 1):
            path, label, _ = self.records[index]
            assert label is not None
            try:
                return TrainSample(self._read_clip(path, key), label, index, replaced)
            except VideoError as error:
                _logger.warning("training goes on without a video: %s", error)
                failure = error
            index = int(replacements.integers(len(self.records)))
        raise VideoError(f"{failure} (and {MAX_REPLACEMENTS} more videos before it could not be read)")

    def _generator(self, key: SampleKey, stream: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, key.epoch, key.index, key.repeat, stream])

    def _read_clip(self, path: str, key: SampleKey) -> torch.Tensor:
        generator = self._generator(key, _CLIP)
        position = generator.random()
        with VideoReader(path) as video:
            resampler = Resampler(self.transform.draw(video.height, video.width, generator))
            fps, assumed = video.fps, max(1, video.expected_frames)
            while True:
                start = self.clip.random_start(position, assumed, fps)
                indices = self.clip.frame_indices(start, fps, assumed)
                clip_TSSC = _read_frames(video, indices, resampler)
                if clip_TSSC is not None:
                    return clip_TSSC.permute(3, 0, 1, 2)
                assumed = video.num_frames  # fewer than the packets promised


def _read_frames(video: VideoReader, indices: FrameIndices, resampler: Resampler) -> torch.Tensor | None:
    """The frames, cut: uint8 (T, S, S, 3); or None if the video ends before the last of them.

    Stops at the last frame needed: for a random position an assumed count that is too low does no harm.
    """
    windows = [
        (index, resampler(image))
        for index, image in video.stream(dict.fromkeys(indices.tolist()), until_end=True)
    ]
    if windows[-1][0] < indices[-1]:
        return None
    window_of = dict(windows)
    return torch.stack([window_of[index] for index in indices.tolist()])


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
    ) -> None:
        self.records = records
        self.plan = plan
        self.shuffle_frames = shuffle_frames
        self.seed = seed

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> TestSample:
        """The views of video ``index``."""
        shuffle_seed: int | None = None
        if self.shuffle_frames:
            shuffle_seed = int(np.random.SeedSequence([self.seed, index]).generate_state(1)[0])
        try:
            with VideoReader(self.records[index].path) as video:
                views, clips = decode_views(video, self.plan, shuffle_seed=shuffle_seed)
        except VideoError as error:
            return TestSample(index, None, (), str(error))
        return TestSample(index, views, clips, None)
