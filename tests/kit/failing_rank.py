"""Two processes, one of which fails: ``failing_rank.py HOW TIMEOUT_SECONDS``."""

import os
import signal
import sys
import time

from mvit_video.config import load_config
from mvit_video.engine.errors import RunError
from mvit_video.engine.processes.joining import joined


def fail(how, group):
    """The first word is how, the second which rank (or all)."""
    how, _, who = how.partition(" ")
    if who not in (str(group.rank), "all"):
        return
    if how == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "hangs":
        time.sleep(1000)
    if how == "freezes":
        os.kill(os.getpid(), signal.SIGSTOP)
    if how == "mends":
        raise RunError("list.csv: does not exist, correct it")
    if how == "breaks":
        raise TypeError("a fault of the program")


if __name__ == "__main__":
    words = ["DEVICE", "cpu", "DISTRIBUTED.TIMEOUT_SECONDS", sys.argv[2]]
    try:
        with joined(load_config([], words)) as group:
            total = group.sum([group.rank + 1.0, 0.5])
            fail(sys.argv[1], group)
            ranks, first = group.gather(group.rank), group.broadcast(group.rank)
            print("sum", total, "ranks", ranks, "first", first, "any", group.any(group.rank == 1))
            print("jobs", group.gather(os.environ.get("SLURM_JOB_ID")))
    except RunError as error:
        print(f"error: {error}")
        sys.exit(2)
