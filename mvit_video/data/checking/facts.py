"""What is found out about one video, by decoding all of it."""

import hashlib
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from mvit_video.data.loading.worker import heartbeat
from mvit_video.data.video.errors import DamagedVideoWarning, IndexContradicted, VideoError
from mvit_video.data.video.frame_folder import list_frames
from mvit_video.data.video.opening import Decoding, open_reader
from mvit_video.data.video.reader import VideoReader
from mvit_video.data.video.sources import open_source

Status = Literal["good", "damaged", "unreadable", "crashed"]

_CHUNK_BYTES = 1 << 20
_FRAMES_PER_BEAT = 32


@dataclass(frozen=True, slots=True)
class FileState:
    """By what a file is known to be the same as before: bytes and time of its last change; -1: not known."""

    size: int = -1
    mtime_ns: int = -1

    @property
    def is_known(self) -> bool:
        """Whether there is such a file here."""
        return self.size >= 0


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What is known of a video.

    Attributes:
        path: As the list has it.
        state: Of the file when it was checked; of a folder of frames, of all its images together.
        status: "crashed": the decoder crashed or hung; "damaged": only the frames before the damage count.
        reason: What is wrong with it.
        num_frames: Good frames.
        fps: Frames per second.
        height: Of the picture as shown, in pixels.
        width: Likewise.
        digest: Of the bytes: equal for equal videos.
    """

    path: str
    state: FileState = FileState()
    status: Status = "good"
    reason: str = ""
    num_frames: int = 0
    fps: float = 0.0
    height: int = 0
    width: int = 0
    digest: str = ""


@dataclass(frozen=True)
class VideoChecker:
    """Checks one video after the other; what a worker does."""

    decoding: Decoding

    def __call__(self, path: str) -> VideoFacts:
        """Decodes the video at ``path``."""
        state, digest = file_state(path), ""
        try:
            digest = _digest(path)
            with warnings.catch_warnings(), open_reader(path, self.decoding) as video:
                warnings.simplefilter("ignore", DamagedVideoWarning)  # the facts say so
                return VideoFacts(path, state, digest=digest, **_decode(video))
        except (VideoError, OSError) as error:
            return VideoFacts(path, state, "unreadable", str(error).removeprefix(f"{path}: "), digest=digest)


def file_state(path: str) -> FileState:
    """What the file system says of a video now."""
    try:
        states = [os.stat(file) for file in _files_of(path)]
    except (VideoError, OSError, ValueError):
        return FileState()
    return FileState(sum(state.st_size for state in states), max(state.st_mtime_ns for state in states))


def _decode(video: VideoReader) -> dict[str, Any]:
    """Facts from decoding all frames; where the packets turn out wrong, once more without them."""
    while True:
        count = 0
        try:
            for index in video.walk():
                count = index + 1
                if count % _FRAMES_PER_BEAT == 0:
                    heartbeat()
            break
        except IndexContradicted:
            continue
    damage = video.damage
    return {
        "status": "damaged" if damage else "good",
        "reason": f"good up to frame {damage.frame}, then {damage.reason}" if damage else "",
        "num_frames": count,
        "fps": round(video.fps, 3),
        "height": video.height,
        "width": video.width,
    }


def _digest(path: str) -> str:
    """A hash of all bytes of a video."""
    found = hashlib.blake2b(digest_size=16)
    for chunk in _bytes_of(path):
        found.update(chunk)
        heartbeat()
    return found.hexdigest()


def _bytes_of(path: str) -> Iterator[bytes]:
    files = _files_of(path) if os.path.isdir(path) else [path]
    for name in files:
        source = open_source(name)
        try:
            with source.cursor() as file:
                while chunk := file.read(_CHUNK_BYTES):
                    yield chunk
        finally:
            source.close()


def _files_of(path: str) -> list[str]:
    return list(list_frames(path)) if os.path.isdir(path) else [path]
