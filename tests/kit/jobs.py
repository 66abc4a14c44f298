"""What processes that are started by ours do; they import it."""

import os
import sys
from pathlib import Path

from kit.tiny_runs import tiny_config

from mvit_video.engine import RunError, Stopped, run
from mvit_video.engine.processes.joining import joined
from mvit_video.engine.processes.starting import run_together


def tell_ranks(config):
    """Which processes there are, by rank, and how many threads they compute with."""
    with joined(config) as group:
        return group.gather((group.rank, group.world_size, os.environ["OMP_NUM_THREADS"]))


def fail(config):
    """What somebody can mend."""
    with joined(config):
        raise RunError("list.csv: does not exist, correct it")


def break_one(config):
    """A fault of one process."""
    with joined(config) as group:
        if group.rank == 1:
            raise TypeError("a fault of the program")
        group.barrier()


if __name__ == "__main__":
    folder, videos = map(Path, sys.argv[1:3])
    try:
        run_together(run, tiny_config(folder, *sys.argv[3:], videos=videos), 2)
    except Stopped as stop:
        print(stop)
        sys.exit(128 + stop.signal_number)
