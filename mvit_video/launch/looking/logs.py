"""What the tasks of a job print."""

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from mvit_video.launch.submission import Submission

_LOOK_SECONDS = 1.0
_ASK_SECONDS = 20.0  # Slurm's controller answers everybody


def log_files(submission: Submission) -> list[Path]:
    """The logs of the newest job that are not empty, by part and task."""
    job_ids = submission.job_ids()
    found = submission.logs.glob(f"{job_ids[-1]}_*_log.*") if job_ids else []
    return sorted((path for path in found if path.stat().st_size), key=lambda path: _numbers(path))


def _numbers(path: Path) -> tuple[list[int], str]:
    """12_3_0_log.err -> ([12, 3, 0], ".err")."""
    return [int(word) for word in path.stem.split("_") if word.isdecimal()], path.suffix


def show_logs(submission: Submission, lines: int, write: Callable[[str], object]) -> None:
    """The last lines of each log, under its name."""
    for path in log_files(submission):
        with open(path, encoding="utf-8", errors="replace") as file:
            write(f"==> {path}\n{''.join(deque(file, lines))}\n")


def follow_logs(submission: Submission, write: Callable[[str], object], goes_on: Callable[[], bool]) -> None:
    """What is added to the logs from now on, each piece under its file's name.

    Args:
        submission: whose.
        write: takes the text.
        goes_on: asked now and then whether to look again.
    """
    places = {path: path.stat().st_size for path in log_files(submission)}
    last: Path | None = None
    asked: float | None = None
    while True:
        if asked is None or time.monotonic() - asked >= _ASK_SECONDS:
            if not goes_on():
                return
            asked = time.monotonic()
        time.sleep(_LOOK_SECONDS)
        for path in log_files(submission):
            with open(path, "rb") as file:
                file.seek(places.get(path, 0))
                added = file.read()
            if added:
                places[path] = places.get(path, 0) + len(added)
                title = "" if path == last else f"==> {path}\n"
                write(title + added.decode("utf-8", errors="replace"))
                last = path
