"""What the command line does with messages, errors and a reader that went away."""

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from mvit_video.engine.processes.environment import RENDEZVOUS_VARIABLE

_SECONDS_BEHIND_FIRST = 5.0


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to whatever ``sys.stderr`` is at that moment."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


@contextmanager
def console_logging() -> Iterator[None]:
    """Send the package's own messages, from INFO up and without decoration, to standard error."""
    logger = logging.getLogger("mvit_video")
    handler = _StderrHandler()
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


def let_first_speak() -> None:
    """Wait a little where this is not the first of several processes that were started by one command.

    What is wrong with the command all of them find; the first says so and ends, and with it most others.
    """
    started = "SLURM_PROCID" if RENDEZVOUS_VARIABLE in os.environ and "RANK" not in os.environ else "RANK"
    if os.environ.get(started, "0") != "0":
        time.sleep(_SECONDS_BEHIND_FIRST)


def describe_error(error: Exception) -> str | None:
    """The text to show for an error somebody can do something about; None for a fault of the program."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, ValueError | OSError):
        return str(error) or type(error).__name__
    if isinstance(error, ImportError):
        return f"{error} (mvit-video doctor says what is missing or does not fit)"
    return _describe_shortage(error)


def _describe_shortage(error: Exception) -> str | None:
    """What to do where memory ran out; None for another error."""
    fewer = "fewer clips at a time (TRAIN.MICRO_BATCH_SIZE in training, TEST.BATCH_SIZE in testing)"
    if type(error).__name__ == "OutOfMemoryError":
        return f"not enough GPU memory: {fewer}, or the CPU (DEVICE cpu)"
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    ):
        return f"not enough memory: {fewer}, or a smaller model"
    return None


def silence_stdout() -> None:
    """Point standard output at nothing, so that closing it at exit cannot fail again."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)
