"""Files that grow by a line at a time, whose last line a killed process may have left half-written."""

from pathlib import Path

_STEP = 1 << 16  # bytes


def cut_to_whole_lines(path: Path) -> None:
    """Cut off the line that a killed process was about to write; the file is made if it is not there.

    Raises:
        OSError: The file cannot be written.
    """
    with open(path, "ab+") as file:
        end = _end_of_last_line(file.tell(), path)
        file.truncate(end)


def _end_of_last_line(size: int, path: Path) -> int:
    """How many bytes of a file are whole lines."""
    with open(path, "rb") as file:
        while size > 0:
            start = max(0, size - _STEP)
            file.seek(start)
            found = file.read(size - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            size = start
    return 0
