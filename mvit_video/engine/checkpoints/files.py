"""A run's checkpoints: written whole or not at all, found again, read safely.

``OUTPUT_DIR/checkpoints/checkpoint_epoch_00010.pyth`` is the state after 10 epochs: a dict with ``format``,
``model_state``, ``optimizer_state``, ``scaler_state``, ``epoch`` (epochs completed), ``step`` (optimiser
steps completed), ``random_states``, ``class_names`` (or None) and ``cfg`` (the configuration as YAML).
"""

import logging
import os
import pickle
import re
import signal
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import yaml

from mvit_video.config import Config, dump_config
from mvit_video.engine.errors import RunError

FORMAT = 1

_logger = logging.getLogger("mvit_video.engine")
_FILE_NAME = re.compile(r"checkpoint_epoch_(\d+)\.pyth")
_KEYS = frozenset({"model_state", "optimizer_state", "scaler_state", "epoch", "step", "random_states", "cfg"})
# What a truncated or damaged file raises in torch.load.
_UNREADABLE = (
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    KeyError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
)
# Keys that may change between two sittings of one run without changing what is trained.
_FREE_KEYS = re.compile(
    r"(TEST|TENSORBOARD|DATA_LOADER)\..*|OUTPUT_DIR|LOG_PERIOD|LOG_MODEL_INFO|DEVICE|NUM_GPUS|DATA\.TEST_.*|DATA\.VAL_LIST|"
    r"DATA\.(TIMEOUT_SECONDS|BAD_VIDEOS_LIMIT)|"
    r"TRAIN\.(ENABLE|EVAL_PERIOD|CHECKPOINT_PERIOD|AUTO_RESUME|CHECKPOINT_FILE_PATH|MICRO_BATCH_SIZE|EVAL_AT_START)"
)


def checkpoint_path(output_dir: str | Path, epoch: int) -> Path:
    """Where the state after ``epoch`` completed epochs lies."""
    return Path(output_dir) / "checkpoints" / f"checkpoint_epoch_{epoch:05d}.pyth"


def list_checkpoints(output_dir: str | Path) -> list[Path]:
    """The checkpoints of a run, newest (most epochs) first; nothing is opened."""
    folder = Path(output_dir) / "checkpoints"
    found = [
        (int(match[1]), path)
        for path in (folder.iterdir() if folder.is_dir() else ())
        if (match := _FILE_NAME.fullmatch(path.name))
    ]
    return [path for _, path in sorted(found, reverse=True)]


def save_checkpoint(path: Path, contents: Mapping[str, Any]) -> None:
    """Write a checkpoint so that ``path`` is always absent, the old file or the whole new one.

    Raises:
        RunError: the file cannot be written (a full disk, say); what was there before stays.
    """
    with _interrupt_waits():
        _write_whole(path, contents)


def _write_whole(path: Path, contents: Mapping[str, Any]) -> None:
    temporary = path.with_suffix(".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            torch.save({"format": FORMAT, **contents}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except (OSError, RuntimeError) as error:
        raise RunError(
            f"{path}: the checkpoint could not be written ({_first_line(_behind(error))}): check the disk"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _behind(error: BaseException) -> BaseException:
    """What went wrong first: what stops torch.save half-way comes out as its RuntimeError."""
    while error.__context__ is not None:
        error = error.__context__
    return error


@contextmanager
def _interrupt_waits() -> Iterator[None]:
    """Let a Ctrl-C wait: inside torch.save it comes out as another error, or is lost."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler or not _in_main_thread():
        yield
        return
    pressed: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if pressed:
        raise KeyboardInterrupt


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def read_resumable(path: Path) -> dict[str, Any]:
    """Read a checkpoint that a run can continue from, with every tensor on the CPU.

    Raises:
        RunError: the file is damaged, or was written by something else.
    """
    try:
        contents = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
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


class DamagedCheckpointError(RunError):
    """A checkpoint file is truncated or otherwise not readable."""


def last_resumable(output_dir: str | Path) -> tuple[Path, dict[str, Any]] | None:
    """The newest checkpoint that can be read; damaged ones are passed over with a warning.

    Raises:
        RunError: the newest readable file is not a state of a run of ours.
    """
    for path in list_checkpoints(output_dir):
        try:
            return path, read_resumable(path)
        except DamagedCheckpointError as error:
            _logger.warning("%s; trying the checkpoint before it", error)
    return None


def changed_keys(then: str, now: Config) -> list[str]:
    """The keys that change the training and differ between a checkpoint's configuration and this one.

    Args:
        then: YAML of :func:`mvit_video.config.dump_config`, the ``cfg`` of a checkpoint.
        now: the configuration of the current run.
    """
    defaults = _flatten(dump_config(Config(), every_key=True))
    before, after = defaults | _flatten(then), defaults | _flatten(dump_config(now))
    return [
        key
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key) and not _FREE_KEYS.fullmatch(key)
    ]


def _flatten(text: str) -> dict[str, Any]:
    """YAML text as dotted keys; a configuration is at most two levels deep."""
    flat: dict[str, Any] = {}
    for name, value in (yaml.safe_load(text) or {}).items():
        flat |= (
            {f"{name}.{key}": item for key, item in value.items()}
            if isinstance(value, dict)
            else {name: value}
        )
    return flat


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
