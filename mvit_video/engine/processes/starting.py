"""One process for each GPU of this machine, where nobody has started them: NUM_GPUS above 1 without torchrun.

The processes are members of a session of their own: what is typed at the terminal, and what Slurm or a shell
sends, comes to this process alone and is passed on once.
"""

import contextlib
import logging
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch

from mvit_video.config import Config
from mvit_video.engine.device import choose_device
from mvit_video.engine.errors import RunError
from mvit_video.engine.machine import num_cpus
from mvit_video.engine.processes.environment import RENDEZVOUS_VARIABLE, refuse_loose_tasks
from mvit_video.engine.resolve.batch import most_processes

T = TypeVar("T")

JOB, OUTCOME = "job.pickle", "outcome.pickle"  # files between this process and the others
_PASSED_ON = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT, signal.SIGHUP)
_POLL_SECONDS = 0.1
_GRACE_SECONDS = 30.0  # for the others, once one has failed

_logger = logging.getLogger("mvit_video.engine")


@dataclass(frozen=True)
class Raised:
    """An exception on its way to another process, whatever its class wants to be called with."""

    kind: type[BaseException]
    arguments: tuple[Any, ...]
    attributes: dict[str, Any]

    def error(self) -> BaseException:
        """The exception."""
        error = self.kind.__new__(self.kind, *self.arguments)
        error.__dict__.update(self.attributes)
        return error


def processes_to_start(config: Config) -> int:
    """How many processes a run should be started as: 1 where it has been, and where there are no GPUs.

    Raises:
        RunError: srun started several tasks that do not know of each other.
    """
    refuse_loose_tasks(os.environ)
    if config.num_gpus < 2 or "RANK" in os.environ or RENDEZVOUS_VARIABLE in os.environ:
        return 1
    if choose_device(config.device, config.num_gpus).type == "cpu":
        return 1
    found = min(config.num_gpus, torch.cuda.device_count())
    count = most_processes(config, found) if config.train.enable else found
    if count < found:
        _logger.warning(
            "TRAIN.BATCH_SIZE is %d, which %d GPUs cannot share evenly: %d of them work",
            config.train.batch_size, found, count,
        )  # fmt: skip
    return count


def run_together(job: Callable[[Config], T], config: Config, count: int) -> T:
    """Do a job in several new processes on this machine.

    Args:
        job: an importable function that joins the others with ``joined``, :func:`mvit_video.engine.run` say.
        config: what it is called with.
        count: how many processes.

    Returns:
        What it gave in the first of them.

    Raises:
        ValueError: what the user can mend, as the first process said it.
        Stopped: a signal asked the run to leave, and it did.
        RunError: a process failed; its messages say why.
    """
    with tempfile.TemporaryDirectory(prefix="mvit-video-") as folder:
        logger = logging.getLogger("mvit_video")
        level = logger.getEffectiveLevel() if logger.hasHandlers() else None
        Path(folder, JOB).write_bytes(pickle.dumps((job, config, level)))
        members: list[subprocess.Popen[bytes]] = []
        with _signals_passed_on(members):
            try:
                members += [_start(folder, rank, count) for rank in range(count)]
                _wait(members)
            finally:
                for member in members:
                    if member.poll() is None:
                        member.kill()
                    member.wait()
                    assert member.stdin is not None
                    member.stdin.close()
        outcome = Path(folder, OUTCOME)
        found: Any = pickle.loads(outcome.read_bytes()) if outcome.exists() else None
    if isinstance(found, Raised):
        raise found.error()
    ends = [f"rank {rank} {_describe(m.returncode)}" for rank, m in enumerate(members) if m.returncode]
    if ends:
        raise RunError(f"of the {count} processes of this run {', '.join(ends)}: see their messages")
    result: T = found
    return result


def _start(folder: str, rank: int, count: int) -> "subprocess.Popen[bytes]":
    """Start one process; it ends when its standard input does, that is when this process is gone."""
    numbers = {"RANK": rank, "WORLD_SIZE": count, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": count}
    environment = {**os.environ, RENDEZVOUS_VARIABLE: folder}
    environment |= {name: str(number) for name, number in numbers.items()}
    environment.pop("MASTER_ADDR", None)
    environment.setdefault("OMP_NUM_THREADS", str(max(num_cpus() // count, 1)))
    words = [sys.executable, "-m", "mvit_video.engine.processes.member", folder]
    return subprocess.Popen(words, env=environment, stdin=subprocess.PIPE, start_new_session=True)


def _wait(members: "list[subprocess.Popen[bytes]]") -> None:
    """Wait until all have ended; those that outlive a failed one for long are asked to, then made to."""
    failed: float | None = None
    while any(member.poll() is None for member in members):
        time.sleep(_POLL_SECONDS)
        if failed is None and any(member.poll() for member in members):
            failed = time.monotonic()
        late = 0.0 if failed is None else time.monotonic() - failed
        if late > _GRACE_SECONDS:
            _send(members, signal.SIGTERM)
        if late > 2 * _GRACE_SECONDS:
            return


@contextlib.contextmanager
def _signals_passed_on(members: "list[subprocess.Popen[bytes]]") -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, lambda seen, _: _send(members, seen))
        for number in _PASSED_ON
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def _send(members: "list[subprocess.Popen[bytes]]", number: int) -> None:
    for member in members:
        if member.poll() is None:
            member.send_signal(number)


def _describe(status: int) -> str:
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"has exit status {status}"
