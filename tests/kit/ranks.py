"""Processes that share a test between them; worker processes import it."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from mvit_video.data.loading import loader


def read_shard(dataset, rank, world_size):
    """(index, (process, sum of the pixels)) of the videos of this rank."""
    samples = loader.test_loader(dataset, num_workers=1, rank=rank, world_size=world_size)
    return [(sample.index, (os.getpid(), int(sample.views.sum()))) for sample in samples]


def read_shards(dataset, world_size):
    """The same of all ranks, each in a process of its own."""
    with ProcessPoolExecutor(world_size, mp_context=get_context("spawn")) as ranks:
        found = [ranks.submit(read_shard, dataset, rank, world_size) for rank in range(world_size)]
        return [future.result() for future in found]
