"""What a list file holds."""

import os

from mvit_video.data.lists.records import ListError


def read_bytes(path: str | os.PathLike[str], most: int = -1) -> bytes:
    """The content of a file, or its first ``most`` bytes.

    Raises:
        ListError: It cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return file.read(most)
    except OSError as error:
        raise ListError(f"{os.fspath(path)}: cannot be read: {error.strerror}") from error


def decode(data: bytes, source: str) -> str:
    """The text of a file; a byte order mark is no part of it.

    Raises:
        ListError: It is no UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ListError(f"{source}: cannot be read as a text file: {error}") from error


def read_text(path: str | os.PathLike[str]) -> str:
    """The text in a file.

    Raises:
        ListError: It cannot be read, or is no UTF-8.
    """
    return decode(read_bytes(path), os.fspath(path))


def read_names(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """The names in a text file with one a line; blank lines are passed over.

    Raises:
        ListError: It cannot be read, or is no UTF-8.
    """
    return tuple(line.strip() for line in read_text(path).split("\n") if line.strip())
