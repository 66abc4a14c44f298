"""Lists of videos: text files with a path, perhaps a frame count and a label in each line, or folders.

A line is split from the right, so paths may hold the separator. A second number counts as a frame count only
when every line has one.
"""

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

LIST_FORMATS = ("auto", "path", "path_label", "path_frames_label", "folders")
VIDEO_SUFFIXES = (
    ".3gp", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts",
    ".ogv", ".ts", ".webm", ".wmv",
)  # fmt: skip
_COLUMNS = ((), ("label",), ("number of frames", "label"))  # after the path
_NONE = -1
_MAX_LABEL = 2**31 - 1


class ListError(ValueError):
    """A list of videos cannot be read; the text names the file and line."""


class VideoRecord(NamedTuple):
    """One video: its path, and its label and (claimed) number of frames where the list has them."""

    path: str
    label: int | None = None
    num_frames: int | None = None


class VideoList(Sequence[VideoRecord]):
    """The records of a list, packed into a few arrays.

    Millions of small Python objects are copied into every worker as their reference counts change; arrays
    are not.
    """

    def __init__(
        self,
        records: Sequence[VideoRecord],
        class_names: tuple[str, ...] | None = None,
        source: str = "",
    ) -> None:
        paths = [os.fsencode(record.path) for record in records]
        self.class_names = class_names
        self.source = source
        self._paths = b"".join(paths)
        self._ends = np.cumsum([0, *map(len, paths)], dtype=np.int64)
        self._labels = _packed(record.label for record in records)
        self._num_frames = _packed(record.num_frames for record in records)

    def __len__(self) -> int:
        return len(self._labels)

    @overload
    def __getitem__(self, index: int) -> VideoRecord: ...
    @overload
    def __getitem__(self, index: slice) -> "VideoList": ...
    def __getitem__(self, index: int | slice) -> "VideoRecord | VideoList":
        if isinstance(index, slice):
            records = [self[number] for number in range(*index.indices(len(self)))]
            return VideoList(records, self.class_names, self.source)
        number = range(len(self))[index]
        path = os.fsdecode(self._paths[self._ends[number] : self._ends[number + 1]])
        return VideoRecord(path, _unpacked(self._labels[number]), _unpacked(self._num_frames[number]))

    def __iter__(self) -> Iterator[VideoRecord]:
        return (self[number] for number in range(len(self)))

    def __repr__(self) -> str:
        return f"VideoList({len(self)} videos from {self.source or 'memory'})"

    @property
    def is_labelled(self) -> bool:
        """Whether every video has a label."""
        return bool((self._labels != _NONE).all())

    @property
    def num_classes(self) -> int:
        """Number of class names, or one more than the largest label (0 without labels)."""
        if self.class_names is not None:
            return len(self.class_names)
        return int(self._labels.max(initial=_NONE)) + 1

    def check_labels(self, num_classes: int) -> None:
        """Checks that every video has a label below ``num_classes``.

        Raises:
            ListError: Naming the first video that has not.
        """
        wrong = np.flatnonzero((self._labels == _NONE) | (self._labels >= num_classes))
        if len(wrong) == 0:
            return
        record = self[int(wrong[0])]
        found = "has no label" if record.label is None else f"has label {record.label}"
        raise ListError(
            f"{self.source or 'the list'}: {record.path} {found}, expected 0 to {num_classes - 1} "
            f"({len(wrong)} of {len(self)} videos are wrong); check the list and MODEL.NUM_CLASSES"
        )


def read_list(
    path: str | os.PathLike[str],
    *,
    separator: str | None = None,
    path_prefix: str = "",
    list_format: str = "auto",
    class_names: Sequence[str] | None = None,
) -> VideoList:
    """Reads a list file, or a folder: of one folder per class, or of unlabelled videos.

    Args:
        path: The list file or the folder.
        separator: Between the columns; None finds out: blanks, else commas.
        path_prefix: Put before relative paths.
        list_format: One of ``LIST_FORMATS``; "auto" counts the numbers that every line ends with.
        class_names: For folders per class: the order of the classes (else they are sorted by name).

    Raises:
        ListError: No such list, nothing in it, or a line that does not fit; with file and line.
    """
    source = os.fspath(path)
    if list_format not in LIST_FORMATS:
        raise ListError(f"list format is {list_format!r}, expected one of {', '.join(LIST_FORMATS)}")
    if not os.path.exists(source):
        raise ListError(f"{source}: no such list file or folder")
    if os.path.isdir(source):
        if list_format not in ("auto", "path", "folders"):
            raise ListError(f"{source}: is a folder, but a list file of format {list_format} is expected")
        return _read_folder(Path(source), list_format, class_names)
    if list_format == "folders":
        raise ListError(f"{source}: is a file, but a folder with one folder per class is expected")
    lines = _read_lines(source)
    split = _Splitter(lines, separator)
    names = _COLUMNS[split.count_numbers(source) if list_format == "auto" else list_format.count("_")]
    records = [
        _record(f"{source}:{number}", names, *split(line, len(names)), path_prefix) for number, line in lines
    ]
    return VideoList(records, None if class_names is None else tuple(class_names), source)


def find_videos(folder: str | os.PathLike[str]) -> list[str]:
    """All files under a folder whose name ends like a video's, sorted."""
    found = []
    for root, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [os.path.join(root, name) for name in sorted(files) if _looks_like_video(name)]
    return found


def _read_folder(folder: Path, list_format: str, class_names: Sequence[str] | None) -> VideoList:
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != ".")
    by_class = {} if list_format == "path" else {name: find_videos(folder / name) for name in names}
    if any(by_class.values()):
        order = names if class_names is None else list(class_names)
        unknown = sorted(set(names) - set(order))
        if unknown:
            raise ListError(f"{folder}: folder {unknown[0]!r} is none of the {len(order)} known classes")
        records = [VideoRecord(path, order.index(name)) for name in names for path in by_class[name]]
        return VideoList(records, tuple(order), str(folder))
    videos = [] if list_format == "folders" else find_videos(folder)
    if not videos:
        kind = (
            "no folder with videos in it (one folder per class)" if list_format == "folders" else "no videos"
        )
        raise ListError(f"{folder}: {kind}; video files end in {' '.join(VIDEO_SUFFIXES)}")
    return VideoList([VideoRecord(path) for path in videos], None, str(folder))


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
            if labelled is None and columns and _looks_like_video(path) and not _looks_like_video(columns[0]):
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


def _packed(numbers: Iterable[int | None]) -> NDArray[np.int32]:
    return np.array([_NONE if number is None else number for number in numbers], np.int32)


def _unpacked(number: np.int32) -> int | None:
    return None if number == _NONE else int(number)


def _as_int(text: str) -> int | None:
    digits = text[1:] if text[:1] in ("-", "+") else text
    return int(text) if digits.isascii() and digits.isdigit() else None


def _unquote(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _looks_like_video(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in VIDEO_SUFFIXES
