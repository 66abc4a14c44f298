"""Frames through torchcodec, as exactly as it can.

torchcodec finds frames by their timestamps, which in some containers do not say where they are. Frames asked
for one after the other from the first are right more often than frames sought, so that is how they are asked
for; and a first frame that is not where the stream begins is refused, as is one that goes back in time. What
that does not show stays wrong, and docs/decoders.md says where.

Axes: N frames, H height, W width, C = 3 colours.
"""

import os
from fractions import Fraction
from typing import Any

from torchcodec.decoders import VideoDecoder

from mvit_video.data.video.errors import DamageFound, VideoError
from mvit_video.data.video.reader import FramePass, Image, OnDamage, VideoReader
from mvit_video.data.video.sources import OpenSource, Source, open_source

_SAME_TIME_SECONDS = 1e-6
_TEXT = "ansi"
_STILL_IMAGES = frozenset({"mjpeg", "png", "bmp", "tiff", "webp"})


class TorchcodecReader(VideoReader):
    """A video file decoded by torchcodec (exact mode, on the CPU), forward and counting."""

    def __init__(self, source: Source, *, threads: int = 1, on_damage: OnDamage = "keep") -> None:
        """Opens ``source``, a path or a seekable binary file object (which stays the caller's to close).

        Raises:
            VideoError: Nothing there, no video that torchcodec reads, or one whose timestamps do not say
                where its frames are.
        """
        self._source = open_source(source)
        super().__init__(self._source.name, on_damage=on_damage)
        self._threads = threads
        try:
            self._idle = first = self._open_pass()
            self._count = first.count
            self._frame_rate = first.frame_rate()
            self.height, self.width = self._first_size(first)
        except BaseException:
            self.close()
            raise

    @property
    def expected_frames(self) -> int:
        """How many packets torchcodec counts."""
        return self._count

    @property
    def frame_rate(self) -> Fraction:
        """Frames per second; the average where the rate varies."""
        return self._frame_rate

    def close(self) -> None:
        """Frees the decoder; safe to call twice."""
        super().close()
        self._source.close()

    def _open_pass(self) -> "_TorchcodecPass":
        try:
            return _TorchcodecPass(self._source, self._threads)
        except Exception as error:  # torchcodec raises errors of many types
            raise VideoError(
                f"{self.name}: torchcodec cannot read it: {_reason(error)}; take backend auto"
            ) from error

    def _first_size(self, first: "_TorchcodecPass") -> tuple[int, int]:
        try:
            if not first.advance_to(0):
                raise VideoError(f"{self.name}: torchcodec finds no frame in it")
        except DamageFound as found:
            raise VideoError(f"{self.name}: damaged at frame 0: {found}") from found
        if not first.stands_at_the_beginning():
            raise VideoError(
                f"{self.name}: its timestamps do not say where its frames are, so torchcodec would return "
                "others; take backend auto"
            )
        if first.is_still():
            raise VideoError(f"{self.name}: is text or a still image, expected a video")
        height, width, _ = first.image().shape
        return height, width


class _TorchcodecPass(FramePass):
    """A torchcodec decoder, asked for one frame after the other."""

    def __init__(self, source: OpenSource, threads: int) -> None:
        # An absolute path, as FFmpeg takes "a:b.mp4" for a protocol.
        target = source.cursor() if source.path is None else os.path.abspath(source.path)
        self._decoder: Any = VideoDecoder(
            target, dimension_order="NHWC", num_ffmpeg_threads=threads, seek_mode="exact"
        )
        self._frame: Any = None
        self.count = len(self._decoder)

    def advance_to(self, index: int) -> bool:
        while self.position < index:
            if self.position + 1 >= self.count:
                return False
            self._frame = self._next()
            self.position += 1
        return True

    def image(self) -> Image:
        image: Image = self._frame.data.numpy()
        return image

    def close(self) -> None:
        self._frame = self._decoder = None

    def stands_at_the_beginning(self) -> bool:
        """Whether its frame is the one that the packets begin with."""
        begin: float = self._decoder.metadata.begin_stream_seconds
        return bool(abs(self._frame.pts_seconds - begin) <= _SAME_TIME_SECONDS)

    def is_still(self) -> bool:
        """Whether it is one of the other things that FFmpeg reads as if they were videos."""
        codec = self._decoder.metadata.codec
        return codec == _TEXT or (self.count == 1 and codec in _STILL_IMAGES)

    def frame_rate(self) -> Fraction:
        """The rate of the header if the timestamps agree with it to a frame, else theirs."""
        found = self._decoder.metadata
        nominal, average = found.average_fps_from_header or 0, found.average_fps or 0
        span = (found.end_stream_seconds or 0) - (found.begin_stream_seconds or 0)
        agrees = nominal and abs(span * nominal - self.count) <= 1
        rate = Fraction(nominal if agrees or not average else average)
        return rate.limit_denominator(1001)

    def _next(self) -> Any:
        try:
            frame = self._decoder.get_frame_at(self.position + 1)
        except Exception as error:  # torchcodec raises errors of many types
            raise DamageFound(_reason(error)) from error
        last = self._frame or frame
        if frame.data.shape != last.data.shape:
            size, before = (f"{one.data.shape[1]}x{one.data.shape[0]}" for one in (frame, last))
            raise DamageFound(f"the picture size changes from {before} to {size}; re-encode it to one size")
        if last is not frame and frame.pts_seconds <= last.pts_seconds:
            raise DamageFound("torchcodec returns a frame that is not later than the one before it")
        return frame


def _reason(error: BaseException) -> str:
    """The reason on one line: what follows the place in its sources."""
    return " ".join(str(error).split()).rpartition(": ")[2] or type(error).__name__
