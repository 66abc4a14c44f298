"""Holds a run's processes where a test wants them; Python loads this by itself from a folder in PYTHONPATH.

In the folder that BRAKE names a test writes ``hold``, with the number of an optimiser step. Processes that
come to that step stop inside the optimiser: those of even rank before it has changed the weights, those
of odd rank after. Each writes ``held.RANK`` (its process id), and ``signalled.RANK`` when signals arrive.
They go on when ``hold`` is gone. The number of the step is the optimiser's own, so it survives a restart.

``hold-part`` does the same to one task of a job array, before the first forward pass of its model.
"""

import contextlib
import importlib.abc
import importlib.util
import os
import signal
import socket
import sys
import time
from functools import partial
from pathlib import Path


def listen():
    """A socket that gets the number of every signal that this process has a handler for, from now on."""
    arrived, ours = socket.socketpair()
    arrived.setblocking(False)
    ours.setblocking(False)
    signal.set_wakeup_fd(ours.detach())
    return arrived


def hold(path, place, arrived):
    """Wait here until the file is gone; say who waits, and whether a signal has come, now or before."""
    numbers = b""
    write(path.with_name(f"held.{place}"), str(os.getpid()))
    while path.exists():
        time.sleep(0.02)
        with contextlib.suppress(BlockingIOError):
            numbers += arrived.recv(100)
        if names := [signal.Signals(number).name for number in numbers if number != signal.SIGCONT]:
            write(path.with_name(f"signalled.{place}"), " ".join(names))


def write(path, text):
    """The file appears whole."""
    part = path.with_name(f".{path.name}")
    part.write_text(text)
    part.rename(path)


def asked(path, number):
    """Whether the file is there and says this number."""
    try:
        return int(path.read_text()) == number
    except (FileNotFoundError, ValueError):  # not there, or not written yet
        return False


def hold_in_optimisers(path, rank, arrived):
    """Every optimiser stops in the step that the file names."""
    from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

    def stop(optimiser, args, kwargs):
        steps = [int(values["step"]) for values in optimiser.state.values() if "step" in values]
        if asked(path, max(steps, default=0) - rank % 2):
            hold(path, rank, arrived)

    (register_optimizer_step_post_hook if rank % 2 else register_optimizer_step_pre_hook)(stop)


def hold_in_forward(path, part, arrived):
    """The first module that is called stops if the file names this part.

    The hook is gone before anything is computed: models that are watched compute more, and round otherwise.
    """
    from torch.nn.modules.module import register_module_forward_pre_hook

    def stop(module, inputs):
        handle.remove()
        if asked(path, part):
            hold(path, part, arrived)

    handle = register_module_forward_pre_hook(stop)


class AfterImport(importlib.abc.MetaPathFinder):
    """Does something when a module has been imported; until then programs start as they do without it."""

    def __init__(self, name, then):
        self.name, self.then = name, then

    def find_spec(self, name, path=None, target=None):
        if name != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        run = spec.loader.exec_module
        spec.loader.exec_module = lambda module: (run(module), self.then())
        return spec


def put_on(environment):
    """Listen for signals, and have the hooks in place as soon as there is something to hang them on."""
    folder, part, arrived = Path(environment["BRAKE"]), environment.get("SLURM_ARRAY_TASK_ID"), listen()
    if part is None:
        rank = int(environment["SLURM_PROCID"])
        then = partial(hold_in_optimisers, folder / "hold", rank, arrived)
        sys.meta_path.insert(0, AfterImport("torch.optim.optimizer", then))
    else:
        then = partial(hold_in_forward, folder / "hold-part", int(part), arrived)
        sys.meta_path.insert(0, AfterImport("torch.nn.modules.module", then))


if "BRAKE" in os.environ and "SLURM_PROCID" in os.environ:
    put_on(os.environ)
