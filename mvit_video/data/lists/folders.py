"""Folders as lists: one folder of videos per class, or a folder of unlabelled videos."""

from collections.abc import Callable, Sequence
from pathlib import Path

from mvit_video.data.lists.files import IMAGE_SUFFIXES, VIDEO_SUFFIXES, find_frame_folders, find_videos
from mvit_video.data.lists.records import ListError, VideoList, VideoRecord


def read_folder(folder: Path, list_format: str, class_names: Sequence[str] | None) -> VideoList:
    """The videos of a folder: of one folder per class, or else without labels.

    Video files are looked for first; where there are none, folders of frames.

    Args:
        folder: The folder.
        list_format: "folders" (per class), "path" (no labels), or "auto" for whichever it is.
        class_names: The classes by index; None sorts the folders by name.

    Raises:
        ListError: No videos, or a class that is not known.
    """
    for find in (find_videos, find_frame_folders):
        by_class = {} if list_format == "path" else find_by_class(folder, find)
        if any(by_class.values()):
            return _with_classes(folder, by_class, class_names)
        videos = [] if list_format == "folders" else find(folder)
        if videos:
            return VideoList([VideoRecord(path) for path in videos], None, str(folder))
    kind = "no folder with videos in it (one folder per class)" if list_format == "folders" else "no videos"
    raise ListError(
        f"{folder}: {kind}; video files end in {' '.join(VIDEO_SUFFIXES)}, "
        f"frames in {' '.join(IMAGE_SUFFIXES)}"
    )


def find_by_class(folder: Path, find: Callable[[Path], list[str]]) -> dict[str, list[str]]:
    """The videos of each folder in a folder, by its name."""
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != ".")
    return {name: find(folder / name) for name in names}


def _with_classes(
    folder: Path, by_class: dict[str, list[str]], class_names: Sequence[str] | None
) -> VideoList:
    order = list(by_class) if class_names is None else list(class_names)
    unknown = sorted(set(by_class) - set(order))
    if unknown:
        raise ListError(f"{folder}: folder {unknown[0]!r} is none of the {len(order)} known classes")
    index = {name: number for number, name in enumerate(order)}
    records = [VideoRecord(path, index[name]) for name, paths in by_class.items() for path in paths]
    return VideoList(records, tuple(order), str(folder))
