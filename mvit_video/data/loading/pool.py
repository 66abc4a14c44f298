"""A pool of worker processes of which one may crash or hang and cost no more than its task.

Results come back in the order of the tasks.
"""

import functools
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from mvit_video.data.loading.workforce import Answer, Ending, StartMethod, WorkerError, Workforce

Task = TypeVar("Task")
Result = TypeVar("Result")

_POLL_SECONDS = 0.1
_NO_MORE: Any = object()


class RunEndedError(RuntimeError):
    """A run was ended before it was through."""


@dataclass(frozen=True, slots=True)
class Crash:
    """Instead of a result: what became of the worker."""

    reason: str


@dataclass(eq=False, slots=True)
class _Job:
    """A task under way."""

    task: Any
    slot: int
    outcome: Any = None  # a result, a Crash, or the exception to raise
    done: bool = False
    wanted: bool = True
    tried: bool = False  # once, and its worker was ended from outside


class WorkerPool(Generic[Task, Result]):
    """Does ``work`` on tasks in worker processes, which start when they are needed and stay.

    Args:
        work: Called with a task, in a worker; it and the tasks and results can be pickled. What it raises is
            raised in the parent.
        num_workers: Processes; 0 works in this one, where crashes and hangs are not survived. With
            PYTHONFAULTHANDLER=1 in the environment, one that crashes says where.
        timeout_seconds: A task that takes longer, counted from when its worker began it (or last called
            ``heartbeat``), is given up and its worker ended.
        result_bytes: Size of the large arrays of a result; larger ones get through, but slower.
        queued: Tasks that a worker is given ahead of the one it is at.
        waiting: Results that may wait for an earlier one.
        start_method: "forkserver", or "spawn" (starts slowly, shares nothing).
    """

    def __init__(
        self,
        work: Callable[[Task], Result],
        *,
        num_workers: int,
        timeout_seconds: float = 60.0,
        result_bytes: int = 0,
        queued: int = 2,
        waiting: int = 0,
        start_method: StartMethod = "forkserver",
    ) -> None:
        if not timeout_seconds > 0:
            raise ValueError(f"DATA.TIMEOUT_SECONDS is {timeout_seconds}, expected more than 0")
        if num_workers < 0:
            raise ValueError(f"num_workers is {num_workers}, expected 0 or more")
        self._work = work
        self._num_workers = num_workers
        self._free_slots = list(range(num_workers * (1 + queued) + waiting))
        self._jobs: dict[int, _Job] = {}  # that workers have, by serial number
        self._order: deque[_Job] = deque()  # of the run, from the one that is to be yielded next
        self._unsent: deque[_Job] = deque()  # the next one, and those that workers left
        self._next_serial = 1
        self._run: object = None  # the run that is going on
        self._again: Callable[[Any, Any], Any] = _never
        self._is_closed = False
        self._workforce: Workforce | None = None
        self._make_workforce = functools.partial(
            Workforce,
            work,
            num_workers=num_workers,
            timeout_seconds=timeout_seconds,
            queued=queued,
            num_slots=len(self._free_slots),
            slot_bytes=result_bytes,
            start_method=start_method,
        )

    def run(
        self,
        tasks: Iterable[Task],
        again: Callable[[Task, Result | Crash], Task | None] | None = None,
        stop: threading.Event | None = None,
    ) -> Generator[tuple[Task, Result | Crash], None, None]:
        """Yields (task, result) in the order of the tasks.

        Arrays in a result lie in memory that is used again: copy what is needed after the next one is asked
        for. Leaving a run early is fine; a new one ends the one before.

        Args:
            tasks: Taken as they are needed.
            again: Is shown each result as it arrives, in any order; a task it returns is done instead.
            stop: Set from another thread, it makes this one raise ``RunEndedError`` soon.

        Raises:
            RunEndedError: Another run was begun, or ``stop`` was set.
            WorkerError: Workers cannot be started, or end again and again without a task.
        """
        again = again or _never
        if self._num_workers == 0:
            for task in tasks:
                yield self._run_here(task, again)
            return
        if self._is_closed:
            raise WorkerError("the workers were ended; nothing more can be read with them")
        self._workforce = workforce = self._workforce or self._make_workforce()
        self._cancel()
        run = self._run = object()
        self._again = again
        try:
            yield from self._collect(workforce, iter(tasks), run, stop)
        except WorkerError:
            self.close()
            raise
        finally:
            if self._run is run:
                self._cancel()

    def close(self) -> None:
        """Ends the workers at once; safe to call twice."""
        self._run = None
        self._is_closed = True
        if self._workforce is not None:
            self._workforce.close()

    def __enter__(self) -> "WorkerPool[Task, Result]":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _run_here(self, task: Task, again: Callable[[Task, Result | Crash], Task | None]) -> Any:
        while True:
            result = self._work(task)
            replacement = again(task, result)
            if replacement is None:
                return task, result
            task = replacement

    def _cancel(self) -> None:
        """Ends the run that is going on: what workers are at is left to end, what it brings is dropped."""
        assert self._workforce is not None
        self._run = None
        self._workforce.cancel_before(self._next_serial)
        for job in self._jobs.values():
            job.wanted = False
        self._free_slots += [job.slot for job in self._order if job.wanted]
        self._order.clear()
        self._unsent.clear()

    def _collect(
        self, workforce: Workforce, tasks: Iterator[Task], run: object, stop: threading.Event | None
    ) -> Iterator[tuple[Task, Any]]:
        while True:
            if self._run is not run or (stop is not None and stop.is_set()):
                raise RunEndedError("the reading was ended: it was stopped, or another was begun")
            are_all_out = self._hand_out(workforce, tasks)
            job = self._order[0] if self._order else None
            if job is None and are_all_out:
                return
            for event in workforce.events(0 if job and job.done else _POLL_SECONDS, self._slot_of):
                self._hear(event)
            if job is None or not job.done:
                continue
            if isinstance(job.outcome, Exception):
                raise job.outcome
            yield job.task, job.outcome
            if self._run is run:
                self._order.popleft()
                self._free_slots.append(job.slot)

    def _hand_out(self, workforce: Workforce, tasks: Iterator[Task]) -> bool:
        """Gives tasks to workers until all have enough; whether there are no more tasks."""
        while True:
            if not self._unsent:
                if not self._free_slots:  # those of a run that was left may still be in use
                    return False
                task = next(tasks, _NO_MORE)
                if task is _NO_MORE:
                    return True
                self._unsent.append(_Job(task, self._free_slots.pop()))
                self._order.append(self._unsent[0])
            if not workforce.has_room():
                return False
            self._jobs[self._next_serial] = job = self._unsent.popleft()
            workforce.send(self._next_serial, job.slot, job.task)
            self._next_serial += 1

    def _slot_of(self, serial: int) -> int:
        return self._jobs[serial].slot

    def _hear(self, event: Answer | Ending) -> None:
        if isinstance(event, Answer):
            self._settle(self._jobs.pop(event.serial), event.outcome)
            return
        left = [self._jobs.pop(serial) for serial in event.left]
        if event.culprit is not None:
            job = self._jobs.pop(event.culprit)
            if event.from_outside and not job.tried:
                job.tried = True
                left.insert(0, job)
            else:
                self._settle(job, Crash(event.reason))
        self._free_slots += [job.slot for job in left if not job.wanted]
        self._unsent.extendleft(job for job in reversed(left) if job.wanted)

    def _settle(self, job: _Job, outcome: Any) -> None:
        """A task is done, or another one is to be done in its place."""
        if not job.wanted:
            self._free_slots.append(job.slot)
            return
        replacement = None if isinstance(outcome, Exception) else self._again(job.task, outcome)
        if replacement is None:
            job.outcome, job.done = outcome, True
        else:
            job.task, job.tried = replacement, False
            self._unsent.append(job)


def _never(task: Any, result: Any) -> None:
    """Nothing is done again."""
