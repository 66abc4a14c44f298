"""Reading a list of videos, whatever form it has."""

import os
from collections.abc import Sequence
from pathlib import Path

from mvit_video.data.lists.folders import read_folder
from mvit_video.data.lists.records import ListError, VideoList, VideoRecord
from mvit_video.data.lists.text_lists import read_text_list

__all__ = ["LIST_FORMATS", "ListError", "VideoRecord", "read_list"]

LIST_FORMATS = (
    "auto",
    "path",
    "path_label",
    "path_frames_label",
    "folders",
    "kinetics",
    "ssv2",
    "frame_list",
)


def read_list(
    path: str | os.PathLike[str],
    *,
    separator: str | None = None,
    path_prefix: str = "",
    list_format: str = "auto",
    class_names: Sequence[str] | None = None,
    labels_path: str | os.PathLike[str] = "",
) -> VideoList:
    """Reads a list file, or a folder: of one folder per class, or of unlabelled videos.

    Args:
        path: The list file or the folder.
        separator: Between the columns; None finds out: blanks, else commas.
        path_prefix: Put before relative paths.
        list_format: One of ``LIST_FORMATS``; "auto" counts the numbers that every line ends with.
        class_names: For folders per class: the order of the classes (else they are sorted by name).
        labels_path: For Something-Something-v2: its labels file, or the folder with its json files.

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
        return read_folder(Path(source), list_format, class_names)
    if list_format == "folders":
        raise ListError(f"{source}: is a file, but a folder with one folder per class is expected")
    records = read_text_list(source, separator, path_prefix, list_format)
    return VideoList(records, None if class_names is None else tuple(class_names), source)
