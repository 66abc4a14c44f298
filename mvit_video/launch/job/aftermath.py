"""What a job's script runs when its processes have failed, with the submission's folder and their status.

It runs beside nothing else, on the job's first node: whatever became of the processes, it can still queue the
job again.
"""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from mvit_video.launch.errors import LaunchError
from mvit_video.launch.job.progress import newest_checkpoint
from mvit_video.launch.job.sitting import Sitting, Task, log_to_stderr
from mvit_video.launch.submission import Submission


def main(words: Sequence[str]) -> None:
    """Queue the job again where that may help."""
    look_after(Submission(Path(words[0])), f"exit status {words[1]}", int(words[1]))


def look_after(submission: Submission, why: str, status: int | None = None) -> None:
    """The same, for another reason than an exit status too."""
    request, task = submission.request(), Task.here()
    starts = [row for row in submission.events() if row["event"] == "started" and row.get("job") == task.job]
    part = starts[-1].get("part") if starts else None
    sitting = Sitting(submission, request, task, part)
    try:
        sitting.look_after(why, status, None if request.parts else newest_checkpoint(submission.run_folder))
    except LaunchError as error:
        sitting.tell("failed", error=str(error), mendable=True)
        logging.getLogger("mvit_video.launch").error("%s", error)


if __name__ == "__main__":
    with log_to_stderr():
        main(sys.argv[1:])
