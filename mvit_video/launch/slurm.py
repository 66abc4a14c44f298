"""What Slurm's own commands say about jobs; any of them may be missing, slow or refuse."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

_SECONDS = 30.0
_RANGE = re.compile(r"(?P<job>\d+)_\[(?P<tasks>[\d,-]+)(?:%\d+)?\]")
_FIELD = re.compile(r"(?:^|\s)(?P<key>[A-Za-z/:]+)=(?P<value>\S*)")

# States of jobs that Slurm will do nothing more about. Accounts show a preempted start so too before the job
# waits again: the queue knows better, and is believed first.
ENDED = frozenset(
    {
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "REVOKED",
        "TIMEOUT",
    }
)


@dataclass(frozen=True)
class JobState:
    """A job, or one start of it, as Slurm sees it.

    Attributes:
        job: its number, with ``_3`` behind it for task 3 of an array.
        state: PENDING, RUNNING, COMPLETED, ...
        reason: why it waits, where it does.
        nodes: where it is, as Slurm abbreviates it (n[1-2]).
        start: when it began, or is expected to begin, in Slurm's words.
        end: when it ended.
        exit_code: of the program, and the signal that ended it, as ``1:0``; "" while it runs.
    """

    job: str
    state: str
    reason: str = ""
    nodes: str = ""
    start: str = ""
    end: str = ""
    exit_code: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether Slurm will do nothing more about it."""
        return self.state in ENDED


def requeue(job: str) -> str | None:
    """Queue a running job again; None: done, else why not."""
    return _failure(["scontrol", "requeue", job])


def show_job(job: str) -> dict[str, str] | None:
    """What ``scontrol`` knows of a job of the recent past; None: nothing, or it does not answer."""
    text = _output(["scontrol", "show", "job", job])
    return None if text is None else parse_show_job(text)


def parse_show_job(text: str) -> dict[str, str]:
    """``Key=Value`` pairs of ``scontrol show job``."""
    return {match["key"]: match["value"] for match in _FIELD.finditer(text)}


def queue(jobs: Sequence[str]) -> list[JobState] | None:
    """The jobs that wait, run or have just ended; None: ``squeue`` is missing or does not answer."""
    found: list[JobState] = []
    for job in jobs:  # one unknown number among several would hide the others
        text = _output(
            ["squeue", "--noheader", "--array", "--states=all", f"--jobs={job}", "--format=%i|%T|%r|%N|%S"],
            ignoring="Invalid job id",
        )
        if text is None:
            return None
        found += parse_queue(text)
    return found


def parse_queue(text: str) -> list[JobState]:
    """The lines of ``squeue --format='%i|%T|%r|%N|%S'``."""
    found = []
    for line in text.splitlines():
        fields = line.strip().split("|")
        if len(fields) == 5:
            job, state, reason, nodes, start = fields
            reason = "" if reason == "None" else reason
            found += [JobState(one, state, reason, nodes, start) for one in expand_job(job)]
    return found


def accounting(jobs: Sequence[str]) -> list[JobState] | None:
    """Every start of the jobs, oldest first; None: ``sacct`` is missing or keeps no accounts."""
    if not jobs:
        return []
    text = _output(
        [
            "sacct", "--noheader", "--parsable2", "--allocations", "--duplicates", f"--jobs={','.join(jobs)}",
            "--format=JobID,State,Reason,NodeList,Start,End,ExitCode",
        ]
    )  # fmt: skip
    return None if text is None else parse_accounting(text)


def parse_accounting(text: str) -> list[JobState]:
    """The lines of ``sacct --parsable2``."""
    found = []
    for line in text.splitlines():
        fields = line.strip().split("|")
        if len(fields) == 7:
            job, state, reason, nodes, start, end, exit_code = fields
            reason, nodes = ("" if word in ("None", "None assigned") else word for word in (reason, nodes))
            words = state.split()  # "CANCELLED by 0"
            found += [
                JobState(one, words[0] if words else "", reason, nodes, start, end, exit_code)
                for one in expand_job(job)
            ]
    return found


def expand_job(job: str) -> list[str]:
    """``12_[1-3,5%2]`` -> 12_1, 12_2, 12_3, 12_5; other numbers stay."""
    match = _RANGE.fullmatch(job)
    if match is None:
        return [job]
    found = []
    for part in match["tasks"].split(","):
        first, _, last = part.partition("-")
        found += [f"{match['job']}_{task}" for task in range(int(first), int(last or first) + 1)]
    return found


def _output(command: list[str], *, ignoring: str | None = None) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode == 0 or (ignoring and ignoring in done.stderr):
        return done.stdout
    return None


def _failure(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=2 * _SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if done.returncode == 0 else (done.stderr.strip() or f"exit status {done.returncode}")
