"""Folders as lists: one folder of videos per class, or a folder of unlabelled videos."""

from collections.abc import Sequence
from pathlib import Path

from mvit_video.data.lists.files import VIDEO_SUFFIXES, find_videos
from mvit_video.data.lists.records import ListError, VideoList, VideoRecord


def read_folder(folder: Path, list_format: str, class_names: Sequence[str] | None) -> VideoList:
    """The videos of a folder: of one folder per class, or else without labels.

    Raises:
        ListError: No videos, or a class that is not known.
    """
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
