"""Reading a list of videos, whatever form it has."""

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from mvit_video.data.lists.annotations import read_annotated
from mvit_video.data.lists.content import decode, read_bytes
from mvit_video.data.lists.files import looks_like_video
from mvit_video.data.lists.folders import read_folder
from mvit_video.data.lists.frame_lists import is_frame_list_header, read_frame_list
from mvit_video.data.lists.kinetics import is_kinetics_header, read_kinetics
from mvit_video.data.lists.records import ListError, VideoList
from mvit_video.data.lists.ssv2 import read_ssv2
from mvit_video.data.lists.text_lists import TEXT_FORMATS, read_text_list

LIST_FORMATS = ("auto", *TEXT_FORMATS, "folders", "kinetics", "ssv2", "frame_list")
_JSON = re.compile(r'\s*(\[\s*[{\]]|\{\s*["}])')


def read_list(
    path: str | os.PathLike[str],
    *,
    separator: str | None = None,
    path_prefix: str = "",
    list_format: str = "auto",
    class_names: Sequence[str] | None = None,
    labels_path: str | os.PathLike[str] = "",
) -> VideoList:
    """Reads a list of videos: a text list, a folder, or a file of Kinetics or Something-Something-v2.

    No video is opened, and no path of a text list is looked up. Official files name videos without their
    paths: those are looked for under ``path_prefix``, in one walk.

    Args:
        path: The list file, or a folder: of one folder per class, or of unlabelled videos.
        separator: Between the columns of a text list; None finds out: blanks, else one of , ; | :
        path_prefix: Put before relative paths; for official files, the folder with the videos.
        list_format: One of ``LIST_FORMATS``: "path", "path_label" and "path_frames_label" for text lists,
            "folders", "kinetics" (csv), "ssv2" (json), "frame_list" (SlowFast's); "auto" looks into it.
        class_names: The classes by index. Needed for Kinetics' csv; folders per class are else sorted by
            name, and Something-Something-v2 has its labels.json.
        labels_path: Something-Something-v2's labels.json, or the folder with its json files; empty looks
            beside the list.

    Raises:
        ListError: No such list, nothing in it, a line that does not fit, or classes whose numbers are not
            known; with file and line.
    """
    source = os.fspath(path)
    if list_format not in LIST_FORMATS:
        raise ListError(f"list format is {list_format!r}, expected one of {', '.join(LIST_FORMATS)}")
    if not os.path.exists(source):
        raise ListError(f"{source}: no such list file or folder")
    if os.path.isdir(source):
        if list_format not in ("auto", "path", "folders"):
            raise ListError(f"{source}: is a folder, but a list file of format {list_format} is expected")
        return read_folder(Path(source), list_format, class_names)
    if list_format == "folders":
        raise ListError(f"{source}: is a file, but a folder with one folder per class is expected")
    _refuse_video(source)
    data = read_bytes(source)
    kind = detect_format(data) if list_format == "auto" else list_format
    if kind == "frame_list":
        labels = os.fspath(labels_path)
        return read_frame_list(
            data, source, path_prefix=path_prefix, class_names=class_names, labels_path=labels
        )
    text = decode(data, source)
    if kind == "kinetics":
        return read_annotated(read_kinetics(text, source), path_prefix, class_names)
    if kind == "ssv2":
        annotations = read_ssv2(text, source, os.fspath(labels_path))
        return read_annotated(annotations, path_prefix, class_names)
    return read_text_list(
        text, source, separator=separator, path_prefix=path_prefix, list_format=kind, class_names=class_names
    )


def _refuse_video(source: str) -> None:
    if looks_like_video(source) and b"\0" in read_bytes(source, 4096):
        raise ListError(
            f"{source}: is a video, expected a list of videos: a text file with a path and a label in each "
            f"line, or a folder (mvit-video predict {shlex.quote(source)} says what happens in it)"
        )


def detect_format(data: bytes) -> str:
    """What a list file is, by its beginning: "kinetics", "ssv2", "frame_list", or "auto" for a text list."""
    start = data[:4096].decode("utf-8-sig", "replace")
    if is_kinetics_header(start):
        return "kinetics"
    if is_frame_list_header(start):
        return "frame_list"
    return "ssv2" if _JSON.match(start) else "auto"
