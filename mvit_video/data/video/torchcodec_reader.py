"""Frames through torchcodec, as exactly as it can.

torchcodec finds frames by their timestamps, which in some containers do not say where they are. Frames asked
for one after the other from the first are right more often than frames sought, so that is how they are asked
for; and a first frame that is not where the stream begins is refused, as is one that goes back in time. What
that does not show stays wrong, and docs/decoders.md says where.

Axes: N frames, H height, W width, C = 3 colours.
"""

from fractions import Fraction
from typing import Any

from torchcodec.decoders import VideoDecoder

from mvit_video.data.video.errors import DamageFound
from mvit_video.data.video.library_reader import LibraryPass, LibraryReader, library_target
from mvit_video.data.video.reader import Image
from mvit_video.data.video.sources import OpenSource

_SAME_TIME_SECONDS = 1e-6
_TEXT = "ansi"
_STILL_IMAGES = frozenset({"mjpeg", "png", "bmp", "tiff", "webp"})


class _TorchcodecPass(LibraryPass):
    """A torchcodec decoder, asked for one frame after the other."""

    library = "torchcodec"

    def __init__(self, source: OpenSource, threads: int) -> None:
        self._decoder: Any = VideoDecoder(
            library_target(source), dimension_order="NHWC", num_ffmpeg_threads=threads, seek_mode="exact"
        )
        self._frame: Any = None
        self.count = len(self._decoder)

    def image(self) -> Image:
        image: Image = self._frame.data.numpy()
        return image

    def close(self) -> None:
        self._frame = self._decoder = None

    def refusal(self) -> str | None:
        found = self._decoder.metadata
        if abs(self._frame.pts_seconds - found.begin_stream_seconds) > _SAME_TIME_SECONDS:
            return (
                "its timestamps do not say where its frames are, so torchcodec would return others; take "
                "backend auto"
            )
        if found.codec == _TEXT or (self.count == 1 and found.codec in _STILL_IMAGES):
            return "is text or a still image, expected a video"
        return None

    def frame_rate(self) -> Fraction:
        """The rate of the header if the timestamps agree with it to a frame, else theirs."""
        found = self._decoder.metadata
        nominal, average = found.average_fps_from_header or 0, found.average_fps or 0
        span = (found.end_stream_seconds or 0) - (found.begin_stream_seconds or 0)
        agrees = nominal and abs(span * nominal - self.count) <= 1
        rate = Fraction(nominal if agrees or not average else average)
        return rate.limit_denominator(1001)

    def _take_next(self) -> None:
        try:
            frame = self._decoder.get_frame_at(self.position + 1)
        except Exception as error:  # torchcodec raises errors of many types
            raise DamageFound(self.reason(error)) from error
        last = self._frame or frame
        if frame.data.shape != last.data.shape:
            size, before = (f"{one.data.shape[1]}x{one.data.shape[0]}" for one in (frame, last))
            raise DamageFound(f"the picture size changes from {before} to {size}; re-encode it to one size")
        if last is not frame and frame.pts_seconds <= last.pts_seconds:
            raise DamageFound("torchcodec returns a frame that is not later than the one before it")
        self._frame = frame

    @staticmethod
    def reason(error: BaseException) -> str:
        """What follows the place in its sources."""
        return " ".join(str(error).split()).rpartition(": ")[2] or type(error).__name__


class TorchcodecReader(LibraryReader):
    """A video file decoded by torchcodec (exact mode, on the CPU), forward and counting.

    Refused, since torchcodec would return other frames: files whose timestamps do not say where their frames
    are.
    """

    pass_type = _TorchcodecPass
