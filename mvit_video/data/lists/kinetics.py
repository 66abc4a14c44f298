"""Kinetics' official csv files: ``label,youtube_id,time_start,time_end,split``, and perhaps ``is_cc``.

A video's file is named ``<youtube_id>_<time_start>_<time_end>.mp4``, the times with six digits. Copies of the
data set differ in everything else: flat or in a folder per class, other endings, times without leading zeros
or none at all.

Source: the annotation files and names at github.com/cvdfoundation/kinetics-dataset.
"""

import csv
from collections.abc import Callable, Sequence

from mvit_video.data.lists.annotations import Annotations
from mvit_video.data.lists.records import ListError

_HINT = "set DATA.CLASS_NAMES to kinetics400, kinetics600, kinetics700 or a file with one name a line"
_HEADER = "label,youtube_id,time_start,time_end,split"
_ID, _TIMES = "youtube_id", ("time_start", "time_end")
_LENGTH_OF_TIMES = len("_000000_000000")
_SPLITS = {"validate": "val", "validation": "val"}


def is_kinetics_header(start: str) -> bool:
    """Whether a file that begins like this is one of Kinetics' csv files."""
    columns = start.split("\n", 1)[0].replace('"', "").lower().split(",")
    return len(columns) > 1 and _ID in columns


def read_kinetics(text: str, source: str, split: str | None = None) -> Annotations:
    """The videos of a Kinetics csv file.

    Args:
        text: The file.
        source: Its path.
        split: Take only the rows of this split (train, val, test); None takes all, which must be of one.

    Raises:
        ListError: Columns are missing, a row does not fit, or several splits are in one file.
    """
    reader = csv.reader(text.split("\n"))
    header = [name.strip().lower() for name in next(reader, [])]
    missing = [name for name in (_ID, *_TIMES) if name not in header]
    if missing:
        raise ListError(f"{source}:1: no column {missing[0]}, expected the official header {_HEADER}")
    numbered = [(line, row) for line, row in enumerate(reader, 2) if row]
    for line, row in numbered:
        if len(row) != len(header):
            raise ListError(
                f"{source}:{line}: found {len(row)} columns, expected {len(header)} as in the header "
                "(a name with a comma needs quotes)"
            )
    if "split" in header:
        numbered = _of_one_split(numbered, header.index("split"), split, source)
    if not numbered:
        raise ListError(f"{source}: has a header, and no videos below it")
    lines = [line for line, _ in numbered]
    columns = dict(zip(header, zip(*(row for _, row in numbered), strict=True), strict=True))
    starts, ends = (_seconds(columns[name], name, source, lines) for name in _TIMES)
    videos = _ids(columns[_ID], source, lines)
    names = [f"{video}_{start:06d}_{end:06d}" for video, start, end in zip(videos, starts, ends, strict=True)]
    classes = [label.strip().strip('"') or None for label in columns.get("label", ("",) * len(names))]
    return Annotations(source, names, classes, lines, ".mp4", _identifier(names), None, _HINT)


def _of_one_split(
    numbered: list[tuple[int, list[str]]], column: int, chosen: str | None, source: str
) -> list[tuple[int, list[str]]]:
    found: dict[str, int] = {}
    for line, row in numbered:
        found.setdefault(_split_name(row[column]), line)
    if chosen is not None and _split_name(chosen) not in found:
        raise ListError(f"{source}: has no rows of the split {chosen!r}, only {', '.join(found)}")
    if chosen is None and len(found) > 1:
        one, other = list(found)[:2]
        raise ListError(
            f"{source}:{found[other]}: the split is {other!r}, and {one!r} above; training and validation "
            "videos would mix: write a list of each with mvit-video data make-list, which has --split"
        )
    if chosen is None or len(found) == 1:
        return numbered
    return [(line, row) for line, row in numbered if _split_name(row[column]) == _split_name(chosen)]


def _split_name(text: str) -> str:
    name = text.strip().lower()
    return _SPLITS.get(name, name)


def _seconds(texts: Sequence[str], name: str, source: str, lines: Sequence[int]) -> list[int]:
    digits = [text.strip().removesuffix(".0") for text in texts]
    together = "".join(digits)
    if not (together.isdigit() and together.isascii() and all(digits)):
        wrong = next(place for place, text in enumerate(digits) if not (text.isdigit() and text.isascii()))
        raise ListError(
            f"{source}:{lines[wrong]}: the {name} is {texts[wrong]!r}, expected a whole number of seconds"
        )
    return list(map(int, digits))


def _ids(texts: Sequence[str], source: str, lines: Sequence[int]) -> list[str]:
    ids = [text.strip() for text in texts]
    if not all(ids) or "/" in "".join(ids):
        wrong = next(place for place, text in enumerate(ids) if not text or "/" in text)
        raise ListError(
            f"{source}:{lines[wrong]}: the {_ID} is {texts[wrong]!r}, expected the name of a video"
        )
    return ids


def _identifier(names: Sequence[str]) -> Callable[[str], str | None]:
    wanted = set(names)
    by_id: dict[str, str | None] = {}
    for name in wanted:
        video = name[:-_LENGTH_OF_TIMES]
        by_id[video] = None if video in by_id else name  # two clips of one video: its id says not which

    def identify(stem: str) -> str | None:
        if stem in wanted:
            return stem
        if stem in by_id:
            return by_id[stem]
        video, *times = stem.rsplit("_", 2)
        if len(times) != 2 or not all(time.isascii() and time.isdigit() for time in times):
            return None
        name = f"{video}_{int(times[0]):06d}_{int(times[1]):06d}"
        return name if name in wanted else None

    return identify
