"""Starting worker processes, talking to them, and noticing when one crashes or hangs.

Each worker has a pipe of its own, so no lock can be left held by one that dies. It is sent a task and a few
more ahead, and writes what is large of a result into a slot of shared memory set apart for the task.

Workers are started by a server process that has imported what they need and nothing else (forkserver): they
start fast, share its memory, and are safe beside threads and CUDA. The program's main module, with whatever
that imports and does, is left out unless the work is defined in it.
"""

import contextlib
import multiprocessing
import multiprocessing.util
import os
import pickle
import selectors
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from typing import Any, Literal

from mvit_video.data.loading.shared_memory import SharedBlock, unpack
from mvit_video.data.loading.worker import PARENTS_SIGNALS, Board, Order, Reply, Setup, serve

StartMethod = Literal["forkserver", "spawn"]

_PRELOAD = ["mvit_video.data.loading.worker", "mvit_video.data.loading.reading", "mvit_video.data.video.pyav"]
_PAGE = 4096
_JOIN_SECONDS = 5.0
_START_SECONDS = 300.0
_IDLE_DEATHS = 3  # per worker, without a result in between
_SENT_BY_OTHERS = {signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2}
_CANNOT_START = (
    "a worker process cannot start: {reason}; to do without: DATA_LOADER.NUM_WORKERS 0, or --workers 0 where "
    "there is that flag"
)
_ENDED_EARLY = (
    "{reason} before its first task; workers import a script that defines what they need, so what it does "
    "belongs under if __name__ == '__main__':"
)


class WorkerError(ChildProcessError):
    """Worker processes cannot be started, or do not live."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a task: its result, whose large arrays lie in its slot, or the exception it raised."""

    serial: int
    outcome: Any


@dataclass(frozen=True, slots=True)
class Ending:
    """A worker has ended.

    Attributes:
        reason: How.
        from_outside: Whether by a signal that others send, so that the task may be innocent.
        culprit: The task it was at, if it was at one.
        left: Tasks it had been sent and did not begin.
    """

    reason: str
    from_outside: bool
    culprit: int | None
    left: list[int]


@dataclass(eq=False, slots=True)
class _Worker:
    number: int
    process: BaseProcess
    connection: Any
    tasks: deque[int] = field(default_factory=deque)  # serial numbers, in the order they were sent
    ready: bool = False
    started: float = field(default_factory=time.monotonic)


class Workforce:
    """Processes that do ``work``, started when they are needed.

    Args:
        work: Called with a task, in a worker.
        num_workers: The most processes.
        timeout_seconds: For a task, from when its worker began it (or last called ``heartbeat``).
        queued: Tasks that a worker is sent ahead of the one it is at.
        num_slots: Places for large results.
        slot_bytes: Size of one.
        start_method: How processes are started.
    """

    def __init__(
        self,
        work: Callable[[Any], object],
        *,
        num_workers: int,
        timeout_seconds: float,
        queued: int,
        num_slots: int,
        slot_bytes: int,
        start_method: StartMethod,
    ) -> None:
        self._num_workers = num_workers
        self._timeout_seconds = timeout_seconds
        self._queued = queued
        self._slot_bytes = -(-slot_bytes // _PAGE) * _PAGE
        self._slots = SharedBlock(max(_PAGE, num_slots * self._slot_bytes))
        self._board = Board(num_workers)
        self._work = pickle.dumps(work)
        self._needs_main = b"__main__" in self._work
        self._context: Any = multiprocessing.get_context(start_method)
        if start_method == "forkserver":
            self._context.set_forkserver_preload(_PRELOAD)
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()
        self._idle_deaths = 0
        # With a priority it runs before multiprocessing waits for daemons to heed its SIGTERM; they do not.
        self._finalizer = multiprocessing.util.Finalize(
            self, _end_all, (self._workers, os.getpid()), exitpriority=1
        )

    def close(self) -> None:
        """Ends the workers at once; safe to call twice."""
        self._finalizer()

    def has_room(self) -> bool:
        """Whether a worker may be sent a task; starts one if all are busy and there may be more.

        Only one is started until one has: if it cannot, the others cannot, and once is enough to say so.
        """
        busy_everywhere = all(worker.tasks for worker in self._workers)
        proven = any(worker.ready for worker in self._workers)
        if busy_everywhere and len(self._workers) < self._num_workers and (proven or not self._workers):
            self._start_worker()
        return self._has_room(self._least_busy())

    def send(self, serial: int, slot: int, task: object) -> None:
        """Sends a task to the worker with the fewest; there must be room."""
        worker = self._least_busy()
        worker.tasks.append(serial)
        # If it has just ended, its connection will tell, and the task is among those it left.
        with contextlib.suppress(OSError):
            worker.connection.send(Order(serial, slot, pickle.dumps(task)))

    def cancel_before(self, serial: int) -> None:
        """Tasks before this one are answered with None, unless they have begun."""
        self._board.first_serial = serial

    def events(self, seconds: float, slot_of: Callable[[int], int]) -> Iterator[Answer | Ending]:
        """What has happened, or happens within so many seconds.

        Args:
            seconds: To wait if nothing has.
            slot_of: Says where the large arrays of a task lie.

        Raises:
            WorkerError: A worker cannot start, or they end again and again without a task.
        """
        for key, _ in self._selector.select(seconds):
            yield from self._receive(key.data, slot_of)
        for worker in list(self._workers):
            doing = self._board.doing(worker.number)
            if doing and doing[1] > self._timeout_seconds:
                yield from self._bury(worker, slot_of, f"no answer after {self._timeout_seconds:g} s")
            elif not worker.ready and time.monotonic() - worker.started > _START_SECONDS:
                yield from self._bury(worker, slot_of, f"not ready after {_START_SECONDS:g} s")

    def _least_busy(self) -> _Worker:
        return min(self._workers, key=lambda worker: len(worker.tasks))

    def _has_room(self, worker: _Worker) -> bool:
        return len(worker.tasks) <= (self._queued if worker.ready else 0)

    def _start_worker(self) -> None:
        number = min(set(range(self._num_workers)) - {worker.number for worker in self._workers})
        ours, theirs = self._context.Pipe()
        setup = Setup(number, self._work, self._board, self._slots, self._slot_bytes)
        process = self._context.Process(
            target=serve, args=(setup, theirs), name=f"mvit-video worker {number}", daemon=True
        )
        self._board.end(number)
        try:
            with _signals_blocked(), contextlib.nullcontext() if self._needs_main else _without_main():
                process.start()
        except (OSError, EOFError) as error:
            ours.close()
            reason = f"{error or type(error).__name__}, from the process that starts them"
            raise WorkerError(_CANNOT_START.format(reason=reason)) from error
        finally:
            theirs.close()
        worker = _Worker(number, process, ours)
        self._workers.append(worker)
        self._selector.register(ours, selectors.EVENT_READ, worker)

    def _receive(self, worker: _Worker, slot_of: Callable[[int], int]) -> Iterator[Answer | Ending]:
        try:
            reply: Reply = worker.connection.recv()
        except (EOFError, OSError):
            yield from self._bury(worker, slot_of)
            return
        yield from self._read(worker, reply, slot_of)

    def _read(self, worker: _Worker, reply: Reply, slot_of: Callable[[int], int]) -> Iterator[Answer]:
        if reply.kind == "ready":
            worker.ready = True
        elif reply.kind == "failed":
            error = _error_of(reply)
            raise WorkerError(_CANNOT_START.format(reason=error)) from error
        else:
            self._idle_deaths = 0
            worker.tasks.popleft()
            yield Answer(reply.serial, self._outcome(reply, slot_of))

    def _outcome(self, reply: Reply, slot_of: Callable[[int], int]) -> Any:
        if reply.kind == "skipped":
            return None
        if reply.kind == "error":
            return _error_of(reply)
        start = slot_of(reply.serial) * self._slot_bytes
        return unpack(reply.message, self._slots.memory[start : start + self._slot_bytes])

    def _bury(
        self, worker: _Worker, slot_of: Callable[[int], int], hung: str = ""
    ) -> Iterator[Answer | Ending]:
        """Takes what a worker sent before it ended, and says how it did; one that hangs is ended here."""
        if hung:
            worker.process.kill()
        worker.process.join(_JOIN_SECONDS)  # takes longer only where the kernel does not let go of it
        with contextlib.suppress(EOFError, OSError):
            while worker.connection.poll():
                yield from self._read(worker, worker.connection.recv(), slot_of)
        self._selector.unregister(worker.connection)
        worker.connection.close()
        self._workers.remove(worker)
        code = worker.process.exitcode
        reason = hung or _describe_end(code)
        if not worker.ready:
            raise WorkerError(_CANNOT_START.format(reason=_ENDED_EARLY.format(reason=reason)))
        doing = self._board.doing(worker.number)
        culprit = worker.tasks.popleft() if doing and [*worker.tasks][:1] == [doing[0]] else None
        if culprit is None:
            self._count_idle_death(reason)
        from_outside = not hung and code is not None and -code in _SENT_BY_OTHERS
        yield Ending(reason, from_outside, culprit, list(worker.tasks))

    def _count_idle_death(self, reason: str) -> None:
        self._idle_deaths += 1
        if self._idle_deaths > _IDLE_DEATHS * self._num_workers:
            raise WorkerError(f"worker processes end again and again without a task: the last was {reason}")


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    """Processes started meanwhile do not hear signals that are meant for the parent.

    Shells, Slurm and torchrun send them to all processes of a job, and a training run needs its workers until
    it has saved. The server of workers and multiprocessing's resource tracker inherit this too.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, PARENTS_SIGNALS)
    try:
        resource_tracker.ensure_running()  # where it starts the tracker it unblocks some
        signal.pthread_sigmask(signal.SIG_BLOCK, PARENTS_SIGNALS)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Processes started meanwhile do not import the program's main module."""
    main: Any = sys.modules["__main__"]
    kept = {name: getattr(main, name, None) for name in ("__file__", "__spec__")}
    has_file = hasattr(main, "__file__")
    main.__file__ = main.__spec__ = None
    try:
        yield
    finally:
        main.__file__, main.__spec__ = kept["__file__"], kept["__spec__"]
        if not has_file:
            del main.__file__


def _error_of(reply: Reply) -> Exception:
    error: Exception = pickle.loads(reply.message[0])
    error.add_note(f"In a worker process:\n{reply.traceback}")
    return error


def _describe_end(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        return f"killed by {name}{' (memory may have run out)' if name == 'SIGKILL' else ''}"
    return f"ended with exit status {code}"


def _end_all(workers: list[_Worker], parent: int) -> None:
    if os.getpid() != parent:  # a copy of the parent that was forked off
        return
    for worker in workers:
        worker.process.kill()
    for worker in workers:
        worker.process.join(_JOIN_SECONDS)
        worker.connection.close()
    workers.clear()
