"""Who reads which video: pure arithmetic, the same for any number of processes.

An epoch is one order of all videos; consecutive ones make a global batch, and each process reads an equal
run of it. Videos left over at the end sit the epoch out. In testing every video is read by one process.
"""

from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_ORDER = 2  # a random stream apart from those of the samples
T = TypeVar("T")


def epoch_order(num_videos: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """All indices in the order of this epoch: int64 (num_videos,)."""
    return np.random.default_rng([seed, epoch, _ORDER]).permutation(num_videos)


def batch_positions(batch: int, batch_size: int, rank: int, world_size: int) -> range:
    """The places in an epoch's order of batch ``batch`` of process ``rank``, ``batch_size`` videos each."""
    first = (batch * world_size + rank) * batch_size
    return range(first, first + batch_size)


def shard(num_videos: int, rank: int, world_size: int) -> range:
    """The videos that process ``rank`` tests: shards differ by one video at most, and cover each once."""
    check_rank(rank, world_size)
    return range(rank, num_videos, world_size)


def merge_shards(shards: Sequence[Iterable[tuple[int, T]]], num_videos: int) -> list[T]:
    """Puts what the processes found, as (index, result), into the order of the list.

    Raises:
        ValueError: A video is missing, or there twice.
    """
    merged: dict[int, T] = {}
    for results in shards:
        for index, result in results:
            if index in merged:
                raise ValueError(f"video {index} was tested twice, by two processes with the same rank?")
            merged[index] = result
    missing = [index for index in range(num_videos) if index not in merged]
    if missing or len(merged) > num_videos:
        raise ValueError(
            f"results of {len(merged)} videos were merged, expected {num_videos}"
            + (f"; video {missing[0]} is missing" if missing else "")
        )
    return [merged[index] for index in range(num_videos)]


def check_rank(rank: int, world_size: int) -> None:
    """Raise where there is no such process."""
    if not 0 <= rank < world_size:
        raise ValueError(f"rank is {rank} of world_size {world_size}, expected 0 to world_size - 1")
