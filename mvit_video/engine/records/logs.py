"""A run's records: ``train.jsonl`` for programs and TensorBoard event files for curves."""

import json
import math
import os
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import torch

from mvit_video.engine.errors import RunError
from mvit_video.engine.processes.group import Group

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

Row = dict[str, Any]


class RunLog:
    """Writes rows of numbers; a resumed run continues the files as if it had never stopped.

    Every row has ``kind`` ("train", "val", "videos" or "head"), ``step`` (optimiser steps completed) and
    ``epoch`` (epochs completed, fractional). Rows after ``resume_step`` were written by a sitting whose
    work is done again, so they are dropped, as is a last line that was cut off.

    Args:
        output_dir: ``train.jsonl`` and ``tensorboard/`` lie here.
        resume_step: the step the run continues from; 0 starts the file anew.
        tensorboard: whether to write event files.
    """

    def __init__(self, output_dir: str | Path, *, resume_step: int = 0, tensorboard: bool = True) -> None:
        self.path = Path(output_dir) / "train.jsonl"
        self.rows = [row for row in read_rows(self.path) if row["step"] <= resume_step] if resume_step else []
        self._rewrite()
        self._file = open(self.path, "a", encoding="utf-8")  # noqa: SIM115 - closed in close()
        self._writer = (
            _tensorboard_writer(Path(output_dir) / "tensorboard", resume_step) if tensorboard else None
        )
        # A killed sitting may have told the file of its last step, and no more.
        for row in self.rows:
            if row["step"] == resume_step:
                self._draw(row)

    def write(
        self,
        kind: str,
        *,
        step: int,
        epoch: float,
        details: Mapping[str, Any] | None = None,
        **numbers: float | int | None,
    ) -> Row:
        """Append one row; a crash right after loses nothing of it. Returns the row.

        Numbers go to TensorBoard too, ``details`` (what JSON can hold) do not. JSON knows no infinity (a
        gradient norm that float16 overflowed, say): it is written as null.

        Raises:
            RunError: the row cannot be written (a full disk, say).
        """
        numbers = {name: _finite(number) for name, number in numbers.items()}
        row: Row = {"kind": kind, "step": step, "epoch": epoch, **numbers, **(details or {})}
        self.rows.append(row)
        try:
            self._file.write(json.dumps(row) + "\n")
            self._file.flush()
        except OSError as error:  # which does not say what it was writing
            raise RunError(f"{self.path}: cannot be written ({error.strerror}): check the disk") from error
        self._draw(row)
        return row

    def _draw(self, row: Row) -> None:
        """Tell TensorBoard the numbers of a row."""
        if self._writer is None:
            return
        for name, number in row.items():
            if name not in ("step", "epoch") and isinstance(number, int | float):
                self._writer.add_scalar(f"{row['kind']}/{name}", number, row["step"])
        self._writer.flush()

    def sync(self) -> None:
        """Have all rows on the disk, where they outlive the machine.

        Raises:
            RunError: they cannot be written.
        """
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise RunError(f"{self.path}: cannot be written ({error.strerror}): check the disk") from error

    def has(self, kind: str, step: int) -> bool:
        """Whether a row of this kind is there for this step."""
        return any(row["kind"] == kind and row["step"] == step for row in self.rows)

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        if self._writer is not None:
            self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _rewrite(self) -> None:
        temporary = self.path.with_name(self.path.name + ".tmp")
        temporary.write_text("".join(json.dumps(row) + "\n" for row in self.rows), encoding="utf-8")
        os.replace(temporary, self.path)


class SilentLog(RunLog):
    """The log in a process that writes none: it remembers the same rows.

    Args:
        rows: those that the process that writes has begun with.
    """

    def __init__(self, rows: list[Row]) -> None:
        self.path, self.rows, self._writer = Path(os.devnull), rows, None
        self._file = open(os.devnull, "a", encoding="utf-8")  # noqa: SIM115 - closed in close()

    def sync(self) -> None:
        """Nothing is to be written."""


def shared_log(output_dir: str | Path, resume_step: int, group: Group) -> RunLog:
    """The log of a run of several processes, of which the first one writes; all of them call this.

    Args:
        output_dir: as for :class:`RunLog`.
        resume_step: likewise.
        group: the processes.
    """
    log = RunLog(output_dir, resume_step=resume_step) if group.is_main else None
    rows = group.broadcast(None if log is None else log.rows)
    return log or SilentLog(rows or [])


def read_rows(path: str | Path) -> list[Row]:
    """The rows of a ``train.jsonl``; lines that are not whole rows are left out, a missing file has none."""
    path = Path(path)
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(row, dict) and {"kind", "step", "epoch"} <= row.keys():
            rows.append(row)
    return rows


def prepare_output_dir(path: str | Path, key: str = "OUTPUT_DIR") -> Path:
    """Make a folder that a run writes to, which `key` names, and make sure that files can be written there.

    Raises:
        RunError: it cannot be made or written.
    """
    folder = Path(path)
    probe = folder / f".writable-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink(missing_ok=True)  # a process on another node may have the same number
    except OSError as error:
        reason = error.strerror or error
        raise RunError(
            f"{key} is {str(path)!r}, which cannot be written ({reason}): choose another"
        ) from error
    return folder


def memory_gb(device: torch.device) -> float:
    """Peak memory so far in GB (1e9 bytes): the GPU's for PyTorch tensors, or this process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def _finite(number: float | int | None) -> float | int | None:
    return number if number is not None and math.isfinite(number) else None


def _tensorboard_writer(folder: Path, resume_step: int) -> "SummaryWriter":
    from torch.utils.tensorboard import SummaryWriter

    # purge_step hides what an interrupted sitting wrote at the checkpoint's step and after it.
    return SummaryWriter(str(folder), purge_step=resume_step or None)
