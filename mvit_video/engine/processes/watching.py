"""The processes of a run watch each other, so that none waits for ever for one that is gone.

A thread of each process keeps a connection to that of rank 0: a process that dies closes it, one that is cut
off falls silent, one that fails says why. Rank 0 tells all others, and whoever is still at work then says so,
shows what all its threads were at, and ends. What a collective operation would do by itself depends on the
back end: an error without the reason, at best, or nothing until its timeout.
"""

import contextlib
import faulthandler
import json
import os
import secrets
import selectors
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from mvit_video.engine.errors import PassingError
from mvit_video.engine.processes.group import Group

_TICK_SECONDS = 0.2
_BEAT_SECONDS = 1.0
_SETTLE_SECONDS = 1.0  # after the first bad news: what else comes may be its reason
_GRACE_SECONDS = 10.0  # for this process to meet the same error as another

Message = dict[str, Any]


@dataclass(frozen=True)
class Cause:
    """Why the run ends.

    Attributes:
        text: in words.
        status: the exit status where there is nothing wrong with the program; None where there may be.
        gone: whether a process is no longer there, which explains whatever the others meet.
    """

    text: str
    status: int | None = None
    gone: bool = False


@dataclass(eq=False)
class _Link:
    """The connection to another process's watch."""

    connection: socket.socket
    name: str
    heard: float = field(default_factory=time.monotonic)
    left: bool = False
    buffer: bytes = b""

    def send(self, message: Message) -> None:
        with contextlib.suppress(OSError):  # reading will tell
            self.connection.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> Iterator[Message]:
        """What has arrived.

        Raises:
            EOFError: the other end is closed.
        """
        try:
            data = self.connection.recv(1 << 16)
        except OSError as error:
            raise EOFError from error
        if not data:
            raise EOFError
        self.heard = time.monotonic()
        *lines, self.buffer = (self.buffer + data).split(b"\n")
        yield from map(json.loads, lines)


class Watch:
    """This process's part; all processes of the group make one at the same time.

    Args:
        group: the processes, at least two.
        timeout_seconds: a process that is not heard of for longer counts as lost.

    Raises:
        PassingError: the processes cannot reach each other.
    """

    def __init__(self, group: Group, timeout_seconds: float) -> None:
        self._group, self._timeout = group, timeout_seconds
        self._name = f"rank {group.rank} of {group.world_size} (pid {os.getpid()} on {socket.gethostname()})"
        self._causes: list[Cause] = []
        self._own: Cause | None = None  # what the main thread met
        self._verdict: Cause | None = None
        self._settled = threading.Event()
        self._leaving = threading.Event()
        self._own_met = threading.Event()
        self._deadline = self._last_tick = self._last_beat = time.monotonic()
        self._links = _connect(group, self._name, timeout_seconds)
        self._selector = selectors.DefaultSelector()
        for link in self._links:
            self._selector.register(link.connection, selectors.EVENT_READ, link)
        self._thread = threading.Thread(target=self._run, name="watching the other processes", daemon=True)
        self._thread.start()

    def leave(self) -> None:
        """Stop watching, when all processes are done."""
        self._leaving.set()
        self._thread.join(5 * _TICK_SECONDS)

    def report(self, text: str, status: int | None) -> Cause | None:
        """Tell the others that this process fails.

        Args:
            text: why, in one line.
            status: as in :class:`Cause`.

        Returns:
            Why the run ends, if the reason is another process.
        """
        self._own = Cause(f"{self._name}: {text}", status)
        self._own_met.set()
        self._settled.wait(_SETTLE_SECONDS + 2)
        verdict = self._verdict
        return None if verdict is None or verdict.text == self._own.text else verdict

    def _run(self) -> None:
        told = False
        while not self._leaving.is_set():
            for key, _ in self._selector.select(_TICK_SECONDS):
                self._read(key.data)
            self._look()
            if self._own is not None and not told:
                told = True
                self._found(self._own)
                if not self._group.is_main:
                    self._tell(cause=asdict(self._own))
            if self._causes and time.monotonic() > self._deadline:
                self._conclude()
        self._tell(left=True)
        for link in self._links:
            link.connection.close()

    def _read(self, link: _Link) -> None:
        try:
            for message in link.receive():
                link.left |= "left" in message
                if "cause" in message:
                    self._told(link, Cause(**message["cause"]))
        except EOFError:
            self._selector.unregister(link.connection)
            self._links.remove(link)
            if not link.left and not any(link.name in cause.text for cause in self._causes):
                self._found(Cause(f"{link.name} has died", gone=True))

    def _look(self) -> None:
        """Send a sign of life, and look for processes that sent none."""
        now = time.monotonic()
        if now - self._last_tick > 5 * _BEAT_SECONDS:  # this process itself was stopped: hear first
            for link in self._links:
                link.heard = now
        self._last_tick = now
        if now - self._last_beat > _BEAT_SECONDS:
            self._last_beat = now
            self._tell(beat=True)
        for link in self._links:
            if now - link.heard > self._timeout and not link.left:
                link.left = True
                self._found(Cause(f"{link.name} was not heard of for {self._timeout:g} s", gone=True))

    def _tell(self, **message: Any) -> None:
        for link in self._links:
            link.send(message)

    def _found(self, cause: Cause) -> None:
        if not self._causes:  # rank 0, which hears of all, decides first
            self._deadline = time.monotonic() + _SETTLE_SECONDS * (1 if self._group.is_main else 2)
        self._causes.append(cause)

    def _told(self, link: _Link, cause: Cause) -> None:
        """Another process fails; what rank 0 says of it is the last word."""
        if self._group.is_main:
            self._found(cause)
        else:
            link.left = True
            self._decide(cause)

    def _conclude(self) -> None:
        """Decide why the run ends, and tell all."""
        causes = [cause for cause in self._causes if cause.gone] or self._causes
        quiet = all(cause.status is not None for cause in causes)
        text = "; ".join(dict.fromkeys(cause.text for cause in causes))
        verdict = Cause(text, causes[0].status if quiet else None, causes[0].gone)
        if self._group.is_main and self._verdict is None:
            self._tell(cause=asdict(verdict))
        self._decide(verdict)

    def _decide(self, verdict: Cause) -> None:
        """End this process unless it is on its way; say why if another process is the reason."""
        if self._verdict is not None:
            return
        self._verdict = verdict
        self._settled.set()
        if verdict.status is not None and self._own_met.wait(_GRACE_SECONDS):
            return
        own = self._own
        if own is None or verdict.gone:
            text = f"mvit-video: {verdict.text}: {self._name} ends too; its threads are at:\n"
            os.write(2, text.encode())
            faulthandler.dump_traceback(file=2, all_threads=True)
        if own is None:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(verdict.status or 1)


def own_address(group: Group) -> str:
    """Where the other processes of the group reach this one, the first."""
    if group.local_world_size == group.world_size:
        return "127.0.0.1"
    return os.environ.get("MASTER_ADDR") or socket.gethostname()


def _connect(group: Group, name: str, timeout_seconds: float) -> list[_Link]:
    """Rank 0's links to all others; theirs to rank 0."""
    listener = socket.create_server(("", 0), backlog=group.world_size) if group.is_main else None
    address = None
    if listener is not None:
        address = (own_address(group), listener.getsockname()[1], secrets.token_hex(8), name)
    found = group.broadcast(address)
    assert found is not None
    host, port, token, main_name = found
    try:
        if listener is not None:
            with listener:
                listener.settimeout(timeout_seconds)
                return _accept(listener, group.world_size - 1, token)
        connection = socket.create_connection((host, port), timeout_seconds)
        link = _Link(connection, main_name)
        link.send({"token": token, "name": name})
        return [link]
    except OSError as error:
        raise PassingError(
            f"{name} did not reach the other processes at {host}:{port} ({error}): check the network"
        ) from error


def _accept(listener: socket.socket, count: int, token: str) -> list[_Link]:
    links: list[_Link] = []
    while len(links) < count:
        connection, _ = listener.accept()
        connection.settimeout(5)
        link = _Link(connection, "a stranger")
        try:
            hello = next(link.receive(), {})
        except (EOFError, ValueError):
            hello = {}
        if hello.get("token") == token:
            link.name = hello["name"]
            links.append(link)
        else:
            connection.close()
    return links
