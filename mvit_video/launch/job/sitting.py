"""One sitting of a job, from a start by Slurm to an end of any kind: what is told of it, and how it leaves.

SIGUSR1 or SIGUSR2 is what ``--signal`` asked for, ahead of the time limit or of a preemption, so the job is
queued again. SIGTERM may mean anything, so Slurm is asked. A job that is cancelled, or requeued by somebody
else, is no longer RUNNING for Slurm, and leaves. While it is being preempted it still is, and if it left by
itself then it would count as completed and never come back: so it is queued again, as it is after SIGTERM
for other reasons (a watchdog's, or because another process of the job died).
"""

import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn, Self

from mvit_video.engine.errors import PASSING_STATUS, Stopped, is_mendable
from mvit_video.launch import slurm
from mvit_video.launch.errors import LaunchError
from mvit_video.launch.job.progress import starts_without_progress
from mvit_video.launch.submission import Event, Request, Submission

_ANSWER_SECONDS = 60.0  # how long SIGTERM may stay unexplained
_ASK_SECONDS = 2.0

_logger = logging.getLogger("mvit_video.launch")


@dataclass(frozen=True)
class Task:
    """This process of the job.

    Attributes:
        job: the job's number, with ``_3`` behind it for task 3 of an array.
        rank: which of its processes this is.
        restart: how often the job was queued again.
        nodes: where it runs.
    """

    job: str
    rank: int = 0
    restart: int = 0
    nodes: str = ""

    @classmethod
    def here(cls) -> Self:
        """By the variables of Slurm."""
        job = os.environ.get("SLURM_JOB_ID", "")
        array = os.environ.get("SLURM_ARRAY_JOB_ID")
        return cls(
            f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else job,
            int(os.environ.get("SLURM_PROCID", 0)),
            int(os.environ.get("SLURM_RESTART_COUNT", 0)),
            os.environ.get("SLURM_JOB_NODELIST", ""),
        )


@dataclass(frozen=True)
class Sitting:
    """One start of a job of a submission; ``part`` is which of its parts it works on, if there are any."""

    submission: Submission
    request: Request
    task: Task
    part: int | None = None

    def tell(self, event: str, **details: object) -> None:
        """Keep an event of this sitting."""
        part = {} if self.part is None else {"part": self.part}
        self.submission.tell(event, job=self.task.job, restart=self.task.restart, **part, **details)

    def begin(self, saved: str | None) -> None:
        """Say that it starts, from the checkpoint ``saved``.

        Raises:
            LaunchError: too many starts in a row left nothing new.
        """
        if self.task.rank:
            return
        self._check_progress(saved)
        self.tell("started", saved=saved, nodes=self.task.nodes)

    def leave(self, stopped: Stopped, saved: str | None) -> NoReturn:
        """Leave after a signal: by the first process, queued again where that is what the signal asks for.

        The result that submitit would write for a function that returns is not wanted: it would stand for
        the job's end. The other processes leave in silence; Slurm ends the job with the first one.

        Raises:
            LaunchError: too many starts in a row left nothing new, or Slurm refuses to queue the job again.
        """
        if self.task.rank:
            exit_now(0)
        _logger.info("%s", stopped)
        self.tell("stopped", signal=signal.Signals(stopped.signal_number).name, saved=saved)
        warned = stopped.signal_number in (signal.SIGUSR1, signal.SIGUSR2)
        if self._is_settled():  # by the job's script, as this took long
            exit_now(0)
        if warned or self._is_wanted():
            self._come_back(saved)
            exit_now(0)
        exit_now(128 + stopped.signal_number)

    def look_after(self, why: str, status: int | None, saved: str | None) -> None:
        """Queue the job again after a failure that another start may not meet, as of a killed process.

        Args:
            why: what happened.
            status: that of all processes together, if they have ended.
            saved: the newest checkpoint.

        Raises:
            LaunchError: too many starts in a row left nothing new, or Slurm refuses to queue the job again.
        """
        if self._is_settled() or not self._is_wanted():
            return
        if not any(row["event"] == "started" for row in self._told()):  # it was gone before it could say so
            self.tell("started", saved=saved, nodes=self.task.nodes)
        self.tell("crashed", why=why, status=status)
        self._come_back(saved)

    def _is_settled(self) -> bool:
        """Whether the job is done, or queued again."""
        return any(row["event"] in ("requeued", "done") for row in self._told())

    def _told(self) -> list[Event]:
        """The events of this sitting."""
        here = (self.task.job, self.task.restart)
        return [row for row in self.submission.events() if (row.get("job"), row.get("restart")) == here]

    def _is_wanted(self) -> bool:
        """Whether another start could help, and Slurm still has the job for a running one."""
        if any(row["event"] == "failed" and row["mendable"] for row in self._told()):
            return False
        end = time.monotonic() + _ANSWER_SECONDS
        while time.monotonic() < end:
            job = slurm.show_job(self.task.job)
            if job is not None:
                _logger.info("Slurm says that job %s is %s", self.task.job, job.get("JobState"))
                return job.get("JobState") == "RUNNING"
            time.sleep(_ASK_SECONDS)
        return False

    def _come_back(self, saved: str | None) -> None:
        self._check_progress(saved)
        why = slurm.requeue(self.task.job)
        if why is not None:
            raise LaunchError(
                f"Slurm refuses to queue job {self.task.job} again ({why}): "
                f"mvit-video status {self.submission.run_folder} --retry goes on where it stopped"
            )
        self.tell("requeued")
        _logger.info("job %s is queued again", self.task.job)

    def _check_progress(self, saved: str | None) -> None:
        starts = starts_without_progress(self.submission.events(), saved, self.part)
        if starts >= self.request.restarts:
            raise LaunchError(
                f"{starts} starts in a row left nothing new (newest checkpoint: {saved or 'none'}), so the "
                "job is not queued again: is the time limit too short for the start, one step and a save? "
                f"mvit-video status {self.submission.run_folder} --retry tries again"
            )


@contextmanager
def failures_told(sitting: Sitting) -> Iterator[None]:
    """Keep why a sitting fails; faults of the program have their traceback, all else is said in one line.

    What somebody has to mend ends with status 2; all else another start may not meet.
    """
    try:
        yield
    except Exception as error:
        text = str(error).strip() or type(error).__name__
        mendable = is_mendable(error)
        sitting.tell("failed", rank=sitting.task.rank, error=text.splitlines()[0], mendable=mendable)
        if not isinstance(error, ValueError | OSError):
            raise
        _logger.error("%s", text)
        exit_now(2 if mendable else PASSING_STATUS)


@contextmanager
def log_to_stderr() -> Iterator[None]:
    """The package's messages, with the time, to this task's log."""
    logger, handler = logging.getLogger("mvit_video"), logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%m-%d %H:%M:%S"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)


def exit_now(status: int) -> NoReturn:
    """End the process without a result for submitit, and without waiting for threads of other libraries."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
