"""A run's checkpoints: written whole or not at all, found again, verified and read safely.

``OUTPUT_DIR/checkpoints/checkpoint_epoch_00010.pyth`` is the state after 10 epochs, and
``checkpoint_epoch_00010_step_00001234.pyth`` that after 1234 steps, in the epoch after those 10. Each is a
zip file as ``torch.save`` writes it, with a CRC-32 of every tensor in it, and holds a dict:

- ``format``: 2; format 1 has none of the keys that say so below.
- ``model_state``, ``optimizer_state``, ``scaler_state``; ``ema_state`` or None: whole, whatever the number of
  processes and DISTRIBUTED.STRATEGY.
- ``epoch``: epochs completed; ``step``: steps completed, skipped ones included; ``step_in_epoch`` (2): those
  of the epoch after the completed ones; ``global_batch`` (2): clips per step; ``skipped`` (2): steps whose
  loss was not finite.
- ``window`` (2): what the next row of the log has of steps before; ``troubles`` (2): videos of the epoch that
  were damaged or could not be read.
- ``random_states``, ``class_names`` (or None), ``cfg`` (the configuration as YAML).
"""

import errno
import logging
import os
import pickle
import shutil
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mvit_video.engine.checkpoints.names import checkpoint_path as checkpoint_path
from mvit_video.engine.checkpoints.names import list_checkpoints as list_checkpoints
from mvit_video.engine.checkpoints.names import position as position
from mvit_video.engine.errors import RunError
from mvit_video.engine.stopping import interrupts_held

FORMAT = 2

_logger = logging.getLogger("mvit_video.engine")
_KEYS = frozenset({"model_state", "optimizer_state", "scaler_state", "epoch", "step", "random_states", "cfg"})
# What a truncated or damaged file raises in zipfile or torch.load.
_DAMAGED = (
    RuntimeError,
    EOFError,
    ValueError,
    KeyError,
    pickle.UnpicklingError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


def save_checkpoint(path: Path, contents: Mapping[str, Any]) -> None:
    """Write a checkpoint so that ``path`` is always absent, the old file or the whole new one.

    A Ctrl-C waits until it is.

    Raises:
        RunError: the file cannot be written (a full disk, say); what was there before stays.
    """
    with interrupts_held():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _check_room(path, contents)
            _write_whole(path, contents)
        except (OSError, RuntimeError) as error:
            raise RunError(
                f"{path}: the checkpoint could not be written ({_first_line(_behind(error))}): check the "
                "disk; checkpoints before it stay as they were"
            ) from error


def _write_whole(path: Path, contents: Mapping[str, Any]) -> None:
    temporary = path.with_suffix(".tmp")
    try:
        with open(temporary, "wb") as file:
            torch.save({"format": FORMAT, **contents}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_room(path: Path, contents: Mapping[str, Any]) -> None:
    """Raise before anything is written where the file system says that it has too little room."""
    needed, free = _tensor_bytes(contents), shutil.disk_usage(path.parent).free
    if free < needed:
        raise OSError(f"it needs {needed / 1e6:.1f} MB, and {free / 1e6:.1f} MB are free")


def _tensor_bytes(item: Any) -> int:
    if isinstance(item, torch.Tensor):
        return item.nbytes
    if isinstance(item, Mapping):
        return sum(map(_tensor_bytes, item.values()))
    return sum(map(_tensor_bytes, item)) if isinstance(item, list | tuple) else 0


def _behind(error: BaseException) -> BaseException:
    """What went wrong first: what stops torch.save half-way comes out as its RuntimeError."""
    while error.__context__ is not None:
        error = error.__context__
    return error


def read_resumable(path: Path, *, verify: bool = True) -> dict[str, Any]:
    """Read a checkpoint that a run can continue from, with every tensor on the CPU.

    Args:
        path: the file.
        verify: whether to compare every tensor with its checksum first, which reads the file once more.

    Raises:
        DamagedCheckpointError: the file is truncated or damaged.
        RunError: the disk does not give it, or it was written by something else.
    """
    try:
        if verify:
            _verify(path)
        contents = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        if error.errno in (None, errno.EINVAL):  # places that damage makes up are sought in vain
            raise DamagedCheckpointError(f"{path}: cannot be read ({_first_line(error)})") from error
        raise RunError(
            f"{path}: cannot be read ({error.strerror or _first_line(error)}), which need not be the file's "
            "fault: check the disk and the permissions, and start again; nothing was changed"
        ) from error
    except _DAMAGED as error:
        raise DamagedCheckpointError(f"{path}: cannot be read ({_first_line(error)})") from error
    if not isinstance(contents, dict) or not contents.keys() >= _KEYS or "format" not in contents:
        raise RunError(
            f"{path}: holds no state of a run of ours to continue from; to start from its weights set "
            "TRAIN.CHECKPOINT_FILE_PATH to it and use another OUTPUT_DIR (or TRAIN.AUTO_RESUME False)"
        )
    if contents["format"] > FORMAT:
        raise RunError(
            f"{path}: has checkpoint format {contents['format']}, this version reads up to {FORMAT}: "
            "use the version of mvit_video that wrote it, or a newer one"
        )
    return contents


def _verify(path: Path) -> None:
    """Compare the checksums, which torch.load does not look at."""
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(f"{damaged} in it does not have the checksum that was written")


class DamagedCheckpointError(RunError):
    """A checkpoint file is truncated or otherwise not readable."""


def last_resumable(output_dir: str | Path) -> tuple[Path, dict[str, Any]] | None:
    """The newest checkpoint that is not damaged, with a warning for each that is; None where there are none.

    Raises:
        RunError: that file is not a state of a run of ours, the disk does not give it, or all are damaged.
    """
    found = list_checkpoints(output_dir)
    for path in found:
        try:
            return path, read_resumable(path)
        except DamagedCheckpointError as error:
            _logger.warning("%s; trying the checkpoint before it", error)
    if found:
        raise RunError(
            f"{found[0].parent}: none of the {len(found)} checkpoints can be read, and a new run would write "
            "over them: move them away, or choose another OUTPUT_DIR"
        )
    return None


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
