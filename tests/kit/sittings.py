"""Runs of ``mvit-video`` in processes of their own that can be killed: PyTorch is imported once, by a server
that forks one process per run. Harm is done to a run from within, at a chosen moment.

As a program it is that server: a line of JSON in, ``{"words", "harm", "when", "stderr"}``; out come the
process's id and, when it has ended, its exit status.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path


class Sittings:
    """The server; a context manager."""

    _is_running = False

    def __enter__(self):
        self._server = subprocess.Popen(
            [sys.executable, "-c", "from kit.sittings import serve; serve()"],
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        return self

    def __exit__(self, *_):
        self._server.stdin.close()
        self._server.wait()

    def start(self, *words, harm="", when=1):
        """Begin a run with these words, to which ``harm`` comes the ``when``-th time; returns its id."""
        if self._is_running:  # a test that failed meanwhile has left it
            self.wait()
        self._is_running = True
        self._stderr = tempfile.NamedTemporaryFile("r", suffix=".stderr")  # noqa: SIM115
        order = {"words": [str(word) for word in words], "harm": harm, "when": when}
        self._server.stdin.write(json.dumps(order | {"stderr": self._stderr.name}) + "\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())

    def wait(self):
        """Its exit status, negative for a signal that killed it, and what it wrote to standard error."""
        status = int(self._server.stdout.readline())
        self._is_running = False
        with self._stderr as file:
            return status, file.read()

    def run(self, *words, harm="", when=1):
        """A run from its start to its end."""
        self.start(*words, harm=harm, when=when)
        return self.wait()


def serve():
    """The server's life."""
    for name in ("torch._dynamo", "torch.utils.tensorboard", "av", "mvit_video.engine.runner"):
        importlib.import_module(name)  # what each run would take seconds to import
    import torch

    from mvit_video.cli import main

    torch.set_num_threads(1)
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            descriptor = os.open(order["stderr"], os.O_WRONLY)
            os.dup2(descriptor, 2)
            os.dup2(descriptor, 1)
            if order["harm"]:
                globals()[f"harm_{order['harm']}"](order["when"])
            status = 70
            try:
                status = main(order["words"])
            finally:
                sys.stderr.flush()
                os._exit(status)
        print(pid, flush=True)
        _, code = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(code), flush=True)


def before(owner, name, when, harm, concerns=lambda *args: True):
    """Have ``harm`` done before the ``when``-th call of a function that concerns it."""
    function, calls = getattr(owner, name), []

    def harmed(*args, **kwargs):
        if concerns(*args):
            calls.append(None)
            if len(calls) == when:
                harm(*args)
        return function(*args, **kwargs)

    setattr(owner, name, harmed)


def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def is_checkpoint(source, target):
    return str(target).endswith(".pyth")


def harm_kill_before_rename(when):
    before(os, "replace", when, kill, is_checkpoint)


def harm_kill_after_rename(when):
    """The folder's entry is the first thing to be synchronised after it."""
    from mvit_video.engine.checkpoints import files

    before(files, "sync_folder", when, kill)


def harm_kill_half_written(when):
    def halve(source, target):
        os.truncate(source, os.path.getsize(source) // 2)
        kill()

    before(os, "replace", when, halve, is_checkpoint)


def harm_kill_between_row_and_curve(when):
    from mvit_video.engine.records.logs import RunLog

    before(RunLog, "_draw", when, kill)


def harm_kill_before_best(when):
    from mvit_video.engine.training import saving

    before(saving, "keep_as_best", when, kill)


def harm_signal_in_step(when):
    """``when`` is a step and a signal; it arrives when the optimiser has changed four of the weights."""
    import torch

    def arm(*_):
        before(torch.Tensor, "addcdiv_", 5, lambda *_: os.kill(os.getpid(), when[1]))

    before(torch.optim.AdamW, "step", when[0], arm)


def harm_no_number(when):
    """The ``when``-th forward pass gives none."""
    import math

    from mvit_video.models import MViT

    forward, calls = MViT.forward, []

    def spoiling(self, clips):
        calls.append(None)
        return forward(self, clips) * (math.nan if len(calls) == when else 1.0)

    MViT.forward = spoiling


def harm_signal_in_evaluation(when):
    from mvit_video.engine.testing.evaluation import ViewScorer

    before(ViewScorer, "logits", when[0], lambda *_: os.kill(os.getpid(), when[1]))


def harm_signal_in_saving(when):
    import torch

    before(torch, "save", when[0], lambda *_: os.kill(os.getpid(), when[1]))


def harm_two_interrupts_in_saving(when):
    import torch

    def press(*_):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    before(torch, "save", when, press)


def harm_file_size_limit(when):
    """From the ``when``-th checkpoint on no file may grow beyond 100 kB, as if the disk were full there."""
    import resource

    import torch

    def limit(*_):
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    before(torch, "save", when, limit)
