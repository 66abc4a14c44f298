"""What runs beside a job's processes, in its script, with the submission's folder: an eye on the time limit.

A job that Slurm ends at its time limit stays ended. So one whose processes have not left by then, whatever
keeps them, is queued again shortly before; what they saved last is what the next start goes on from.
"""

import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from mvit_video.launch import slurm
from mvit_video.launch.job.aftermath import look_after
from mvit_video.launch.job.sitting import Task, log_to_stderr
from mvit_video.launch.submission import Submission

_LEFT_SECONDS = 15.0  # to be queued again in; Slurm's clock ticks twice a minute
_ASK_AGAIN_SECONDS = 30.0  # where Slurm does not answer
_LONGEST_SLEEP_SECONDS = 600.0  # somebody may change the limit meanwhile


def main(words: Sequence[str]) -> None:
    """Wait until the time limit is near, then queue the job again."""
    submission = Submission(Path(words[0]))
    left = min(_LEFT_SECONDS, submission.request().resources.signal_seconds / 2)
    job = Task.here().job
    while (pause := _pause(slurm.show_job(job), left)) > 0:
        time.sleep(pause)
    look_after(submission, f"at work {left:g} seconds before the time limit")


def _pause(job: dict[str, str] | None, left: float) -> float:
    """How long to sleep before looking again; 0 or less: ``left`` seconds are left."""
    if job is None:
        return _ASK_AGAIN_SECONDS
    return min(seconds_to_end(job) - left, _LONGEST_SLEEP_SECONDS)


def seconds_to_end(job: dict[str, str]) -> float:
    """How long until the time limit; for ever where there is none."""
    try:
        end = datetime.fromisoformat(job.get("EndTime", ""))
    except ValueError:  # Unknown
        return float("inf")
    return (end - datetime.now()).total_seconds()


if __name__ == "__main__":
    with log_to_stderr():
        main(sys.argv[1:])
