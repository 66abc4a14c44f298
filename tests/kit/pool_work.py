"""Work for a pool of processes, good and bad; worker processes import it."""

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch

from mvit_video.data.loading.worker import heartbeat, result_room


def work(task):
    """Does ``(kind, value)``: see the functions below."""
    kind, value = task
    return globals()[f"do_{kind}"](value)


def do_return(value):
    return value


def do_pid(_):
    return os.getpid()


def do_segfault(_):
    ctypes.string_at(0)


def do_exit(status):
    os._exit(status)


def do_sleep(seconds):
    time.sleep(seconds)
    return seconds


def do_hold(seconds):
    """Sleeps in C and lets no Python code of this process run meanwhile."""
    ctypes.PyDLL(None).sleep(int(seconds))


def do_begin_and_sleep(marker):
    Path(marker).write_text(str(os.getpid()))
    time.sleep(1000)


def do_begin_and_wait(marker):
    Path(marker).write_text(str(os.getpid()))
    while not Path(marker + ".go").exists():
        time.sleep(0.01)
    return os.getpid()


def do_begin_and_hold(marker):
    Path(marker).write_text(str(os.getpid()))
    do_hold(1000)


def do_kill(markers):
    """Is killed from outside, the way a kernel short of memory does it, once per marker that is not there."""
    for marker in map(Path, markers):
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def do_raise(text):
    raise LookupError(text)


def do_raise_strange(text):
    class StrangeError(Exception):  # of a class that nobody else can import
        pass

    raise StrangeError(text)


def do_beat(times_and_seconds):
    times, seconds = times_and_seconds
    for _ in range(times):
        time.sleep(seconds)
        heartbeat()
    return times


def do_array(size):
    return {"array": np.arange(size), "name": size}


def do_clip(shape):
    """A tensor laid out channels last, as clips are."""
    count = int(np.prod(shape))
    return torch.arange(count, dtype=torch.int32).view(shape).permute(3, 0, 1, 2)


def do_write_into_room(value):
    """An array that lies where results go already, and one that does not."""
    array = np.frombuffer(result_room(), np.uint8, 10_000)
    array[:] = value
    return array, np.full(10_000, value + 1, np.uint8)


def do_modules(_):
    return sorted(sys.modules)


def do_threads(_):
    return torch.get_num_threads()


class Unreadable:
    """Can be pickled, but not read back."""

    def __call__(self, task):
        return task

    def __reduce__(self):
        return _refuse, ()


def _refuse():
    raise ImportError("no module named transforms_of_mine")
