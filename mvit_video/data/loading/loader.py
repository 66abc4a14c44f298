"""Batches of training clips and a stream of test videos, read ahead by worker processes.

The order of an epoch comes from (seed, epoch), each sample from its key and each mix from its group's place
in the epoch, so worker count, process count and a start in the middle of an epoch change no batch.

Axes: B = videos times R repeats, T frames, S crop size.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from mvit_video.data.augment.erasing import Erasure
from mvit_video.data.augment.mixing import Mix, Mixing
from mvit_video.data.loading.bad_videos import BadVideo
from mvit_video.data.loading.datasets import TestSample, TestVideos, TrainClips, TrainSample
from mvit_video.data.loading.reading import SampleKey
from mvit_video.data.loading.shards import batch_positions, check_rank, epoch_order, shard
from mvit_video.data.video.errors import VideoError

_MIXING = 5  # a random stream apart from those of the samples


class Batch(NamedTuple):
    """Training clips uint8 (B, 3, T, S, S), laid out channels last, of B / R videos: v0r0 v0r1 v1r0 v1r1 ...

    ``labels`` and ``indices`` are int64 (B,); ``erasures`` has an entry per clip; ``mixes`` one per group of
    ``group_size`` clips, or none when nothing is mixed. ``bad`` are the unreadable videos that others stand
    in for, ``damaged`` those whose good part is in the batch.
    """

    clips: torch.Tensor
    labels: torch.Tensor
    indices: torch.Tensor
    erasures: Sequence[Erasure | None] = ()
    mixes: Sequence[Mix] = ()
    group_size: int = 1
    bad: tuple[BadVideo, ...] = ()
    damaged: tuple[BadVideo, ...] = ()

    @property
    def num_replaced(self) -> int:
        """How many unreadable videos were met on the way to this batch."""
        return len(self.bad)


class TrainLoader:
    """Shuffled batches, epoch by epoch; videos left over at the end sit the epoch out.

    Workers stay alive between epochs and end with the loader.

    Args:
        dataset: The clips.
        batch_size: Videos per batch of this process.
        num_workers: Processes that decode; 0 decodes in this one.
        seed: Of the order and the mixes.
        timeout_seconds: A video that takes longer is given up (with workers).
        mixing: Draws mixup and CutMix for each group, if given.
        group_size: Videos mixed with each other.
        rank: Which process this is.
        world_size: How many there are; together they read ``world_size * batch_size`` consecutive videos of
            the epoch's order at a time.
    """

    def __init__(
        self,
        dataset: TrainClips,
        *,
        batch_size: int,
        num_workers: int = 0,
        seed: int = 0,
        timeout_seconds: float = 60.0,
        mixing: Mixing | None = None,
        group_size: int = 2,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        check_rank(rank, world_size)
        _check_batch_size(batch_size, len(dataset), world_size)
        if mixing is not None and (group_size < 1 or batch_size % group_size):
            raise ValueError(
                f"the batch size is {batch_size} videos and MIXUP.GROUP_SIZE {group_size}, expected a "
                "multiple of it (whole groups are mixed)"
            )
        self._dataset = dataset
        self._batch_size = batch_size
        self._seed = seed
        self._mixing = mixing
        self._group_size = group_size
        self._rank = rank
        self._world_size = world_size
        self._plan: list[list[SampleKey]] = []
        self._loader: DataLoader[Any] = DataLoader(
            _Reader(dataset),
            batch_sampler=_Plan(self._plan),
            num_workers=num_workers,
            collate_fn=_as_it_is,
            worker_init_fn=_init_worker,
            persistent_workers=num_workers > 0,
        )

    @property
    def num_batches(self) -> int:
        """Batches per epoch."""
        return len(self._dataset) // (self._batch_size * self._world_size)

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from ``start_batch`` on, the same in every run.

        Raises:
            VideoError: A video, and every one drawn to replace it, cannot be read.
        """
        if not 0 <= start_batch <= self.num_batches:
            raise ValueError(f"start_batch is {start_batch}, expected 0 to {self.num_batches}")
        order = epoch_order(len(self._dataset), self._seed, epoch)
        batches = range(start_batch, self.num_batches)
        self._plan[:] = [
            [SampleKey(epoch, int(order[position])) for position in self._positions(batch)]
            for batch in batches
        ]
        for batch, samples in zip(batches, self._loader, strict=True):
            for sample in samples:
                if isinstance(sample, VideoError):
                    raise sample
            yield self._assemble(epoch, batch, samples)

    def _positions(self, batch: int) -> range:
        return batch_positions(batch, self._batch_size, self._rank, self._world_size)

    def _assemble(self, epoch: int, batch: int, samples: list[TrainSample]) -> Batch:
        repeats = len(samples[0].clips)
        clips_BTSSC = torch.cat([sample.clips.permute(0, 2, 3, 4, 1) for sample in samples])
        return Batch(
            clips_BTSSC.permute(0, 4, 1, 2, 3),
            torch.tensor([sample.label for sample in samples]).repeat_interleave(repeats),
            torch.tensor([sample.index for sample in samples]).repeat_interleave(repeats),
            [erasure for sample in samples for erasure in sample.erasures],
            self._mixes(epoch, batch, *clips_BTSSC.shape[2:4]),
            self._group_size * repeats if self._mixing else 1,
            tuple(bad for sample in samples for bad in sample.bad),
            tuple(damaged for sample in samples for damaged in sample.damaged),
        )

    def _mixes(self, epoch: int, batch: int, height: int, width: int) -> list[Mix]:
        if self._mixing is None:
            return []
        groups = [position // self._group_size for position in self._positions(batch)[:: self._group_size]]
        return [
            self._mixing.draw(np.random.default_rng([self._seed, epoch, group, 0, _MIXING]), height, width)
            for group in groups
        ]


def test_loader(
    dataset: TestVideos,
    *,
    num_workers: int,
    timeout_seconds: float = 60.0,  # noqa: PT028 -- not a test
    rank: int = 0,  # noqa: PT028
    world_size: int = 1,  # noqa: PT028
) -> Iterator[TestSample]:
    """The samples of all videos of this process, in order; each video is decoded once.

    Args:
        dataset: The videos and their views.
        num_workers: Processes that decode; 0 decodes in this one.
        timeout_seconds: A video that takes longer comes back as an error (with workers).
        rank: Which process this is.
        world_size: How many share the videos; their shards differ by one video at most.
    """
    indices = shard(len(dataset), rank, world_size)
    loader: DataLoader[TestSample] = DataLoader(
        dataset,
        batch_size=None,
        sampler=list(indices),
        num_workers=num_workers,
        collate_fn=_as_it_is,
        worker_init_fn=_init_worker,
        prefetch_factor=1 if num_workers else None,  # all views of a video can be hundreds of megabytes
    )
    yield from loader


test_loader.__test__ = False  # type: ignore[attr-defined]  # not a test, whatever pytest thinks of the name


def _check_batch_size(batch_size: int, num_videos: int, world_size: int) -> None:
    if batch_size < 1 or batch_size * world_size > num_videos:
        processes = f" in each of {world_size} processes" if world_size > 1 else ""
        raise ValueError(
            f"the batch size is {batch_size}{processes}, expected 1 to {num_videos // world_size}, "
            f"{'the number of training videos' if world_size == 1 else f'of {num_videos} training videos'}"
        )


class _Plan:
    """The batches of keys that the loader's workers are given; filled before each epoch."""

    def __init__(self, batches: list[list[SampleKey]]) -> None:
        self._batches = batches

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


def _as_it_is(samples: Any) -> Any:
    """The loader's own conversion would make lists of tuples."""
    return samples


def _init_worker(worker: int) -> None:
    """Workers share the processor with each other and the model: one thread each."""
    torch.set_num_threads(1)
