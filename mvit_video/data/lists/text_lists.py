"""Text lists: a path, perhaps a frame count and a label in each line.

A line is split from the right, so paths may hold the separator. A second number counts as a frame count only
when every line has one.
"""

import csv
import os
from collections.abc import Sequence
from pathlib import Path

from mvit_video.data.lists.files import looks_like_video
from mvit_video.data.lists.records import ListError, VideoRecord

_COLUMNS = ((), ("label",), ("number of frames", "label"))  # after the path
_MAX_LABEL = 2**31 - 1


def read_text_list(
    source: str, separator: str | None, path_prefix: str, list_format: str
) -> list[VideoRecord]:
    """The records of a text list.

    Raises:
        ListError: It is empty or no text, or a line does not fit; with file and line.
    """
    lines = _read_lines(source)
    split = _Splitter(lines, separator)
    names = _COLUMNS[split.count_numbers(source) if list_format == "auto" else list_format.count("_")]
    return [
        _record(f"{source}:{number}", names, *split(line, len(names)), path_prefix) for number, line in lines
    ]


def _read_lines(source: str) -> list[tuple[int, str]]:
    """(line number, line) of the lines that are not blank."""
    try:
        text = Path(source).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ListError(f"{source}: cannot be read as a text file: {error}") from error
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        raise ListError(f"{source}: the list is empty")
    return lines


class _Splitter:
    """Splits lines from the right by the given or the found separator (None: any blanks)."""

    def __init__(self, lines: list[tuple[int, str]], separator: str | None) -> None:
        self._lines = lines
        self._separator = None if separator is not None and separator.isspace() else separator
        if separator is None and not all(map(self._ends_in_number, lines)):
            self._separator = ","
            if not all(map(self._ends_in_number, lines)):
                self._separator = None

    def __call__(self, line: str, count: int) -> tuple[str, list[str]]:
        """The path, and ``count`` columns after it (fewer where the line has fewer)."""
        if self._separator is None:
            path, *columns = line.strip().rsplit(None, count) if count else [line.strip()]
            return _unquote(path), columns
        if '"' in line:
            fields = next(csv.reader([line], delimiter=self._separator[0], skipinitialspace=True))
        else:
            fields = line.split(self._separator)
        kept = max(1, len(fields) - count)
        path = self._separator.join(fields[:kept]).strip()
        return path, [field.strip() for field in fields[kept:]]

    def count_numbers(self, source: str) -> int:
        """How many numbers (0 to 2) every line ends with."""
        for count in (2, 1):
            if all(self._has_numbers(line, count) for _, line in self._lines):
                return count
        labelled = next((number for number, line in self._lines if self._has_numbers(line, 1)), None)
        for number, line in self._lines:
            path, columns = self(line, 1)
            if labelled is not None and not self._has_numbers(line, 1):
                raise ListError(
                    f"{source}:{number}: no label at the end of {line.strip()!r}, but line {labelled} has "
                    "one; complete the list, or set DATA.LIST_FORMAT"
                )
            if labelled is None and columns and looks_like_video(path) and not looks_like_video(columns[0]):
                raise ListError(f"{source}:{number}: the label is {columns[0]!r}, expected a whole number")
        return 0

    def _ends_in_number(self, line: tuple[int, str]) -> bool:
        return self._has_numbers(line[1], 1)

    def _has_numbers(self, line: str, count: int) -> bool:
        path, columns = self(line, count)
        return bool(path) and len(columns) == count and all(_as_int(column) is not None for column in columns)


def _record(place: str, names: Sequence[str], path: str, columns: list[str], prefix: str) -> VideoRecord:
    if not path or len(columns) != len(names):
        raise ListError(
            f"{place}: found {len(columns) + bool(path)} columns, expected {' '.join(('path', *names))}"
        )
    numbers: dict[str, int] = {}
    for name, column in zip(names, columns, strict=True):
        value = _as_int(column)
        lowest = 0 if name == "label" else 1
        if value is None or not lowest <= value <= _MAX_LABEL:
            raise ListError(f"{place}: the {name} is {column!r}, expected a whole number from {lowest} up")
        numbers[name] = value
    return VideoRecord(os.path.join(prefix, path), numbers.get("label"), numbers.get("number of frames"))


def _as_int(text: str) -> int | None:
    digits = text[1:] if text[:1] in ("-", "+") else text
    return int(text) if digits.isascii() and digits.isdigit() else None


def _unquote(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text
