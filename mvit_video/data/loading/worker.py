"""What runs in a worker process: tasks in, results out, one after the other, until nobody asks any more."""

import fcntl
import os
import pickle
import select
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from typing import Any, Literal

from mvit_video.data.loading.shared_memory import Message, SharedBlock, pack

# Ctrl-C and requests to leave are the parent's business; it ends its workers.
PARENTS_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)

Kind = Literal["ready", "failed", "result", "error", "skipped"]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a worker sends: about itself ("ready", "failed") or about the task of this serial number."""

    kind: Kind
    serial: int = 0
    message: Message = (b"", [])
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is sent: a pickled task, and which slot its result may fill."""

    serial: int
    slot: int
    task: bytes


class Board:
    """Numbers the parent and its workers see: which tasks still count, and who is at which since when."""

    def __init__(self, num_workers: int) -> None:
        self._block = SharedBlock(8 * (1 + 2 * num_workers))
        self._numbers = self._block.numbers()

    def __getstate__(self) -> SharedBlock:
        return self._block

    def __setstate__(self, block: SharedBlock) -> None:
        self._block, self._numbers = block, block.numbers()

    @property
    def first_serial(self) -> int:
        """Tasks before this one are not wanted any more."""
        return int(self._numbers[0])

    @first_serial.setter
    def first_serial(self, serial: int) -> None:
        self._numbers[0] = serial

    def begin(self, worker: int, serial: int) -> None:
        """This worker begins this task now."""
        self._numbers[1 + 2 * worker] = serial
        self._numbers[2 + 2 * worker] = time.monotonic_ns()

    def end(self, worker: int) -> None:
        """This worker is at no task."""
        self._numbers[2 + 2 * worker] = 0

    def doing(self, worker: int) -> tuple[int, float] | None:
        """The serial number of the task this worker is at, and for how many seconds."""
        since = int(self._numbers[2 + 2 * worker])
        return (int(self._numbers[1 + 2 * worker]), (time.monotonic_ns() - since) / 1e9) if since else None


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker is started with; ``work`` is pickled, so that failing to read it can be told."""

    number: int
    work: bytes
    board: Board
    slots: SharedBlock
    slot_bytes: int


_heart: Callable[[], None] = lambda: None  # noqa: E731


def heartbeat() -> None:
    """Work that goes on for long on purpose says that it is alive: its time counts from here again."""
    _heart()


_room: memoryview | None = None


def result_room() -> memoryview | None:
    """Where work may put its result to save a copy, if that has one large array; None outside of workers.

    It was zero or holds an old result, and is this task's until its result is sent.
    """
    return _room


def serve(setup: Setup, connection: Connection) -> None:
    """The life of a worker."""
    for number in PARENTS_SIGNALS:  # they are blocked already, unless another library started the server
        signal.signal(number, signal.SIG_IGN)
    _die_with_parent()
    try:
        work = pickle.loads(setup.work)
        _quieten()
    except Exception as error:
        connection.send(Reply("failed", message=_pack_error(error), traceback=traceback.format_exc()))
        return
    connection.send(Reply("ready"))
    for order in _orders(connection):
        connection.send(_carry_out(order, work, setup))


def _carry_out(order: Order, work: Callable[[Any], object], setup: Setup) -> Reply:
    global _heart, _room
    board, number = setup.board, setup.number
    if order.serial < board.first_serial:
        return Reply("skipped", order.serial)
    start = order.slot * setup.slot_bytes
    room = setup.slots.memory[start : start + setup.slot_bytes]

    def beat() -> None:
        board.begin(number, order.serial)

    _heart, _room = beat, room
    beat()
    try:
        return Reply("result", order.serial, pack(work(pickle.loads(order.task)), room))
    except Exception as error:
        return Reply("error", order.serial, _pack_error(error), traceback.format_exc())
    finally:
        board.end(number)


def _orders(connection: Connection) -> Iterator[Order]:
    while True:
        try:
            yield connection.recv()
        except (EOFError, OSError):  # the parent has closed its end
            return


def _pack_error(error: Exception) -> Message:
    """The error, or its text where it cannot be sent."""
    try:
        data = pickle.dumps(error)
        pickle.loads(data)
    except Exception:
        data = pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
    return data, []


def _quieten() -> None:
    """Workers share the processor with each other and the model: one thread each.

    Damage that was cut off is part of the result and needs no warning.
    """
    from mvit_video.data.video.errors import DamagedVideoWarning

    warnings.simplefilter("ignore", DamagedVideoWarning)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _die_with_parent() -> None:
    """Ends this process as soon as its parent is gone, whatever either is doing then."""
    parent = parent_process()
    assert parent is not None
    sentinel: int = parent.sentinel  # a pipe that the parent holds open
    if hasattr(fcntl, "F_SETSIG"):  # the kernel does it, even where no Python code gets to run any more
        fcntl.fcntl(sentinel, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(sentinel, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(sentinel, fcntl.F_SETFL, fcntl.fcntl(sentinel, fcntl.F_GETFL) | os.O_ASYNC)
        if select.select([sentinel], [], [], 0)[0]:
            os._exit(1)
        return

    def watch() -> None:
        wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
