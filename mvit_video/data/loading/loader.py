"""Batches of training clips and a stream of test videos, read ahead by worker processes.

The order of an epoch comes from (seed, epoch) and each sample from its key, so worker count and a start in
the middle of an epoch change no batch.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from mvit_video.data.loading.datasets import SampleKey, TestSample, TestVideos, TrainClips, TrainSample
from mvit_video.data.video.errors import VideoError

_ORDER = 2  # a random stream apart from those of the samples


class Batch(NamedTuple):
    """Training clips uint8 (B, 3, T, S, S), laid out channels last, with labels and indices int64 (B,)."""

    clips: torch.Tensor
    labels: torch.Tensor
    indices: torch.Tensor
    num_replaced: int


class TrainLoader:
    """Shuffled batches, epoch by epoch; a last batch that is not full is dropped.

    Workers stay alive between epochs and end with the loader.
    """

    def __init__(self, dataset: TrainClips, *, batch_size: int, num_workers: int = 0, seed: int = 0) -> None:
        if batch_size < 1 or batch_size > len(dataset):
            raise ValueError(
                f"the batch size is {batch_size}, expected 1 to {len(dataset)}, the number of training videos"
            )
        self._seed = seed
        self._plan = _EpochPlan(len(dataset), batch_size)
        self._loader: DataLoader[TrainSample | VideoError] = DataLoader(
            _Reader(dataset),
            batch_sampler=self._plan,
            num_workers=num_workers,
            collate_fn=_collate,
            worker_init_fn=_init_worker,
            persistent_workers=num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    @property
    def num_batches(self) -> int:
        """Batches per epoch."""
        return self._plan.num_batches

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from ``start_batch`` on, the same in every run.

        Raises:
            VideoError: A video, and every one drawn to replace it, cannot be read.
        """
        if not 0 <= start_batch <= self.num_batches:
            raise ValueError(f"start_batch is {start_batch}, expected 0 to {self.num_batches}")
        order = np.random.default_rng([self._seed, epoch, _ORDER]).permutation(self._plan.num_videos)
        self._plan.arrange(epoch, order.tolist(), start_batch)
        for batch in self._loader:
            if isinstance(batch, VideoError):
                raise batch
            yield batch


def test_loader(dataset: TestVideos, *, num_workers: int) -> Iterator[TestSample]:
    """The samples of all videos, in order; each video is decoded once."""
    as_it_is: Any = _as_it_is
    loader: DataLoader[TestSample] = DataLoader(
        dataset,
        batch_size=None,
        num_workers=num_workers,
        collate_fn=as_it_is,
        worker_init_fn=_init_worker,
        prefetch_factor=1 if num_workers else None,  # all views of a video can be hundreds of megabytes
    )
    yield from loader


test_loader.__test__ = False  # type: ignore[attr-defined]  # not a test, whatever pytest thinks of the name


class _EpochPlan:
    """The batches of keys that the loader's workers are given; rearranged before each epoch."""

    def __init__(self, num_videos: int, batch_size: int) -> None:
        self.num_videos = num_videos
        self.num_batches = num_videos // batch_size
        self._batch_size = batch_size
        self._batches: list[list[SampleKey]] = []

    def arrange(self, epoch: int, order: list[int], start_batch: int) -> None:
        keys = [SampleKey(epoch, index) for index in order]
        starts = range(start_batch * self._batch_size, self.num_batches * self._batch_size, self._batch_size)
        self._batches = [keys[start : start + self._batch_size] for start in starts]

    def __iter__(self) -> Iterator[list[SampleKey]]:
        return iter(self._batches)

    def __len__(self) -> int:
        return len(self._batches)


class _Reader(Dataset[TrainSample | VideoError]):
    """Hands an error over as a value, so that it keeps its one line on the way out of a worker."""

    def __init__(self, dataset: TrainClips) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, key: SampleKey) -> TrainSample | VideoError:
        try:
            return self._dataset[key]
        except VideoError as error:
            return VideoError(str(error))


def _collate(samples: list[TrainSample | VideoError]) -> Batch | VideoError:
    read: list[TrainSample] = []
    for sample in samples:
        if isinstance(sample, VideoError):
            return sample
        read.append(sample)
    clips_BTSSC = torch.stack([sample.clip.permute(1, 2, 3, 0) for sample in read])
    return Batch(
        clips_BTSSC.permute(0, 4, 1, 2, 3),
        torch.tensor([sample.label for sample in read], dtype=torch.int64),
        torch.tensor([sample.index for sample in read], dtype=torch.int64),
        sum(sample.replaced for sample in read),
    )


def _as_it_is(sample: TestSample) -> TestSample:
    """The loader's own conversion would make lists of tuples."""
    return sample


def _init_worker(worker: int) -> None:
    """Workers share the processor with each other and the model: one thread each."""
    torch.set_num_threads(1)
