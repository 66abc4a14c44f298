"""An iterator whose items are made ahead of time in a thread, while whoever uses them does other things."""

import threading
import weakref
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


class _Shared:
    """What the thread and its iterator share; the thread does not keep the iterator alive."""

    def __init__(self, depth: int) -> None:
        self.made: SimpleQueue[tuple[object, BaseException | None]] = SimpleQueue()
        self.room = threading.Semaphore(depth)
        self.is_closed = False


class ReadAhead(Iterator[T]):
    """Gives the items of an iterator, up to ``depth`` of which are made in advance.

    The thread ends with the items, with ``close``, or when nobody holds this any more.

    Args:
        items: Used in the thread alone.
        depth: Items that may wait.
        interrupt: Makes ``items`` raise soon; called once, from another thread.
        patience_seconds: How long the end waits for the thread; None until it is there. A thread that takes
            longer is left to end by itself, or with the process.
    """

    def __init__(
        self,
        items: Iterator[T],
        depth: int,
        interrupt: Callable[[], None],
        *,
        patience_seconds: float | None = None,
    ) -> None:
        self._shared = _Shared(depth)
        thread = threading.Thread(
            target=_make, args=(items, self._shared), name="mvit-video read ahead", daemon=True
        )
        self._finalizer = weakref.finalize(self, _end, self._shared, thread, interrupt, patience_seconds)
        thread.start()

    def __next__(self) -> T:
        if self._shared.is_closed:
            raise RuntimeError("these items are read no more: another reading was begun, or this one closed")
        item, error = self._shared.made.get()
        if error is not None:
            self._shared.made.put((None, error))  # it is the last, however often one asks
            raise error
        self._shared.room.release()
        return item  # type: ignore[return-value]

    def close(self) -> None:
        """Ends the thread; safe to call twice."""
        self._finalizer()


def _make(items: Iterator[object], shared: _Shared) -> None:
    try:
        while True:
            shared.room.acquire()
            if shared.is_closed:
                raise StopIteration
            shared.made.put((next(items), None))
    except BaseException as error:
        shared.made.put((None, error))
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()


def _end(
    shared: _Shared, thread: threading.Thread, interrupt: Callable[[], None], patience_seconds: float | None
) -> None:
    shared.is_closed = True
    if thread.is_alive() and thread is not threading.current_thread():
        interrupt()
        shared.room.release()
        thread.join(patience_seconds)
