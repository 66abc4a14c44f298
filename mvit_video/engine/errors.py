"""What ends a run before its time."""

import errno
import signal
from pathlib import Path


class RunError(ValueError):
    """A training or test run cannot start or go on; the text says what was found and what to do."""


class PassingError(RunError):
    """A failure that may pass by itself, as of a network: another start may not meet it."""


PASSING_STATUS = 75  # of a process that ends by what may pass by itself: EX_TEMPFAIL of sysexits.h
_MENDABLE = (FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError)


def is_mendable(error: BaseException) -> bool:
    """Whether somebody has to mend something before another start can help.

    A wrong setting, a missing file or a full disk stay as they are; other errors of the system may be of a
    network or a file server that comes back.
    """
    if isinstance(error, OSError):
        return isinstance(error, _MENDABLE) or error.errno in (errno.ENOSPC, errno.EDQUOT)
    return isinstance(error, ValueError) and not isinstance(error, PassingError)


class Stopped(Exception):  # noqa: N818 - nothing went wrong
    """A signal asked the run to leave, and it has left in good order.

    Attributes:
        signal_number: which one; with several processes, the one that the first of them saw.
        saved: the checkpoint that the same command goes on from; None where there was nothing to save.
    """

    def __init__(self, signal_number: int, where: str, saved: Path | None = None) -> None:
        self.signal_number, self.saved, self._where = int(signal_number), saved, where
        name = signal.Signals(signal_number).name
        rest = (
            f"saved to {saved}; the same command goes on"
            if saved
            else "the same command begins this part again"
        )
        super().__init__(f"stopped by {name} {where}, {rest}")

    def __reduce__(self) -> tuple[type["Stopped"], tuple[int, str, Path | None]]:
        """What pickle makes another one of, on its way from one process to another."""
        return type(self), (self.signal_number, self._where, self.saved)
