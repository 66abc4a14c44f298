"""What somebody pointed at -> the video files meant."""

from collections.abc import Sequence
from pathlib import Path

from mvit_video.data import find_videos, read_list

LIST_SUFFIXES = (".csv", ".txt", ".list")


def expand_inputs(inputs: Sequence[str]) -> list[str]:
    """The video files that files, folders and lists stand for, in the order given.

    Args:
        inputs: a video file stands for itself, whatever it is called and whether or not it is there; a folder
            for all video files in it and below, sorted; a list (.csv, .txt, .list) for the paths in it.

    Raises:
        ValueError: A folder or list without a video, or a list that cannot be read.
    """
    return [video for given in inputs for video in _expand(given)]


def _expand(given: str) -> list[str]:
    path = Path(given)
    if path.is_dir():
        found = sorted(find_videos(path))
        if not found:
            raise ValueError(
                f"{given}: no video files in this folder or below; name the file itself if it is one"
            )
        return found
    if path.suffix.lower() in LIST_SUFFIXES:
        return [record.path for record in read_list(path)]
    return [given]
