"""What somebody pointed at -> the video files meant."""

from collections.abc import Sequence
from pathlib import Path

from mvit_video.data import read_list

LIST_ENDINGS = (".csv", ".txt", ".list")
VIDEO_ENDINGS = (
    *(".3gp", ".asf", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4"),
    *(".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"),
)


def find_videos(inputs: Sequence[str]) -> list[str]:
    """The video files that files, folders and lists stand for, in the order given.

    Args:
        inputs: a video file stands for itself, whatever it is called and whether or not it is there; a folder
            for all video files in it and below, sorted; a list (.csv, .txt, .list) for the paths in it.

    Raises:
        ValueError: A folder or list without a video, or a list that cannot be read.
    """
    return [video for given in inputs for video in _expand(Path(given), given)]


def _expand(path: Path, given: str) -> list[str]:
    if path.is_dir():
        found = sorted(
            str(file) for file in path.rglob("*") if file.suffix.lower() in VIDEO_ENDINGS and file.is_file()
        )
        if not found:
            raise ValueError(
                f"{given}: no videos in this folder or below (looked for {' '.join(VIDEO_ENDINGS)})"
            )
        return found
    if path.suffix.lower() in LIST_ENDINGS:
        return [record.path for record in read_list(path).records]
    return [given]
