"""Jobs of a real Slurm as a test sees them: handed in as a user does, watched from outside, disturbed."""

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

CLUSTER = Path(__file__).parents[2] / "tools/slurm/cluster.py"
BRAKE = Path(__file__).parent / "brake"
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED"}
PATIENCE_SECONDS = 600


def cluster(command: str) -> subprocess.CompletedProcess[str]:
    """``cluster.py up``, ``down`` or ``status``."""
    return subprocess.run([sys.executable, str(CLUSTER), command], capture_output=True, text=True)


def slurm(*command: str) -> str:
    """The output of a Slurm command."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout.strip()


def mvit_video(
    *words: object, cwd: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A command of ours, as it is typed in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "mvit_video", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})},
    )


@dataclass
class Job:
    """A job that ``mvit-video submit`` handed in.

    Attributes:
        number: Slurm's.
        output: OUTPUT_DIR of the run.
        brake: folder by which its processes are held.
    """

    number: str
    output: Path
    brake: Path = field(default_factory=Path)

    def fields(self) -> dict[str, str]:
        """What scontrol knows: JobState, Restarts, NodeList, Reason, ..."""
        text = slurm("scontrol", "show", "job", "-o", self.number).splitlines()[0]
        return dict(word.split("=", 1) for word in text.split() if "=" in word)

    @property
    def state(self) -> str:
        """RUNNING, PENDING, COMPLETED, ..."""
        return self.fields()["JobState"]

    def until(self, what: str, holds) -> None:
        """Wait until ``holds()``; a job that does not get there shows its logs."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            assert time.monotonic() < end, f"waited in vain until {what}\n{self.story()}"
            assert what == "it has ended" or self.state not in ENDED, f"ended before {what}\n{self.story()}"
            time.sleep(0.5)

    def wait(self) -> str:
        """The state it ended in."""
        self.until("it has ended", lambda: self.state in ENDED)
        return self.state

    def started_again(self, times: int = 1) -> None:
        """Wait until it runs for the second time (or later)."""
        self.until("it runs again", lambda: self.is_running(times))

    def is_running(self, restarts: int = 0) -> bool:
        """Whether it runs after so many restarts."""
        fields = self.fields()
        return fields["JobState"] == "RUNNING" and int(fields["Restarts"]) >= restarts

    def story(self) -> str:
        """All that is known, for a test that failed."""
        logs = [
            f"--- {path}\n{path.read_text(errors='replace')[-3000:]}"
            for path in sorted((self.output / "launch").rglob("*"))
            if path.suffix in {".out", ".err", ".jsonl"} and path.stat().st_size
        ]
        return "\n".join([str(self.fields()), *logs])

    def events(self, name: str | None = None) -> list[dict]:
        """The lines of events.jsonl, of all events or those of one name."""
        (path,) = (self.output / "launch").glob("*/events.jsonl")
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        return [row for row in rows if name in (None, row["event"])]

    def log(self, rank: int) -> str:
        """What a process wrote to stderr."""
        (path,) = (self.output / "launch").glob(f"*/logs/{self.number}_{rank}_log.err")
        return path.read_text()

    def held(self, processes: int = 4) -> list[int]:
        """Wait until so many processes stand still; their ids, by rank."""
        self.until("its processes are held", lambda: len(list(self.brake.glob("held.*"))) == processes)
        return [int((self.brake / f"held.{rank}").read_text()) for rank in range(processes)]

    def signalled(self, processes: int = 4) -> set[str]:
        """Wait until every process that is held was sent a signal; the first one of each process."""
        self.until("the signal arrives", lambda: len(list(self.brake.glob("signalled.*"))) == processes)
        return {path.read_text().split()[0] for path in self.brake.glob("signalled.*")}

    def release(self) -> None:
        """Let the processes go on, now and later."""
        (self.brake / "hold").unlink()


def submit(config: Path, output: Path, brake: Path, *words: object) -> Job:
    """Hand a run in; its processes can be held by the job's brake."""
    brake.mkdir(exist_ok=True)
    path = os.pathsep.join(filter(None, (str(BRAKE), os.environ.get("PYTHONPATH"))))
    env = {"BRAKE": str(brake), "PYTHONPATH": path}
    done = mvit_video("submit", "--cfg", config, *words, cwd=config.parent, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return Job(re.findall(r"job (\d+)", done.stdout)[0], output, brake)


def alive(process: int) -> bool:
    """Whether it runs; one that has ended and that nobody asked after does not."""
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def train_rows(output: Path) -> list[dict]:
    """The steps' rows of train.jsonl."""
    rows = [json.loads(line) for line in (output / "train.jsonl").read_text().splitlines()]
    return [row for row in rows if row["kind"] == "train"]


def curve(output: Path) -> list[tuple[int, float, float]]:
    """(step, loss, learning rate) of every row."""
    return [(row["step"], row["loss"], row["lr"]) for row in train_rows(output)]
