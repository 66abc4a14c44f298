"""Kinetics' official csv files: ``label,youtube_id,time_start,time_end,split``, and perhaps ``is_cc``.

A video's file is named ``<youtube_id>_<time_start>_<time_end>.mp4``, the times with six digits. Copies of the
data set differ in everything else: flat or in a folder per class, other endings, times without leading zeros
or none at all.

Source: the annotation files and names at github.com/cvdfoundation/kinetics-dataset.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

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
    columns, lines = _columns(reader, header, source)
    if "split" in columns:
        kept = _rows_of_split(columns["split"], split, lines, source)
        if kept is not None:
            lines = [lines[place] for place in kept]
            columns = {name: [column[place] for place in kept] for name, column in columns.items()}
    if not lines:
        raise ListError(f"{source}: has a header, and no videos below it")
    starts, ends = (_seconds(columns[name], name, source, lines) for name in _TIMES)
    videos = _ids(columns[_ID], source, lines)
    names = [f"{video}_{start:06d}_{end:06d}" for video, start, end in zip(videos, starts, ends, strict=True)]
    labels = columns.get("label", ("",) * len(names))
    spelled = {label: label.strip().strip('"') or None for label in set(labels)}
    return Annotations(
        source, names, [spelled[label] for label in labels], lines, ".mp4", _identifier(names), None, _HINT
    )


def _columns(
    rows: Iterable[list[str]], header: Sequence[str], source: str
) -> tuple[dict[str, Sequence[str]], Sequence[int]]:
    """The columns by name, and the line of each of their rows."""
    lengths: list[int] = []

    def counted() -> Iterator[list[str]]:
        for row in rows:
            lengths.append(len(row))
            yield row

    # One flat list: hundreds of thousands of small ones would keep the garbage collector busy.
    fields = list(chain.from_iterable(counted()))
    wrong = set(lengths) - {0, len(header)}
    if wrong:
        line, length = next((line, length) for line, length in enumerate(lengths, 2) if length in wrong)
        raise ListError(
            f"{source}:{line}: found {length} columns, expected {len(header)} as in the header "
            "(a name with a comma needs quotes)"
        )
    lines = [line for line, length in enumerate(lengths, 2) if length]
    return {name: fields[place :: len(header)] for place, name in enumerate(header)}, lines


def _rows_of_split(
    column: Sequence[str], chosen: str | None, lines: Sequence[int], source: str
) -> list[int] | None:
    """Which rows are of the chosen split; None: all of them."""
    names = {text: _split_name(text) for text in dict.fromkeys(column)}
    found = list(dict.fromkeys(names.values()))
    if chosen is None:
        if len(found) < 2:
            return None
        line = next(line for line, text in zip(lines, column, strict=True) if names[text] == found[1])
        raise ListError(
            f"{source}:{line}: the split is {found[1]!r}, and {found[0]!r} above; training and validation "
            "videos would mix: write a list of each with mvit-video data make-list, which has --split"
        )
    if _split_name(chosen) not in found:
        raise ListError(f"{source}: has no rows of the split {chosen!r}, only {', '.join(found)}")
    return [place for place, text in enumerate(column) if names[text] == _split_name(chosen)]


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
