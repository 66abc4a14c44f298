"""What one file of the kit is: how it is written, and what a decoder has to find in it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from kit.media_numbers import read_board
from kit.videos import write_video


@dataclass(frozen=True)
class MediaFile:
    """A file of the kit and the truth about it.

    Attributes:
        name: File name; no two files share one.
        group: The row of the printed tables it belongs to.
        write: Writes it to a path.
        numbers: What its pictures say, in the order in which FFmpeg shows them (edit lists applied); of a
            damaged file those before the first damage. Empty: nothing to read, a VideoError.
        size: Width and height as shown, rotation applied.
        read: A picture's number; AssertionError when it says none, or in wrong colours.
        damage: What comes after ``numbers``. "noticed": damage that FFmpeg tells of. "silent": nothing, and
            nobody can know that there was more. "hidden": damage that a decoder may pass over, so wrong
            pictures may follow. "": it is whole.
        refused: What the VideoError says (a regular expression), for what is no video.
    """

    name: str
    group: str
    write: Callable[[Path], Any]
    numbers: tuple[int, ...]
    size: tuple[int, int] = (64, 48)
    read: Callable[[np.ndarray], int] = read_board
    damage: Literal["", "noticed", "silent", "hidden"] = ""
    refused: str = ""

    def says(self, frame_HWC: np.ndarray) -> int:
        """The number of a picture; -1 when it shows none: torn, turned, of wrong size or colours."""
        try:
            assert frame_HWC.shape == (self.size[1], self.size[0], 3), frame_HWC.shape
            return self.read(frame_HWC)
        except AssertionError:
            return -1


def video(
    name: str,
    group: str,
    num_frames: int = 40,
    *,
    size: tuple[int, int] = (64, 48),
    numbers: tuple[int, ...] | None = None,
    read: Callable[[np.ndarray], int] = read_board,
    **settings: Any,
) -> MediaFile:
    """An undamaged file that ``write_video`` writes; ``settings`` are its arguments."""

    def write(path: Path) -> None:
        write_video(path, num_frames, width=size[0], height=size[1], **settings)

    return MediaFile(name, group, write, numbers or tuple(range(num_frames)), size, read)


def x264(preset: str = "veryfast", **params: object) -> dict[str, str]:
    """Options of libx264: exactly the structure asked for, whatever the pictures show."""
    return {"preset": preset, "x264-params": _joined({"scenecut": 0, "b-adapt": 0} | params)}


def x265(**params: object) -> dict[str, str]:
    """Options of libx265: exactly the structure asked for, on one thread."""
    fixed = {"log-level": "none", "pools": 1, "frame-threads": 1, "scenecut": 0, "b-adapt": 0}
    return {"preset": "ultrafast", "x265-params": _joined(fixed | params)}


def _joined(params: dict[str, object]) -> str:
    return ":".join(f"{name.replace('_', '-')}={value}" for name, value in params.items())
