"""Where the bytes of a video come from: a path, or a seekable binary file object."""

import io
import os
from pathlib import Path
from typing import BinaryIO

from mvit_video.data.video.errors import VideoError

Source = str | os.PathLike[str] | BinaryIO


def name_of(source: Source) -> str:
    """What messages call a source: its path, or its type."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source) or "''"
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else f"<{type(source).__name__}>"


def check_source(source: Source, name: str) -> None:
    """Says in plain words what FFmpeg would say cryptically.

    Raises:
        VideoError: No such file, a folder, an empty file, or nothing to read from.
    """
    if not isinstance(source, str | os.PathLike):
        if not _gives_bytes(source):
            raise VideoError(
                f"{name}: expected a path or an open, seekable binary file, found {type(source).__name__}"
            )
        return
    path = Path(source)
    try:
        if path.is_dir():
            raise VideoError(f"{name}: is a folder, expected a video file")
        if not path.exists():
            raise VideoError(f"{name}: no such file")
        if not path.is_file():
            raise VideoError(f"{name}: is a pipe or a device, expected a video file")
        if path.stat().st_size == 0:
            raise VideoError(f"{name}: the file is empty (0 bytes)")
    except (OSError, ValueError) as error:
        if isinstance(error, VideoError):
            raise
        raise VideoError(f"{name}: cannot be read: {error}") from error


def _gives_bytes(source: BinaryIO) -> bool:
    try:
        return hasattr(source, "read") and source.seekable() and isinstance(source.read(0), bytes)
    except (OSError, ValueError, AttributeError):  # ValueError: it is closed
        return False


def ffmpeg_target(source: Source) -> "str | _Cursor":
    """What to hand to FFmpeg; paths are always files (``a:b.mp4`` is no protocol, ``-`` no option)."""
    if isinstance(source, str | os.PathLike):
        return f"file:{os.fspath(source)}"
    return _Cursor(source)


class _Cursor(io.RawIOBase):
    """A reading position of its own in a file object that several containers read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._position = 0

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

    def tell(self) -> int:
        return self._position

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True
