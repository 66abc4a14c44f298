"""A test or a prediction in parts: who does which videos, and a part's work with another try after a failure.

The work of a part is a process of its own under the eyes of the task that Slurm started, so that a crash, a
lack of memory or an exception costs that part another try, and nothing else.
"""

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mvit_video.data.lists.records import VideoList, VideoRecord
from mvit_video.data.lists.writing import can_be_written, write_list
from mvit_video.engine.errors import Stopped
from mvit_video.engine.stopping import signal_seen, signals_noted
from mvit_video.launch.array.merging import merge_parts
from mvit_video.launch.errors import LaunchError
from mvit_video.launch.job.sitting import Sitting, Task, failures_told, log_to_stderr
from mvit_video.launch.submission import Request, Submission

_LOOK_SECONDS = 0.5
_GRACE_SECONDS = 10.0  # for the process of a part to end by itself

_logger = logging.getLogger("mvit_video.launch")


def share(num_videos: int, num_parts: int, part: int) -> range:
    """The videos of a part: neighbours in the list, so that parts in order are the list in order."""
    return range(part * num_videos // num_parts, (part + 1) * num_videos // num_parts)


def result_path(submission: Submission, part: int) -> Path:
    """What is there when a part is done: rows for a test, a report for a prediction."""
    request = submission.request()
    return submission.parts / f"{part:05d}{'.pt' if request.what == 'test' else report_suffix(request)}"


def report_suffix(request: Request) -> str:
    """The ending of a prediction's file, in lower case."""
    return Path(request.output or "").suffix.lower()


def missing_parts(submission: Submission, num_parts: int) -> list[int]:
    """The parts that are not done."""
    return [part for part in range(num_parts) if not result_path(submission, part).exists()]


def cut_videos(submission: Submission, videos: Sequence[str], num_parts: int) -> None:
    """Write a list of videos for each part.

    Raises:
        LaunchError: a path that no list can hold.
    """
    submission.parts.mkdir(exist_ok=True)
    for path in videos:
        if not can_be_written(path):
            raise LaunchError(f"{path!r}: has a line break or is no UTF-8, which no list can hold: rename it")
    for part in range(num_parts):
        chosen = share(len(videos), num_parts, part)
        records = [VideoRecord(videos[index]) for index in chosen]
        write_list(submission.parts / f"{part:05d}.list", VideoList(records))


@dataclass(frozen=True)
class PartJob:
    """Does one part; the last one to end joins them all."""

    folder: str
    part: int

    def __call__(self) -> int:
        """One sitting; 0 when the part is done."""
        with signals_noted(), log_to_stderr():
            submission = Submission(Path(self.folder))
            sitting = Sitting(submission, submission.request(), Task.here(), self.part)
            with failures_told(sitting):
                _sit(sitting, self.part)
        return 0


def _sit(sitting: Sitting, part: int) -> None:
    submission, request = sitting.submission, sitting.request
    submission.parts.mkdir(exist_ok=True)
    result = result_path(submission, part)
    if not result.exists():
        sitting.begin(None)
        try:
            work(sitting, part_command(submission, request, part), result)
        except Stopped as stopped:
            sitting.leave(stopped, None)
    sitting.tell("part_done")
    if not missing_parts(submission, request.parts) and _first_to_join(sitting):
        try:
            finish(submission, request)
        except BaseException:
            _lock(sitting).unlink(missing_ok=True)
            raise


def _lock(sitting: Sitting) -> Path:
    """One for each job: two jobs of a submission are never at work at once."""
    return sitting.submission.folder / f"joining-{sitting.task.job.split('_')[0]}"


def _first_to_join(sitting: Sitting) -> bool:
    """Whether no other of the last parts, which may end at once, joins them already.

    A task that was killed while it joined does so again in its next start.
    """
    path, task = _lock(sitting), sitting.task
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(f"{task.job} {task.restart}\n")
    except FileExistsError:
        holder = path.read_text(encoding="utf-8").split()
        if len(holder) != 2 or holder[0] != task.job or int(holder[1]) >= task.restart:
            return False
        path.write_text(f"{task.job} {task.restart}\n", encoding="utf-8")
    return True


def finish(submission: Submission, request: Request) -> int:
    """Join all parts, and say that all is done; 1 if some video could not be read, else 0."""
    paths = [result_path(submission, part) for part in range(request.parts)]
    status, summary = merge_parts(paths, Path(request.output or ""))
    _logger.info("%s", summary)
    submission.tell("done", status=status, summary=summary)
    return status


def part_command(submission: Submission, request: Request, part: int) -> list[str]:
    """The program that does a part."""
    python = [sys.executable, "-u", "-m"]
    if request.what == "test":
        return [*python, "mvit_video.launch.array.part_of_test", str(submission.folder), str(part)]
    videos = submission.parts / f"{part:05d}.list"
    output = result_path(submission, part)
    return [*python, "mvit_video", "predict", str(videos), *request.words, "--output", str(output), "--force"]


def work(sitting: Sitting, command: Sequence[str], result: Path) -> None:
    """Run the program until the result is there.

    Raises:
        LaunchError: it failed as often as is allowed.
        Stopped: a signal asked this process to leave; the program has ended.
    """
    tries = sitting.request.retries + 1
    for attempt in range(1, tries + 1):
        why = _attempt(command, result)
        if why is None:
            return
        sitting.tell("part_failed", attempt=attempt, why=why)
        _logger.warning("part %s failed (%s), try %d of %d", sitting.part, why, attempt, tries)
    raise LaunchError(
        f"part {sitting.part} failed {tries} times, the last time: {why}; its log says more, and mvit-video "
        f"status {sitting.submission.run_folder} --retry tries it again"
    )


def _attempt(command: Sequence[str], result: Path) -> str | None:
    """Run the program once; None: the result is there, else why not."""
    with subprocess.Popen(command) as process:
        while process.poll() is None and signal_seen() is None:
            time.sleep(_LOOK_SECONDS)
        if process.poll() is None:
            _end(process)
    if -process.returncode in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        time.sleep(_LOOK_SECONDS)  # Slurm signals both processes, and the other was faster
    number = signal_seen()
    if number is not None and not result.exists():
        raise Stopped(number, "in the middle of a part")
    if result.exists():
        return None
    if process.returncode < 0:
        return f"killed by {signal.Signals(-process.returncode).name}"
    return f"exit status {process.returncode}"


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
