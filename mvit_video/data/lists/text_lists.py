"""Text lists: a path, perhaps a frame count and a label in each line.

A line is split from the right, so paths may hold the separator. A second number counts as a frame count only
when every line has one. Columns are handled whole: such lists have hundreds of thousands of lines.
"""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mvit_video.data.lists.files import VIDEO_SUFFIXES, join_prefix, looks_like_video
from mvit_video.data.lists.records import ListError, VideoList

TEXT_FORMATS = ("path", "path_label", "path_frames_label")
_COLUMNS = ((), ("label",), ("number of frames", "label"))  # after the path
_LOWEST = {"label": 0, "number of frames": 1}
_HIGHEST = 2**31 - 1
_SEPARATORS = (None, ",", ";", "|", ":")  # None: any blanks

_Split = Callable[[str, int], list[str]]


@dataclass(frozen=True)
class _Lines:
    """The lines of a list that are not blank, each with its number, and how they are split."""

    source: str
    texts: list[str]
    numbers: list[int]
    split: _Split
    known: dict[int, list[list[str]]] = field(default_factory=dict)

    def place(self, index: int) -> str:
        return f"{self.source}:{self.numbers[index]}"

    def rows(self, count: int) -> list[list[str]]:
        """Every line's path and up to ``count`` columns after it."""
        if count not in self.known:
            self.known[count] = [self.split(line, count) for line in self.texts]
        return self.known[count]

    def end_in_numbers(self, count: int) -> bool:
        """Whether every line is a path with ``count`` numbers behind it."""
        if not _has_numbers(self.split(self.texts[0], count), count):
            return False
        rows = self.rows(count)
        if set(map(len, rows)) != {count + 1} or not all(row[0] for row in rows):
            return False
        return all(_are_numbers([row[place] for row in rows]) for place in range(1, count + 1))


def read_text_list(
    text: str,
    source: str,
    *,
    separator: str | None,
    path_prefix: str,
    list_format: str,
    class_names: Sequence[str] | None = None,
) -> VideoList:
    """The videos of a text list.

    Args:
        text: The list.
        source: Its name, for messages.
        separator: Between the columns; None finds out.
        path_prefix: Put before relative paths.
        list_format: "auto" or one of ``TEXT_FORMATS``.
        class_names: The classes by index, to go with the list.

    Raises:
        ListError: It is empty, or a line does not fit; with file and line.
    """
    lines = _split_lines(text, source, separator)
    count = _count_numbers(lines) if list_format == "auto" else TEXT_FORMATS.index(list_format)
    names = _COLUMNS[count]
    rows = lines.rows(count)
    _check_columns(rows, names, lines)
    paths = [row[0] for row in rows]
    if lines.split is _split_at_blanks:
        paths = _unquoted(paths)
    if count:
        _refuse_more_numbers(paths, rows, lines)
    columns = {
        name: _numbers([row[place] for row in rows], name, lines) for place, name in enumerate(names, 1)
    }
    if path_prefix:
        paths = [join_prefix(path_prefix, path) for path in paths]
    labels, num_frames = columns.get("label"), columns.get("number of frames")
    return VideoList.from_columns(paths, labels, num_frames, class_names=class_names, source=source)


def _split_lines(text: str, source: str, separator: str | None) -> _Lines:
    """The lines, split by the given separator, or by the first that leaves a number behind every path.

    Where none does, by the first that leaves something behind a video, which will be told of.
    """
    stripped = [line.strip() for line in text.split("\n")]
    texts = list(filter(None, stripped))
    numbers = [number for number, line in enumerate(stripped, 1) if line]
    if not texts:
        raise ListError(f"{source}: the list is empty")
    if separator is not None:
        split = _split_at_blanks if separator.isspace() else _split_at(separator)
        return _Lines(source, texts, numbers, split)
    splits = [_split_at_blanks if found is None else _split_at(found) for found in _SEPARATORS]
    ways = [_Lines(source, texts, numbers, split) for split in splits]
    labelled = (lines for lines in ways if lines.end_in_numbers(1))
    followed = (lines for lines in ways if _is_followed(lines.split(texts[0], 1)))
    return next(labelled, None) or next(followed, ways[0])


def _check_columns(rows: Sequence[list[str]], names: Sequence[str], lines: _Lines) -> None:
    expected = len(names) + 1
    if set(map(len, rows)) == {expected} and all(row[0] for row in rows):
        return
    index, row = next((index, row) for index, row in enumerate(rows) if len(row) != expected or not row[0])
    raise ListError(
        f"{lines.place(index)}: found {len(list(filter(None, row)))} columns, "
        f"expected {' '.join(('path', *names))}"
    )


def _numbers(texts: list[str], name: str, lines: _Lines) -> NDArray[np.int64]:
    lowest, digits = _LOWEST[name], len(str(_HIGHEST))
    if _are_numbers(texts) and max(map(len, texts)) <= digits:
        values = np.array(list(map(int, texts)), np.int64)
    else:
        values = np.array(
            [int(text) if _is_number(text) and len(text) <= digits else -1 for text in texts], np.int64
        )
    wrong = np.flatnonzero((values < lowest) | (values > _HIGHEST))
    if len(wrong):
        raise ListError(
            f"{lines.place(wrong[0])}: the {name} is {texts[wrong[0]]!r}, "
            f"expected a whole number from {lowest} up"
        )
    return values


def _refuse_more_numbers(paths: Sequence[str], rows: Sequence[list[str]], lines: _Lines) -> None:
    """Refuses ``a.mp4 1 3 5``: a path that goes on with numbers after the name of a video."""
    for index, path in enumerate(paths):
        if path.endswith(VIDEO_SUFFIXES) or not path[-1].isdigit() or path != rows[index][0]:  # in quotes
            continue
        name = path
        while _is_number(name.rpartition(" ")[2]) and " " in name:
            name = name.rpartition(" ")[0].rstrip()
        if name != path and looks_like_video(name):
            numbers = " ".join([path[len(name) :].strip(), *rows[index][1:]])
            raise ListError(
                f"{lines.place(index)}: {name} is followed by {numbers}, expected "
                f"{len(rows[index]) - 1} at most; several labels per video are not supported: keep one"
            )


def _count_numbers(lines: _Lines) -> int:
    """How many numbers (0 to 2) every line ends with."""
    if lines.end_in_numbers(3):
        raise ListError(
            f"{lines.place(0)}: every line ends with three numbers or more, expected path, path label, or "
            "path frames label; lists with offsets or with several labels per video are not supported "
            "(set DATA.LIST_FORMAT where the first of the numbers belong to the path)"
        )
    for count in (2, 1):
        if lines.end_in_numbers(count):
            return count
    fields = lines.rows(1)
    labelled = next((index for index, found in enumerate(fields) if _has_numbers(found, 1)), None)
    for index, found in enumerate(fields):
        if _has_word(found):
            raise ListError(
                f"{lines.place(index)}: the label is {found[1]!r}, expected a whole number "
                "(where classes are known by name only, give a folder with a folder per class, not a list)"
            )
        if labelled is not None and not _has_numbers(found, 1):
            raise ListError(
                f"{lines.place(index)}: no label at the end of {lines.texts[index]!r}, but line "
                f"{lines.numbers[labelled]} has one; complete the list, or set DATA.LIST_FORMAT"
            )
    return 0


def _split_at_blanks(line: str, count: int) -> list[str]:
    if line[0] in "\"'":
        end = line.rfind(line[0]) + 1
        columns = line[end:].split()
        if end > 1 and len(columns) <= count and line[end : end + 1].strip() == "":
            return [line[:end], *columns]
    return line.rsplit(None, count) if count else [line]


def _split_at(separator: str) -> _Split:
    def split(line: str, count: int) -> list[str]:
        fields = _quoted_fields(line, separator[0]) if '"' in line else None
        if fields is None:
            return [field.strip() for field in line.rsplit(separator, count)]
        kept = max(1, len(fields) - count)
        return [separator.join(fields[:kept]).strip(), *(field.strip() for field in fields[kept:])]

    return split


def _quoted_fields(line: str, delimiter: str) -> list[str] | None:
    """The columns of a line as csv has them; None where it is no csv (a bare carriage return)."""
    try:
        return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))
    except csv.Error:
        return None


def _unquoted(paths: list[str]) -> list[str]:
    """Paths without the quotes around them."""
    if not any(path[0] in "\"'" for path in paths):
        return paths
    return [
        path[1:-1] if len(path) > 2 and path[0] == path[-1] and path[0] in "\"'" else path for path in paths
    ]


def _has_numbers(fields: Sequence[str], count: int) -> bool:
    """Whether ``count`` numbers follow a path."""
    return len(fields) == count + 1 and fields[0] != "" and all(map(_is_number, fields[1:]))


def _has_word(fields: Sequence[str]) -> bool:
    """Whether a video is followed by what is neither a number nor a video."""
    return _is_followed(fields) and not _is_number(fields[1])


def _is_followed(fields: Sequence[str]) -> bool:
    """Whether a video is followed by something else."""
    return len(fields) == 2 and looks_like_video(fields[0]) and not looks_like_video(fields[1])


def _are_numbers(texts: Sequence[str]) -> bool:
    together = "".join(texts)
    return (together.isdigit() and together.isascii()) or all(map(_is_number, texts))


def _is_number(text: str) -> bool:
    digits = text[1:] if text[:1] in ("-", "+") else text
    return digits.isdigit() and digits.isascii()
