"""Batches of training clips and a stream of test videos, read ahead by worker processes.

The order of an epoch comes from (seed, epoch), each sample from its key and each mix from its group's place
in the epoch, so worker count, process count and a start in the middle of an epoch change no batch.
"""

import itertools
import logging
import threading
import weakref
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np
import torch

from mvit_video.data.augment.mixing import Mix, Mixing
from mvit_video.data.loading.batches import Batch, BatchBuilder
from mvit_video.data.loading.datasets import TestSample, TestVideos, TrainClips, TrainSample
from mvit_video.data.loading.pool import Crash, WorkerPool
from mvit_video.data.loading.read_ahead import ReadAhead
from mvit_video.data.loading.reading import ClipTask, ReadClips, ReadViews, SampleKey, Unreadable, ViewTask
from mvit_video.data.loading.shards import batch_positions, check_rank, epoch_order, shard
from mvit_video.data.video.errors import VideoError

_MIXING = 5  # a random stream apart from those of the samples
_BATCHES_AHEAD = 2
_logger = logging.getLogger(__name__)


class TrainLoader:
    """Shuffled batches, epoch by epoch; videos left over at the end sit the epoch out.

    Workers start with the first epoch, stay alive between epochs and end with the loader. A video at which a
    worker crashes or hangs is replaced like an unreadable one, and not tried again.

    Args:
        dataset: The clips.
        batch_size: Videos per batch of this process.
        num_workers: Processes that decode; 0 decodes in this one, where a crash or hang is not survived.
        seed: Of the order and the mixes.
        timeout_seconds: A video that takes a worker longer is given up.
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
        self._num_workers = num_workers
        self._pool: WorkerPool[ClipTask, ReadClips | Unreadable] = WorkerPool(
            dataset.reader,
            num_workers=num_workers,
            timeout_seconds=timeout_seconds,
            result_bytes=dataset.reader.result_bytes,
            waiting=batch_size,
        )
        self._given_up: dict[int, str] = {}  # by index: what became of the worker
        self._told: set[str] = set()  # bad videos that the log has named
        self._reading: weakref.ref[ReadAhead[Batch]] | None = None

    @property
    def num_batches(self) -> int:
        """Batches per epoch."""
        return len(self._dataset) // (self._batch_size * self._world_size)

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from ``start_batch`` on, the same in every run.

        Leaving an epoch early is fine; with workers, beginning another one ends it.

        Raises:
            VideoError: A video, and every one drawn to replace it, cannot be read.
        """
        if not 0 <= start_batch <= self.num_batches:
            raise ValueError(f"start_batch is {start_batch}, expected 0 to {self.num_batches}")
        if self._num_workers == 0:
            return self._batches(epoch, start_batch)
        self._end_reading()
        stop = threading.Event()
        device = torch.cuda.current_device() if torch.cuda.is_initialized() else None  # type: ignore[no-untyped-call]
        reading = ReadAhead(self._batches(epoch, start_batch, stop, device), _BATCHES_AHEAD, stop.set)
        self._reading = weakref.ref(reading)
        return reading

    def close(self) -> None:
        """Ends the workers; safe to call twice."""
        self._end_reading()
        self._pool.close()

    def _end_reading(self) -> None:
        reading = self._reading() if self._reading else None
        if reading is not None:
            reading.close()

    def _batches(
        self, epoch: int, start_batch: int, stop: threading.Event | None = None, device: int | None = None
    ) -> Generator[Batch, None, None]:
        if device is not None:
            torch.cuda.set_device(device)  # of this thread: where its pinned memory belongs
        order = epoch_order(len(self._dataset), self._seed, epoch)
        batches = range(start_batch, self.num_batches)
        tasks = (
            self._task(SampleKey(epoch, int(order[position])))
            for batch in batches
            for position in self._positions(batch)
        )
        with closing(self._pool.run(tasks, self._replace, stop)) as results:
            for batch in batches:
                builder = BatchBuilder(self._batch_size, pin_memory=device is not None)
                for task, result in itertools.islice(results, self._batch_size):
                    builder.add(self._sample(task, result))
                yield builder.batch(self._mixes(epoch, batch, *builder.height_width), self._group_size)

    def _positions(self, batch: int) -> range:
        return batch_positions(batch, self._batch_size, self._rank, self._world_size)

    def _task(self, key: SampleKey) -> ClipTask:
        """What to read for this key, past the videos that ended a worker before."""
        task = self._dataset.task(key)
        while task.index in self._given_up:
            replacement = self._replace(task, Unreadable(self._given_up[task.index]))
            if replacement is None:
                break
            task = replacement
        return task

    def _replace(self, task: ClipTask, result: ReadClips | Unreadable | Crash) -> ClipTask | None:
        """What to read instead of a video that gave no clips; None: it gave some, or enough were tried."""
        if isinstance(result, ReadClips):
            return None
        if isinstance(result, Crash):
            self._given_up[task.index] = result.reason
        try:
            return self._dataset.replace(task, result.reason)
        except VideoError:
            return None

    def _sample(self, task: ClipTask, result: ReadClips | Unreadable | Crash) -> TrainSample:
        if not isinstance(result, ReadClips):
            self._dataset.replace(task, result.reason)  # raises
            raise AssertionError
        for bad in task.bad:
            if bad.path not in self._told:
                self._told.add(bad.path)
                _logger.warning("training goes on without a video: %s", bad)
        return self._dataset.sample(task, result)

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
) -> Generator[TestSample, None, None]:
    """The samples of all videos of this process, in order; each video is decoded once.

    Args:
        dataset: The videos and their views.
        num_workers: Processes that decode; 0 decodes in this one, where a crash or hang is not survived.
        timeout_seconds: A video that takes a worker longer comes back as an error.
        rank: Which process this is.
        world_size: How many share the videos; their shards differ by one video at most, and every video is
            in one of them.
    """
    indices = shard(len(dataset), rank, world_size)
    pool: WorkerPool[ViewTask, ReadViews | Unreadable] = WorkerPool(
        dataset.reader,
        num_workers=min(num_workers, len(indices)),
        timeout_seconds=timeout_seconds,
        result_bytes=dataset.reader.result_bytes,
        queued=1,  # all views of a video can be hundreds of megabytes
    )
    with pool, closing(pool.run(map(dataset.task, indices))) as results:
        for task, result in results:
            yield dataset.sample(task, _own(result, copy=num_workers > 0))


test_loader.__test__ = False  # type: ignore[attr-defined]  # not a test, whatever pytest thinks of the name


def _own(result: ReadViews | Unreadable | Crash, *, copy: bool) -> ReadViews | Unreadable:
    """The result, if need be in memory that nobody else uses."""
    if isinstance(result, Crash):
        return Unreadable(result.reason)
    if isinstance(result, ReadViews) and copy:
        return replace(result, views=result.views.clone())
    return result


def _check_batch_size(batch_size: int, num_videos: int, world_size: int) -> None:
    if 1 <= batch_size <= num_videos // world_size:
        return
    if world_size == 1:
        raise ValueError(
            f"the batch size is {batch_size}, expected 1 to {num_videos}, the number of training videos"
        )
    raise ValueError(
        f"the batch size of each of {world_size} processes is {batch_size}, expected 1 to "
        f"{num_videos // world_size}: there are {num_videos} training videos"
    )
