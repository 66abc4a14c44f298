"""Signals that ask a run to leave: noted when they come, acted upon where nothing is half done.

A handler that saves by itself can catch one process of several inside the optimiser's step, and the others
in a collective operation that it would never join. So the handlers here set a flag, and say so at most;
whoever trains or tests looks at it between two steps or two videos.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGINT)
_MAY_BE_IGNORED = (signal.SIGHUP, signal.SIGINT)


@dataclass
class _Noted:
    """What has come since the handlers were installed."""

    first: int | None = None
    interrupts: int = 0  # Ctrl-C
    holding: bool = False  # a second Ctrl-C waits
    active: bool = False
    answer: str | None = None  # to the first Ctrl-C

    def note(self, number: int, frame: FrameType | None = None) -> None:
        """The handler."""
        self.first = self.first or number
        if number == signal.SIGINT:
            self.interrupts += 1
            if self.interrupts == 1 and self.answer:
                with suppress(OSError):  # the reader of a pipe may have been interrupted, too
                    os.write(2, f"\n{self.answer}\n".encode())  # logging may be in the midst of a line
            self.interrupt_if_insisted()

    def interrupt_if_insisted(self) -> None:
        if self.interrupts > 1 and not self.holding:
            raise KeyboardInterrupt


_noted = _Noted()


def signal_seen() -> int | None:
    """The first signal that asked this process to leave, since :func:`signals_noted` was entered."""
    return _noted.first


@contextmanager
def signals_noted(until: str | None = None) -> Iterator[None]:
    """The first SIGINT and all others of ``SIGNALS`` only set a flag; a second SIGINT interrupts at once.

    ``until`` is what is finished before the flag is looked at ("this step"); with it, the first SIGINT is
    answered on standard error, as that may take a while.

    Handlers that somebody else installed are out of force meanwhile and in force again afterwards. Outside
    the main thread, where Python allows none, and inside another such context nothing changes. SIGINT and
    SIGHUP stay ignored where they were (a background job of a script, ``nohup``).
    """
    if _noted.active or threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [
        number
        for number in SIGNALS
        if number not in _MAY_BE_IGNORED or signal.getsignal(number) is not signal.SIG_IGN
    ]
    _noted.first, _noted.interrupts, _noted.active = None, 0, True
    _noted.answer = f"stopping after {until}; Ctrl-C once more stops at once" if until else None
    before = {number: signal.signal(number, _noted.note) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)  # None: one that was not installed from Python
        _noted.first, _noted.active, _noted.answer = None, False, None


@contextmanager
def interrupts_held() -> Iterator[None]:
    """A Ctrl-C that would interrupt waits until the end of this, where a file is whole.

    Inside ``torch.save`` it would come out as another error, or be lost.
    """
    if threading.current_thread() is not threading.main_thread() or _noted.holding:
        yield
        return
    alone = not _noted.active and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if alone:
        _noted.interrupts = 1  # nobody looks at a flag: the first one interrupts
        signal.signal(signal.SIGINT, _noted.note)
    _noted.holding = True
    try:
        yield
    finally:
        _noted.holding = False
        if alone:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            _noted.first = None
    _noted.interrupt_if_insisted()
