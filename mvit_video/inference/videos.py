"""What somebody pointed at -> the videos meant: files, or folders of images."""

from collections.abc import Sequence
from pathlib import Path

from mvit_video.data import find_videos, read_list
from mvit_video.data.lists.files import IMAGE_SUFFIXES, find_frame_folders

LIST_SUFFIXES = (".csv", ".txt", ".list")


def expand_inputs(inputs: Sequence[str]) -> list[str]:
    """The videos that files, folders and lists stand for, in the order given.

    Args:
        inputs: a video file stands for itself, whatever it is called and whether or not it is there; a folder
            for all video files in it and below, sorted; a folder without any, but with images in it, is a
            video itself, as its frames, and so is each such folder below it; a list (.csv, .txt, .list)
            stands for the paths in it.

    Raises:
        ValueError: A folder or list without a video, or a list that cannot be read.
    """
    return [video for given in inputs for video in _expand(given)]


def _expand(given: str) -> list[str]:
    path = Path(given)
    if path.is_dir():
        found = find_videos(path) or ([given] if _holds_images(path) else find_frame_folders(path))
        found.sort()
        if not found:
            raise ValueError(
                f"{given}: no video files in this folder or below, and no images; name the file itself if it "
                "is one"
            )
        return found
    if path.suffix.lower() in LIST_SUFFIXES:
        return [record.path for record in read_list(path)]
    return [given]


def _holds_images(folder: Path) -> bool:
    return any(entry.suffix.lower() in IMAGE_SUFFIXES for entry in folder.iterdir())
