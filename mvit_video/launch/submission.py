"""The folder of one submission: what was asked for, what became of it.

::

    OUTPUT_DIR/launch/001/       the next submission into the same OUTPUT_DIR makes 002
      submission.json            what, resources, the command line, versions
      config.yaml                the configuration as it was understood (training and testing)
      git.json git.diff          in a checkout: the commit, files it does not know, all changes
      events.jsonl               one line per start, stop, requeue, failure and end of a job
      logs/                      the script for sbatch, and what each task printed
      parts/                     results of the parts of a test or a prediction
      rendezvous/                where the processes of a job find each other
"""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from mvit_video.launch.errors import LaunchError
from mvit_video.launch.resources import Resources

What = Literal["run", "test", "predict"]
Event = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """What is to be done, by how much of the cluster.

    Attributes:
        what: "run" trains and tests as the configuration says; "test" and "predict" are cut into parts.
        resources: of each job.
        directory: where it was asked for: relative paths start there.
        restarts: starts in a row that leave nothing new behind, after which a run is given up.
        parts: how many; 0 for "run".
        retries: how often a part that failed is tried again at once.
        output: the file that the parts are merged into; None for "run".
        words: the words of ``mvit-video predict`` but for its videos and its output, for "predict".
    """

    what: What
    resources: Resources
    directory: str
    restarts: int
    parts: int = 0
    retries: int = 0
    output: str | None = None
    words: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """What JSON can hold."""
        return {**vars(self), "resources": self.resources.to_json(), "words": list(self.words)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The same again."""
        resources, words = Resources.from_json(values["resources"]), tuple(values["words"])
        return cls(**{**values, "resources": resources, "words": words})


@dataclass(frozen=True)
class Submission:
    """The folder of a submission."""

    folder: Path

    @property
    def run_folder(self) -> Path:
        """OUTPUT_DIR, or what stands for it."""
        return self.folder.parent.parent

    @property
    def config_path(self) -> Path:
        """The configuration."""
        return self.folder / "config.yaml"

    @property
    def logs(self) -> Path:
        """What tasks printed; submitit's folder."""
        return self.folder / "logs"

    @property
    def rendezvous(self) -> Path:
        """Where processes find each other."""
        return self.folder / "rendezvous"

    @property
    def parts(self) -> Path:
        """Results of parts."""
        return self.folder / "parts"

    def write(self, request: Request, circumstances: Mapping[str, Any]) -> None:
        """Keep what was asked for."""
        values = {"request": request.to_json(), **circumstances}
        (self.folder / "submission.json").write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")

    def request(self) -> Request:
        """What was asked for."""
        return Request.from_json(self.read()["request"])

    def read(self) -> dict[str, Any]:
        """The whole of submission.json.

        Raises:
            LaunchError: it is not there or damaged.
        """
        path = self.folder / "submission.json"
        try:
            values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError) as error:
            raise LaunchError(f"{path}: cannot be read ({error}): submit the run again") from error
        return values

    def tell(self, event: str, **details: Any) -> None:
        """Append an event; one write, so that tasks that tell at once do not mix their lines."""
        row = {"event": event, "time": round(time.time(), 3), **details}
        line = json.dumps(row).encode() + b"\n"
        handle = os.open(self.folder / "events.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(handle, line)
            os.fsync(handle)
        finally:
            os.close(handle)

    def events(self) -> list[Event]:
        """All events; lines that are not whole are left out."""
        path = self.folder / "events.jsonl"
        found = []
        for line in path.read_bytes().splitlines() if path.exists() else []:
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict) and {"event", "time"} <= row.keys():
                found.append(row)
        return found

    def job_ids(self) -> list[str]:
        """The jobs that Slurm gave it, oldest first."""
        return [row["job"] for row in self.events() if row["event"] == "submitted"]


def new_submission(run_folder: Path) -> Submission:
    """Make the next folder.

    Raises:
        LaunchError: it cannot be made.
    """
    launches = run_folder.absolute() / "launch"
    try:
        launches.mkdir(parents=True, exist_ok=True)
        numbers = [submission_number(path) for path in launches.iterdir()]
        folder = launches / f"{max(numbers, default=0) + 1:03d}"
        submission = Submission(folder)
        for part in (folder, submission.logs):
            part.mkdir()
    except OSError as error:
        raise LaunchError(
            f"{launches}: cannot be made or written ({error.strerror}): choose another OUTPUT_DIR"
        ) from error
    return submission


def last_submission(run_folder: Path) -> Submission | None:
    """The newest submission of a run; None where nothing was ever submitted."""
    launches = run_folder.absolute() / "launch"
    paths = [path for path in launches.iterdir() if submission_number(path)] if launches.is_dir() else []
    return Submission(max(paths, key=submission_number)) if paths else None


def submission_number(path: Path) -> int:
    """3 for ``launch/003``; 0 for another file."""
    return int(path.name) if path.name.isdecimal() else 0
