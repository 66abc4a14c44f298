"""SlowFast's frame lists: a header and one row per frame, ``original_vido_id video_id frame_id path labels``.

The rows of a video make one record, whose path is the folder they lie in. The frames read are those in the
folder, in the order of their numbers; how many rows there were is kept as the record's claim. (``vido`` is
SlowFast's spelling.)

Source: SlowFast, slowfast/datasets/utils.py (load_image_lists) and ssv2.py, which takes the labels of
Something-Something-v2 from its json files.
"""

import logging
import os
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mvit_video.data.lists.files import join_prefix
from mvit_video.data.lists.records import ListError, VideoList
from mvit_video.data.lists.ssv2 import classes_of_videos

_logger = logging.getLogger("mvit_video.data")

_HEADER = "original_vido_id video_id frame_id path labels"
# All rows of a video that follow one another, alike in id, folder and labels; in one step, as there are
# millions of rows.
_VIDEO = re.compile(
    rb"(?P<id>\S+)[ \t]+\S+[ \t]+\S+[ \t]+(?P<folder>\S+)/[^/\s]+[ \t]+"
    rb'"?(?P<labels>[^\s"]*)"?[ \t\r]*(?:\n|\Z)'
    rb"(?:(?P=id)[ \t]+\S+[ \t]+\S+[ \t]+(?P=folder)/[^/\s]+[ \t]+"
    rb'"?(?P=labels)"?[ \t\r]*(?:\n|\Z))*'
)  # fmt: skip


class _Video(NamedTuple):
    name: str
    folder: str
    labels: str
    num_frames: int
    line: int


def is_frame_list_header(start: str) -> bool:
    """Whether a file that begins like this is a frame list."""
    return start.split(None, 2)[:2] in (["original_vido_id", "video_id"], ["original_video_id", "video_id"])


def read_frame_list(
    data: bytes, source: str, *, path_prefix: str, class_names: Sequence[str] | None, labels_path: str = ""
) -> VideoList:
    """The videos of a frame list, each a folder of frames.

    Args:
        data: The file.
        source: Its path.
        path_prefix: Put before the folders.
        class_names: The classes by index; None takes labels.json's.
        labels_path: Something-Something-v2's labels.json, or the folder with its json files; empty looks
            beside the list. Needed where the rows' own labels are empty.

    Raises:
        ListError: A row does not fit, a video has several labels or folders, or no class is known for it.
    """
    videos = list(_videos(data, source))
    if not videos:
        raise ListError(f"{source}: has a header, and no frames below it")
    labels = [_own_label(video, source) for video in videos]
    names = None if class_names is None else tuple(class_names)
    if all(label is None for label in labels):
        labels, names = _labels_by_id(videos, source, labels_path or os.path.dirname(source) or ".", names)
    return VideoList.from_columns(
        [join_prefix(path_prefix, video.folder) for video in videos],
        labels,
        [video.num_frames for video in videos],
        class_names=names,
        source=source,
    )


def _videos(data: bytes, source: str) -> Iterator[_Video]:
    place, line = data.find(b"\n") + 1 or len(data), 2
    end = len(data.rstrip())
    ids: set[str] = set()
    video_in: dict[str, str] = {}
    while place < end:
        match = _VIDEO.match(data, place)
        if match is None:
            found = len(data[place:end].split(b"\n", 1)[0].split())
            raise ListError(
                f"{source}:{line}: found {found} columns, expected {_HEADER}, the path with a folder in it"
            )
        name, folder, labels = (match[key].decode("utf-8", "surrogateescape") for key in (1, 2, 3))
        if name in ids:
            raise ListError(
                f"{source}:{line}: {name} occurs above already, with another folder or other labels, or not "
                "in the line before; expected the rows of a video together and alike"
            )
        if folder in video_in:
            raise ListError(
                f"{source}:{line}: the folder {folder} of {name} is that of {video_in[folder]} too; expected "
                "one folder per video"
            )
        ids.add(name)
        video_in[folder] = name
        num_frames = match[0].rstrip().count(b"\n") + 1
        yield _Video(name, folder, labels, num_frames, line)
        line += num_frames
        place = match.end()


def _own_label(video: _Video, source: str) -> int | None:
    if not video.labels:
        return None
    if not (video.labels.isascii() and video.labels.isdigit()):
        raise ListError(
            f"{source}:{video.line}: the labels of {video.name} are {video.labels!r}, expected one whole "
            "number; several labels per video (Charades) are not supported"
        )
    return int(video.labels)


def _labels_by_id(
    videos: Sequence[_Video], source: str, place: str, names: tuple[str, ...] | None
) -> tuple[list[int | None], tuple[str, ...] | None]:
    if not os.path.exists(place):
        raise ListError(f"{place}: no such file or folder; expected Something-Something-v2's json files")
    classes, listed = classes_of_videos(place)
    names = names if names is not None else listed
    if not classes:
        _logger.warning(
            "%s: its rows hold no labels, and %s holds neither train.json nor validation.json of "
            "Something-Something-v2: its videos have no labels (DATA.LABELS_PATH, or data check's --labels, "
            "says where those files are)",
            source, place,
        )  # fmt: skip
        return [None] * len(videos), names
    if names is None:
        raise ListError(
            f"{place}: holds no labels.json, which numbers the classes; add it, or set DATA.CLASS_NAMES ssv2"
        )
    numbers: dict[str | None, int | None] = {name: index for index, name in enumerate(names)}
    for video in videos:
        if video.name not in classes:
            raise ListError(
                f"{source}:{video.line}: the video {video.name} is in neither train.json nor validation.json "
                f"of {place}"
            )
        if classes[video.name] not in numbers:
            raise ListError(
                f"{place}: the class of video {video.name}, {classes[video.name]!r}, is none of the "
                f"{len(names)} known ones"
            )
    return [numbers[classes[video.name]] for video in videos], names
