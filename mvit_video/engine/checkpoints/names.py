"""What checkpoints are called; nothing is opened, and nothing heavy imported."""

import re
from pathlib import Path

_FILE_NAME = re.compile(r"checkpoint_epoch_(\d+)(?:_step_(\d+))?\.pyth")


def checkpoint_path(output_dir: str | Path, epoch: int, step: int | None = None) -> Path:
    """Where the state after ``epoch`` completed epochs lies; with ``step``, one between two epochs' ends."""
    within = "" if step is None else f"_step_{step:08d}"
    return Path(output_dir) / "checkpoints" / f"checkpoint_epoch_{epoch:05d}{within}.pyth"


def position(path: Path) -> tuple[int, int] | None:
    """The epochs and steps that a checkpoint's name tells, -1 steps where it is of an epoch's end.

    None: it is no name of a checkpoint (``checkpoint_best.pyth`` is another name of one).
    """
    match = _FILE_NAME.fullmatch(path.name)
    return (int(match[1]), int(match[2] or -1)) if match else None


def list_checkpoints(output_dir: str | Path) -> list[Path]:
    """The checkpoints of a run, newest (most epochs and steps) first; nothing is opened."""
    folder = Path(output_dir) / "checkpoints"
    found = [
        (where, path)
        for path in (folder.iterdir() if folder.is_dir() else ())
        if (where := position(path)) is not None
    ]
    return [path for _, path in sorted(found, reverse=True)]
