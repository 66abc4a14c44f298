"""How a submission stands: what its own events tell, and what Slurm says where it says anything."""

import json
import os
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mvit_video.launch import slurm
from mvit_video.launch.array.parts import missing_parts
from mvit_video.launch.errors import LaunchError
from mvit_video.launch.slurm import JobState
from mvit_video.launch.submission import Event, Request, Submission, last_submission

State = Literal["waiting", "running", "done", "failed", "cancelled", "gone", "unknown"]
_TAIL_BYTES = 1 << 18  # of train.jsonl: some hundred rows
_RECENT_ROWS = 20


@dataclass(frozen=True)
class Progress:
    """Where a training stands, by the last rows of its log.

    Attributes:
        step: optimiser steps done.
        epoch: epochs done.
        max_epoch: those there will be.
        step_seconds: of recent steps.
        train: the last row of training.
        val: the last row of an evaluation.
    """

    step: int
    epoch: float
    max_epoch: int
    step_seconds: float
    train: dict[str, Any]
    val: dict[str, Any] | None

    @property
    def seconds_left(self) -> float:
        """Until the last step, at the pace of now."""
        return self.step / self.epoch * max(self.max_epoch - self.epoch, 0) * self.step_seconds


@dataclass(frozen=True)
class RunState:
    """How a submission stands.

    Attributes:
        submission: its folder.
        request: what was asked for.
        state: in a word; "gone" is a job that ended without a word and that Slurm has forgotten.
        reason: why it waits, failed or is not known; "" where there is nothing to say.
        status: 0 or 1 where it is done: 1 if videos could not be read.
        jobs: what Slurm says of its newest job, one for each part that is at work; empty: nothing.
        starts: all earlier starts that Slurm has kept accounts of, oldest first.
        events: its own, oldest first.
        missing: parts that are not done.
        progress: of a training.
    """

    submission: Submission
    request: Request
    state: State
    reason: str
    status: int | None
    jobs: tuple[JobState, ...]
    starts: tuple[JobState, ...]
    events: tuple[Event, ...]
    missing: tuple[int, ...]
    progress: Progress | None

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.state in ("done", "failed", "cancelled", "gone")

    @property
    def is_unjoined(self) -> bool:
        """Whether all parts are there, and none is at work that would join them."""
        return (
            bool(self.request.parts) and not self.missing and self.state not in ("done", "waiting", "running")
        )


def look(run_folder: Path) -> RunState:
    """Find out how the newest submission of a run stands.

    Raises:
        LaunchError: nothing was submitted from there.
    """
    submission = last_submission(run_folder)
    if submission is None:
        raise LaunchError(
            f"{run_folder}: nothing was submitted from here (no launch/ in it): give the OUTPUT_DIR of a "
            "run, or the folder beside the answers of a prediction"
        )
    request, events, job_ids = submission.request(), submission.events(), submission.job_ids()
    queued, starts = slurm.queue(job_ids[-1:]), slurm.accounting(job_ids)
    jobs = queued or _newest(starts or [], job_ids)
    state, reason = judge(events, jobs, silent=not jobs and (queued is None and starts is None))
    done = [row for row in events if row["event"] == "done"]
    return RunState(
        submission=submission,
        request=request,
        state=state,
        reason=reason,
        status=done[-1]["status"] if done else None,
        jobs=tuple(jobs),
        starts=tuple(starts or ()),
        events=tuple(events),
        missing=tuple(missing_parts(submission, request.parts)),
        progress=None if request.parts else read_progress(submission),
    )


def judge(events: Sequence[Event], jobs: Sequence[JobState], *, silent: bool) -> tuple[State, str]:
    """The state in a word, and why.

    Args:
        events: of the submission.
        jobs: what Slurm says of its newest job.
        silent: whether no command of Slurm answered, so that nothing follows from its silence.
    """
    if any(row["event"] == "done" for row in events):
        return "done", ""
    if not jobs:
        return _judge_by_events(events, silent)
    counts = Counter(job.state for job in jobs)
    if counts.keys() - slurm.ENDED - {"PENDING"}:  # RUNNING, COMPLETING, ...
        return "running", ""
    if counts["PENDING"]:
        return "waiting", next((job.reason for job in jobs if job.state == "PENDING" and job.reason), "")
    told = [row["error"] for row in _latest(events) if row["event"] == "failed"]
    if told:
        return "failed", told[0]
    state = counts.most_common(1)[0][0] if len(counts) == 1 else ", ".join(sorted(counts))
    if "CANCELLED" in counts:
        return "cancelled", ""
    return "failed", f"Slurm says {state}"


def _judge_by_events(events: Sequence[Event], silent: bool) -> tuple[State, str]:
    latest = _latest(events)
    told = [row["error"] for row in latest if row["event"] == "failed"]
    if told:
        return "failed", told[0]
    if silent:
        return "unknown", "neither squeue nor sacct answers here"
    return "gone", "Slurm knows nothing of the job any more"


def _latest(events: Sequence[Event]) -> list[Event]:
    """The events since the last start of each part, or of the run."""
    kept: dict[Any, list[Event]] = {}
    for row in events:
        if row["event"] == "submitted":
            kept.clear()
        elif row["event"] in ("started", "requeued"):
            kept[row.get("part")] = []
        else:
            kept.setdefault(row.get("part"), []).append(row)
    return sorted((row for rows in kept.values() for row in rows), key=lambda row: row["time"])


def _newest(starts: Sequence[JobState], job_ids: Sequence[str]) -> list[JobState]:
    """The last start of each task of the newest job."""
    last: dict[str, JobState] = {}
    for start in starts:
        if job_ids and start.job.split("_")[0] == job_ids[-1]:
            last[start.job] = start
    return list(last.values())


def read_progress(submission: Submission) -> Progress | None:
    """Where training stands; None before its first row."""
    from mvit_video.config import load_config

    rows = last_rows(submission.run_folder / "train.jsonl")
    train = [row for row in rows if row.get("kind") == "train" and row.get("epoch")]
    val = [row for row in rows if row.get("kind") == "val"]
    if not train or not submission.config_path.exists():
        return None
    seconds = [row["step_seconds"] for row in train[-_RECENT_ROWS:] if row.get("step_seconds") is not None]
    return Progress(
        step=train[-1]["step"],
        epoch=train[-1]["epoch"],
        max_epoch=load_config(submission.config_path).solver.max_epoch,
        step_seconds=statistics.median(seconds) if seconds else 0.0,
        train=train[-1],
        val=val[-1] if val else None,
    )


def last_rows(path: Path) -> list[dict[str, Any]]:
    """The rows at the end of a file of JSON lines, however long it is; broken lines are left out."""
    if not path.exists():
        return []
    with open(path, "rb") as file:
        file.seek(max(os.fstat(file.fileno()).st_size - _TAIL_BYTES, 0))
        lines = file.read().splitlines()
    rows = []
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows
