"""From the start of a command to its next step: in a new run, and in one that was killed within an epoch.

The model and its checkpoint are of full size; its clips are small, so that a step takes little of the time.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from comparing import show
from measuring import Timing, as_text, table_head, table_row

from costs.setups import Setup, spread
from mvit_video.engine.checkpoints.files import list_checkpoints, position
from mvit_video.engine.records.logs import read_rows

SECONDS = 600  # for what takes a few
MINUTES = 0.1  # TRAIN.CHECKPOINT_MINUTES
_CLIPS = ["DATA.NUM_FRAMES", 4, "DATA.TRAIN_CROP_SIZE", 64, "DATA.TRAIN_JITTER_SCALES", "[72, 80]"]
TITLES = [
    "model",
    "checkpoint, MB",
    "new run, s to the first step",
    "resumed, s to the next step",
    "resumed of new",
    f"lost by kill -9, s (a checkpoint every {60 * MINUTES:g})",
    "steps lost",
]


class Command:
    """A training command in a process of its own, started at once."""

    def __init__(self, words: list[str], output: Path) -> None:
        self.started, self._log = time.monotonic(), output / "train.jsonl"
        self._said = open(output.with_suffix(".txt"), "ab")  # noqa: SIM115 - closed in kill()
        command = [sys.executable, "-m", "mvit_video", "train", *words]
        self._process = subprocess.Popen(
            command, stdout=self._said, stderr=self._said, start_new_session=True
        )

    def wait(self, condition: Callable[[list[dict[str, Any]]], bool]) -> float:
        """The seconds from the start until the rows of its log fulfil a condition.

        Raises:
            RuntimeError: it ended before, or that took too long.
        """
        while not condition([row for row in read_rows(self._log) if row["kind"] == "train"]):
            if self._process.poll() is not None or time.monotonic() > self.started + SECONDS:
                said = Path(self._said.name).read_text(encoding="utf-8", errors="replace").splitlines()
                raise RuntimeError(f"the run came to no step: {said[-1] if said else 'it said nothing'}")
            time.sleep(0.01)
        return time.monotonic() - self.started

    def kill(self) -> None:
        """SIGKILL, for it and its workers."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._said.close()


def run(setup: Setup) -> None:
    """Prints a table of one line."""
    model = "tiny" if setup.quick else "mvitv2_s_16x4"
    show("\n### Going on after kill -9\n")
    show(table_head(TITLES))
    moments = [(2 * number + 1) / setup.rounds for number in range(setup.rounds)]
    found = [_round(setup, model, periods) for periods in moments]
    new, resumed, lost, steps, megabytes = zip(*found, strict=True)
    ratio = as_text(Timing(resumed).ratio_to(Timing(new)))
    figures = [spread(values) for values in (new, resumed)]
    show(table_row([model, f"{megabytes[0]:.0f}", *figures, ratio, spread(lost), spread(steps)]))


def _round(setup: Setup, model: str, periods: float) -> tuple[float, float, float, float, float]:
    """(seconds to the first step, to the next after a kill, seconds and steps that it cost, MB).

    The kill comes so many times the checkpoints' distance after the first of them.
    """
    output = setup.folder / "run"
    output.mkdir()
    own = ["TRAIN.BATCH_SIZE", 2, "OUTPUT_DIR", output, "TRAIN.CHECKPOINT_MINUTES", MINUTES]
    name, words = setup.source(model, 10000, *_CLIPS, *own)
    words = ["--cfg", name, *words]
    command = Command(words, output)
    try:
        new = command.wait(bool)
        command.wait(lambda rows: _saved_step(output) > 0)
        end = time.monotonic() + periods * 60 * MINUTES
        command.wait(lambda rows: time.monotonic() > end)
    finally:
        command.kill()
    killed = time.time()
    (newest, *_), step = list_checkpoints(output), _saved_step(output)
    lost, size = killed - newest.stat().st_mtime, newest.stat().st_size / 1e6
    steps = read_rows(output / "train.jsonl")[-1]["step"] - step
    _forget_rows(output / "train.jsonl", step)
    command = Command(words, output)
    try:
        resumed = command.wait(lambda rows: bool(rows) and rows[-1]["step"] > step)
    finally:
        command.kill()
    shutil.rmtree(output)
    return new, resumed, lost, steps, size


def _saved_step(output: Path) -> int:
    """The steps behind the newest checkpoint; 0 without one."""
    return max(((position(path) or (0, 0))[1] for path in list_checkpoints(output)), default=0)


def _forget_rows(log: Path, step: int) -> None:
    """Take out the rows that will be written again, so that a new one is told from them."""
    rows = [row for row in read_rows(log) if row["step"] <= step]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
