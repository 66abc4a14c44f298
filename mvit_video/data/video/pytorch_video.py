"""Videos as PyTorchVideo knows them, over our exact decoding.

Apart from ``decode`` because importing PyTorchVideo imports torchvision: 160 MB and over a second that a
loader's worker does not need. Workers read through ``decode.VideoReader``; users get these.
"""

import math
import os
import sys
from fractions import Fraction

import numpy as np
import torch
from pytorchvideo.data.video import Video as PytorchVideo
from pytorchvideo.data.video import VideoPathHandler as PytorchVideoPathHandler

from mvit_video.data.video.pyav import VideoReader
from mvit_video.data.video.sources import Source

BACKENDS = ("auto", "pyav")
_ROUNDING_FRAMES = 1e-6  # floats of seconds come back to the frame they were made from


class Video(VideoReader, PytorchVideo):
    """An exact video that is a ``pytorchvideo.data.video.Video`` too."""

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
        images = dict(self.stream(range(first, stop), until_end=True))
        found = [image for index, image in images.items() if index >= first]
        if not found:
            return {"video": None, "audio": None}
        clip_CTHW = torch.from_numpy(np.stack(found)).permute(3, 0, 1, 2).to(torch.float32)
        return {"video": clip_CTHW, "audio": None}


class VideoPathHandler(PytorchVideoPathHandler):
    """Makes a PyTorchVideo dataset read our videos.

    ``dataset.video_path_handler = VideoPathHandler()``
    """

    def video_from_path(
        self,
        filepath: str | os.PathLike[str],
        decode_audio: bool = False,
        decoder: str = "pyav",
        fps: int = 30,
    ) -> Video:
        """Opens a file; audio is never decoded, folders of frames (``fps``) are not read."""
        return open_video(filepath, backend=decoder)


def open_video(path_or_file: Source, *, backend: str = "auto", threads: int = 1) -> Video:
    """Opens a video for reading frames by index.

    Args:
        path_or_file: A path, or a seekable binary file object (which stays the caller's to close).
        backend: "auto" or "pyav".
        threads: Decoder threads; 0 lets FFmpeg choose, which may pay for large pictures on an idle machine,
            but damage in the last frames then goes unnoticed in some files.

    Raises:
        VideoError: The file is missing, empty, no video, or its first frame does not decode.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend is {backend!r}, expected one of {', '.join(BACKENDS)}")
    return Video(path_or_file, threads=threads)


def _first_frame_from(seconds: float | Fraction, frame_rate: Fraction) -> int:
    if math.isinf(seconds):
        return sys.maxsize
    return math.ceil(seconds * frame_rate - _ROUNDING_FRAMES)
