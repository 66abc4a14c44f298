"""What a job asks Slurm for."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from mvit_video.launch.errors import LaunchError

SIGNAL_SECONDS = 120
_TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<first>\d+)(?::(?P<second>\d+))?(?::(?P<third>\d+))?")
# What `extra` may not say: there is a flag for it, or a run would not come back or not be found again.
_TAKEN = {
    "array": "--array",
    "chdir": "",
    "cpus-per-task": "--cpus-per-task",
    "error": "",
    "gpus-per-node": "--gpus-per-node",
    "job-name": "--name",
    "no-requeue": "",
    "nodes": "--nodes",
    "ntasks": "--nodes and --tasks-per-node",
    "ntasks-per-node": "--tasks-per-node",
    "open-mode": "",
    "output": "",
    "partition": "--partition",
    "requeue": "",
    "signal": "--signal",
    "time": "--time",
}


@dataclass(frozen=True)
class Resources:
    """What each job of a submission asks for; None: what the cluster gives by default.

    Attributes:
        nodes: computers.
        gpus_per_node: GPUs on each; 0: none.
        tasks_per_node: processes on each, one per GPU where there are GPUs.
        cpus_per_task: for a process and its data workers.
        minutes: the time limit.
        signal_seconds: how long before the time limit the run is told to save and to queue again.
        partition: the partition.
        mem: of one node, as Slurm spells it (16G).
        account: who pays.
        qos: the quality of service.
        constraint: features that nodes must have.
        comment: a comment.
        exclude: nodes not to use.
        name: of the job.
        setup: lines of shell that come before the program, such as ``module load cuda``.
        extra: further options of sbatch by their long names, without dashes; True: one without a value.
    """

    nodes: int = 1
    gpus_per_node: int = 0
    tasks_per_node: int = 1
    cpus_per_task: int = 1
    minutes: int | None = None
    signal_seconds: int = SIGNAL_SECONDS
    partition: str | None = None
    mem: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    comment: str | None = None
    exclude: str | None = None
    name: str = "mvit_video"
    setup: tuple[str, ...] = ()
    extra: Mapping[str, str | bool] = field(default_factory=dict)

    @property
    def tasks(self) -> int:
        """Processes in all."""
        return self.nodes * self.tasks_per_node

    def to_json(self) -> dict[str, Any]:
        """What JSON can hold."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The same again."""
        return cls(**{**values, "setup": tuple(values["setup"])})


def parse_minutes(text: str) -> int:
    """A time limit as Slurm spells it, in whole minutes: 90, 90:00, 1:30:00, 1-12, 1-12:00, 1-12:00:00.

    Raises:
        LaunchError: it is spelt otherwise, or is nothing.
    """
    match = _TIME.fullmatch(text.strip())
    wrong = LaunchError(
        f"--time {text}: expected minutes, HH:MM:SS or DAYS-HH:MM, such as 90, 12:00:00 or 2-00:00"
    )
    if match is None:
        raise wrong
    first, second, third = (int(match[name] or 0) for name in ("first", "second", "third"))
    if match["days"] is not None:
        seconds = int(match["days"]) * 86400 + first * 3600 + second * 60 + third
    elif match["third"] is not None:
        seconds = first * 3600 + second * 60 + third
    else:
        seconds = first * 60 + second
    if seconds == 0:
        raise wrong
    return -(-seconds // 60)


def signal_seconds(given: int | None, minutes: int | None) -> int:
    """How long before the time limit to signal: what was asked for, else long enough to save.

    Raises:
        LaunchError: that leaves no time to work.
    """
    if given is None:
        return SIGNAL_SECONDS if minutes is None else min(SIGNAL_SECONDS, minutes * 30)
    if given < 1:
        raise LaunchError(f"--signal {given}: expected at least 1 second before the time limit")
    if minutes is not None and given >= minutes * 60:
        raise LaunchError(
            f"--signal {given}: is no less than --time ({minutes} minutes), so nothing could be done between "
            "the start and the signal to stop; make it smaller"
        )
    return given


def parse_extra(words: list[str]) -> dict[str, str | bool]:
    """``KEY=VALUE`` (or ``KEY``) of sbatch, with or without its dashes.

    Raises:
        LaunchError: an option that is ours to set, or none.
    """
    found: dict[str, str | bool] = {}
    for word in words:
        key, separator, value = word.partition("=")
        key = key.strip().lstrip("-").replace("_", "-")
        if not re.fullmatch(r"[a-z][a-z-]*", key):
            raise LaunchError(f"--slurm {word}: expected an option of sbatch, such as reservation=NAME")
        if key in _TAKEN:
            flag = f"use {_TAKEN[key]}" if _TAKEN[key] else "submit sets it by itself"
            raise LaunchError(f"--slurm {word}: {flag}")
        found[key] = value if separator else True
    return found
