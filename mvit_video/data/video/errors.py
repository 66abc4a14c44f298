"""What can be wrong with a video."""

from dataclasses import dataclass


class VideoError(ValueError):
    """A video cannot be read as asked; the text names the file and the reason, in one line."""

    def __init__(self, message: str) -> None:
        super().__init__(message.replace("\n", "\\n").replace("\r", "\\r"))  # names of files may hold any


class DamagedVideoWarning(UserWarning):
    """A video is damaged, and ends before the damage."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Where a video stops being good: the frames before ``frame`` are, and ``reason`` says what came then."""

    frame: int
    reason: str


class IndexContradicted(Exception):  # noqa: N818 -- nothing is wrong with the video
    """Decoding found other frames than the packets promised.

    The reader has stopped trusting the packets, so its ``num_frames`` may be another now: compute positions
    anew and stream again.
    """


class DamageFound(Exception):  # noqa: N818 -- what it means is for the reader to decide
    """A pass over the frames met damage behind the frame it stands at; never leaves the reader."""
