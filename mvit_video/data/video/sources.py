"""Where the bytes of a video come from: a path, an address, a seekable binary file object, or memory."""

import io
import os
import re
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit

from mvit_video.data.video.errors import VideoError

Source = str | os.PathLike[str] | BinaryIO | bytes | bytearray | memoryview

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_WEB = ("http://", "https://")


class OpenSource:
    """A source that was found; several readers may read it at once.

    Attributes:
        name: What messages call it.
        path: The local file, where it is one.
    """

    def __init__(
        self, name: str, *, path: str | None = None, file: BinaryIO | None = None, owns_file: bool = False
    ) -> None:
        self.name = name
        self.path = path
        self._file = file
        self._owns_file = owns_file

    def target(self) -> "str | BinaryIO":
        """What to hand to FFmpeg; paths are always files (``a:b.mp4`` is no protocol, ``-`` no option)."""
        return self.cursor() if self.path is None else f"file:{self.path}"

    def cursor(self) -> BinaryIO:
        """The bytes, with a reading position of their own; close it after use."""
        if self.path is not None:
            return open(self.path, "rb")
        assert self._file is not None
        return cast(BinaryIO, _Cursor(self._file))

    def close(self) -> None:
        """Closes what was opened here: never the caller's file."""
        if self._owns_file and self._file is not None:
            self._file.close()


def name_of(source: Source) -> str:
    """What messages call a source: its path, or its type."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source) or "''"
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else f"<{type(source).__name__}>"


def open_source(source: Source) -> OpenSource:
    """Finds a source; addresses (``scheme://...``) are iopath's to open, and fetched if need be.

    Raises:
        VideoError: No such file, a folder, an empty file, or nothing to read from.
    """
    name = name_of(source)
    if isinstance(source, str) and is_address(source):
        return _open_address(source)
    check_source(source, name)
    if isinstance(source, bytes | bytearray | memoryview):
        return OpenSource(name, file=cast(BinaryIO, _Memory(source)))
    if isinstance(source, str | os.PathLike):
        return OpenSource(name, path=os.fspath(source))
    return OpenSource(name, file=source)


def is_address(path: str | os.PathLike[str]) -> bool:
    """Whether this is ``scheme://...`` and not the name of a local file."""
    text = os.fspath(path)
    return bool(_ADDRESS.match(text)) and not os.path.lexists(text)


def check_source(source: Source, name: str) -> None:
    """Says in plain words what FFmpeg would say cryptically.

    Raises:
        VideoError: No such file, a folder, an empty file, or nothing to read from.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        if len(source) == 0:
            raise VideoError(f"{name}: there are no bytes in it")
        return
    if not isinstance(source, str | os.PathLike):
        if not _gives_bytes(source):
            raise VideoError(
                f"{name}: expected a path or an open, seekable binary file, found {type(source).__name__}"
            )
        return
    try:
        problem = _problem_of_path(Path(source))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error  # an OSError's text would repeat the path
        raise VideoError(f"{name}: cannot be read: {reason}") from error
    if problem:
        raise VideoError(f"{name}: {problem}")


def _problem_of_path(path: Path) -> str | None:
    if path.is_dir():
        return "is a folder, expected a video file"
    if not path.exists():
        return "no such file"
    if not path.is_file():
        return "is a pipe or a device, expected a video file"
    return "the file is empty (0 bytes)" if path.stat().st_size == 0 else None


def _gives_bytes(source: Any) -> bool:
    try:
        return hasattr(source, "read") and source.seekable() and isinstance(source.read(0), bytes)
    except (OSError, ValueError, AttributeError):  # ValueError: it is closed
        return False


def _open_address(address: str) -> OpenSource:
    """As a local file where the handler can give one, else as the file object that it opens."""
    manager = _manager_for(address)
    scheme = _ADDRESS.match(address)
    assert scheme is not None
    try:
        settings = {"cache_dir": _cache_folder(address)} if manager is _web_manager() else {}
        path = manager.get_local_path(address, **settings)
    except NotImplementedError:
        return _open_remote(manager, address)
    except Exception as error:  # handlers are anybody's, and so are their errors
        raise _not_fetched(address, error) from error
    if path == address:  # iopath takes what no handler takes for a local path
        raise VideoError(
            f"{address}: nobody handles {scheme[0]} here; register a handler with g_pathmgr of iopath, in "
            "every process that reads"
        )
    check_source(path, address)
    return OpenSource(address, path=path)


def _open_remote(manager: Any, address: str) -> OpenSource:
    try:
        file = manager.open(address, "rb")
        if not file.seekable():
            with file:
                return OpenSource(address, file=cast(BinaryIO, _Memory(file.read())))
    except Exception as error:  # see above
        raise _not_fetched(address, error) from error
    return OpenSource(address, file=file, owns_file=True)


def _not_fetched(address: str, error: Exception) -> VideoError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return VideoError(f"{address}: cannot be fetched: {reason}")


def _manager_for(address: str) -> Any:
    """The global manager of iopath; one of ours for the web unless somebody registered a handler for it."""
    from iopath.common.file_io import g_pathmgr

    if address.startswith(_WEB) and not any(prefix.startswith("http") for prefix in g_pathmgr._path_handlers):
        return _web_manager()
    return g_pathmgr


@cache
def _web_manager() -> Any:
    from iopath.common.file_io import HTTPURLHandler, PathManager

    manager = PathManager()
    manager.register_handler(HTTPURLHandler())
    return manager


def _cache_folder(address: str) -> str:
    """A folder per host: iopath's cache would take the same path on two hosts for the same file."""
    from iopath.common.file_io import get_cache_dir

    host = re.sub(r"[^A-Za-z0-9.-]", "_", urlsplit(address).netloc)
    return os.path.join(get_cache_dir(), "videos", host)


def ffmpeg_target(source: Source) -> str | BinaryIO:
    """What to hand to FFmpeg for a source that is no address."""
    if isinstance(source, str | os.PathLike):
        return OpenSource("", path=os.fspath(source)).target()
    if isinstance(source, bytes | bytearray | memoryview):
        source = cast(BinaryIO, _Memory(source))
    return OpenSource("", file=source).target()


class _Positioned(io.RawIOBase):
    """A file to read and seek, with a reading position of its own."""

    def __init__(self) -> None:
        self._position = 0

    def tell(self) -> int:
        return self._position

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


class _Memory(_Positioned):
    """Bytes in memory as a file, without a copy of them all."""

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        super().__init__()
        self._data = memoryview(data).cast("B")

    def read(self, size: int = -1) -> bytes:
        stop = len(self._data) if size is None or size < 0 else self._position + size
        found = bytes(self._data[self._position : stop])
        self._position += len(found)
        return found

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: len(self._data)}[whence]
        self._position = max(0, base + offset)
        return self._position


class _Cursor(_Positioned):
    """A place in a file object that several containers read."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file

    def read(self, size: int = -1) -> bytes:
        self._file.seek(self._position)
        data = self._file.read(size)
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_CUR:
            offset, whence = offset + self._position, io.SEEK_SET
        self._position = self._file.seek(offset, whence)
        return self._position
