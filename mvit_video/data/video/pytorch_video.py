"""Videos as PyTorchVideo knows them, over our exact readers.

Apart from ``opening`` because importing PyTorchVideo imports torchvision: 160 MB and over a second that a
loader's worker does not need. Workers read through ``open_reader``; users get these.
"""

import math
import os
import sys
from collections.abc import Iterable, Iterator
from fractions import Fraction
from types import TracebackType
from typing import Self

import numpy as np
import torch
from pytorchvideo.data.video import Video as PytorchVideo
from pytorchvideo.data.video import VideoPathHandler as PytorchVideoPathHandler

from mvit_video.data.sampling.clips import Duration
from mvit_video.data.video.errors import Damage, IndexContradicted
from mvit_video.data.video.opening import Backend, Decoding, open_reader
from mvit_video.data.video.reader import Image, OnDamage, VideoReader
from mvit_video.data.video.sources import Source

_ROUNDING_FRAMES = 1e-6  # floats of seconds come back to the frame they were made from


class Video(PytorchVideo):  # type: ignore[misc, unused-ignore]
    """A ``pytorchvideo.data.video.Video`` whose frames come from one of our readers; a context manager.

    Attributes:
        reader: Where the frames come from; the video closes it.
    """

    def __init__(self, reader: VideoReader) -> None:
        self.reader = reader

    @property
    def name(self) -> str:
        """The path, or the type of what is read."""
        return self.reader.name

    @property
    def height(self) -> int:
        """In pixels, as shown (display rotation applied)."""
        return self.reader.height

    @property
    def width(self) -> int:
        """In pixels, as shown (display rotation applied)."""
        return self.reader.width

    @property
    def frame_rate(self) -> Fraction:
        """Frames per second; the average where the rate varies."""
        return self.reader.frame_rate

    @property
    def fps(self) -> float:
        """Frames per second; the average where the rate varies."""
        return self.reader.fps

    @property
    def expected_frames(self) -> int:
        """How many frames the video promises, found without decoding."""
        return self.reader.expected_frames

    @property
    def num_frames(self) -> int:
        """How many good frames there are: see ``VideoReader.num_frames``."""
        return self.reader.num_frames

    @property
    def duration(self) -> Duration:
        """Seconds, ``num_frames / fps``; a float that also carries the two."""
        return self.reader.duration

    @property
    def is_trusted(self) -> bool:
        """Whether frames are counted and looked for by what the packets say; decoding checks it."""
        return self.reader.is_trusted

    @property
    def damage(self) -> Damage | None:
        """Where the video stops being good, as far as is known yet."""
        return self.reader.damage

    def frames(self, indices: Iterable[int]) -> Image:
        """The frames at ``indices`` (any order, repeats allowed): see ``VideoReader.frames``."""
        return self.reader.frames(indices)

    def stream(
        self, indices: Iterable[int], *, until_end: bool = False, no_more: bool = False
    ) -> Iterator[tuple[int, Image]]:
        """Yields (index, image), going forward: see ``VideoReader.stream``."""
        return self.reader.stream(indices, until_end=until_end, no_more=no_more)

    def get_clip(
        self, start_sec: float | Fraction, end_sec: float | Fraction
    ) -> dict[str, torch.Tensor | None]:
        """The frames i with ``start_sec <= i / fps < end_sec``.

        Seconds count from the first frame at the (average) frame rate, so frame i is at i / fps; beyond the
        end there are no frames.

        Returns:
            "video": float32 (C, T, H, W) RGB in 0-255, or None where no frame lies; "audio": None.
        """
        first = max(0, _first_frame_from(start_sec, self.frame_rate))
        stop = _first_frame_from(end_sec, self.frame_rate)
        while True:
            try:
                images = dict(self.stream(range(first, stop), until_end=True))
            except IndexContradicted:
                continue  # once: the index is not trusted any more
            break
        found = [image for index, image in images.items() if index >= first]
        if not found:
            return {"video": None, "audio": None}
        clip_CTHW = torch.from_numpy(np.stack(found)).permute(3, 0, 1, 2).to(torch.float32)
        return {"video": clip_CTHW, "audio": None}

    def close(self) -> None:
        """Frees the decoder; safe to call twice."""
        self.reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.reader!r})"


class VideoPathHandler(PytorchVideoPathHandler):  # type: ignore[misc, unused-ignore]
    """Makes a PyTorchVideo dataset read our videos.

    ``dataset.video_path_handler = VideoPathHandler()``
    """

    def video_from_path(
        self,
        filepath: str | os.PathLike[str],
        decode_audio: bool = False,
        decoder: Backend = "pyav",
        fps: int = 30,
    ) -> Video:
        """Opens a file or a folder of images; audio is never decoded, and ``fps`` is not looked at."""
        return open_video(filepath, backend=decoder)


def open_video(
    source: Source, *, backend: Backend = "auto", on_damage: OnDamage = "keep", threads: int = 1
) -> Video:
    """Opens a video for reading frames by index.

    Args:
        source: A path; an address that iopath's PathManager opens (``https://...``, or what a handler is
            registered for); a seekable binary file object, which stays the caller's to close; the bytes
            themselves; or a folder of images.
        backend: "auto" (PyAV), "pyav", "decord" or "torchcodec".
        on_damage: "keep": a damaged video ends before the damage, with a DamagedVideoWarning; "refuse": a
            VideoError.
        threads: Decoder threads; 0 lets FFmpeg choose, which may pay for large pictures on an idle machine,
            but damage in the last frames then goes unnoticed in some files.

    Raises:
        VideoError: The file is missing, empty, no video, or its first frame does not decode.
    """
    return Video(open_reader(source, Decoding(backend, on_damage, threads)))


def _first_frame_from(seconds: float | Fraction, frame_rate: Fraction) -> int:
    if math.isinf(seconds):
        return sys.maxsize
    return math.ceil(seconds * frame_rate - _ROUNDING_FRAMES)
