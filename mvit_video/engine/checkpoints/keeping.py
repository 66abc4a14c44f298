"""Which of a run's checkpoints stay: the last few, the best, and the newest between two epochs' ends."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from mvit_video.engine.checkpoints.files import list_checkpoints, position, sync_folder
from mvit_video.engine.errors import RunError


def best_path(output_dir: str | Path) -> Path:
    """Where the checkpoint lies that did best on the val list."""
    return Path(output_dir) / "checkpoints" / "checkpoint_best.pyth"


def drop_older(newest: Path, num_kept: int) -> None:
    """Remove checkpoints that one which is safely on the disk has made superfluous.

    Args:
        newest: that one; only older ones are removed: all that are not of an epoch's end, and of those that
            are all but the newest ``num_kept``.
        num_kept: TRAIN.CHECKPOINTS_KEPT; 0 keeps all of epochs' ends.
    """
    own = position(newest)
    assert own is not None
    older = [path for path in list_checkpoints(newest.parents[1]) if (position(path) or own) < own]
    for path in older:
        if not _is_epochs_end(path):
            path.unlink(missing_ok=True)
    ends = [path for path in older if _is_epochs_end(path)]
    if num_kept:
        for path in ends[num_kept - _is_epochs_end(newest) :]:
            path.unlink(missing_ok=True)


def keep_as_best(path: Path) -> None:
    """Give a checkpoint the name of the best too, in place of the one that had it; a copy where links fail.

    Raises:
        RunError: neither is possible.
    """
    best = best_path(path.parents[1])
    temporary = best.with_suffix(".tmp")
    try:
        if best.exists() and best.samefile(path):  # to which a rename would do nothing
            return
        temporary.unlink(missing_ok=True)
        try:
            os.link(path, temporary)
        except OSError:  # a file system without hard links
            _copy_to_disk(path, temporary)
        os.replace(temporary, best)
        sync_folder(best.parent)
    except OSError as error:
        raise RunError(f"{best}: cannot be written ({error.strerror}): check the disk") from error


def _copy_to_disk(path: Path, to: Path) -> None:
    """Copy a file whose content is on the disk when this returns."""
    with open(path, "rb") as source, open(to, "wb") as copy:
        shutil.copyfileobj(source, copy, 1 << 20)
        copy.flush()
        os.fsync(copy.fileno())


def remove_leftovers(output_dir: str | Path) -> None:
    """Remove what runs that were killed while they saved have left."""
    for path in _leftovers(Path(output_dir)):
        path.unlink(missing_ok=True)


def _leftovers(output_dir: Path) -> Iterator[Path]:
    yield from (output_dir / "checkpoints").glob("checkpoint_*.tmp")
    yield from output_dir.glob("train.jsonl.tmp")


def _is_epochs_end(path: Path) -> bool:
    where = position(path)
    return where is not None and where[1] < 0
