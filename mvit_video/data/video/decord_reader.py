"""Frames through decord, as exactly as it can.

In many files its seeks and skips return other frames than asked for, without an error. So frames are taken
one after the other from the first, which is right far more often, and where decord would repeat a frame for
want of another (with ``fault_tol`` it raises instead), the video ends. What it cannot tell stays wrong, and
docs/decoders.md says where.

Axes: N frames, H height, W width, C = 3 colours.
"""

import os
import re
from fractions import Fraction
from typing import Any

import numpy as np
from decord._ffi.base import DECORDLimitReachedError
from decord.video_reader import VideoReader as DecordVideo

from mvit_video.data.video.errors import DamageFound, VideoError
from mvit_video.data.video.reader import FramePass, Image, OnDamage, VideoReader
from mvit_video.data.video.sources import OpenSource, Source, open_source

# Tries until decord gives up at the end of a file it counted wrongly; its 10240 take seconds, below a hundred
# it gives up on good files too.
os.environ.setdefault("DECORD_EOF_RETRY_MAX", "2048")
_DecordVideo: Any = DecordVideo  # it has no types
_NO_REPEATS = 1e-9  # share of frames that decord may make up
_TIMESTAMP_ROUNDING_SECONDS = 2e-3
_NO_TIMESTAMP_SECONDS = 1e6  # what decord makes of a missing one lies far beyond


class DecordReader(VideoReader):
    """A video file decoded by decord, forward and counting.

    Refused, since decord would return other frames: transport streams, files that do not begin with a key
    frame, and pictures too narrow for it.
    """

    def __init__(self, source: Source, *, threads: int = 1, on_damage: OnDamage = "keep") -> None:
        """Opens ``source``, a path or a seekable binary file object (which is read whole).

        Raises:
            VideoError: Nothing there, no video that decord reads, or one that it is known to read wrongly.
        """
        self._source = open_source(source)
        super().__init__(self._source.name, on_damage=on_damage)
        self._threads = threads
        try:
            self._idle = first = self._open_pass()
            self._check(first)
            self._count = first.count
            self._frame_rate = first.frame_rate()
            self.height, self.width = self._first_size(first)
        except BaseException:
            self.close()
            raise

    @property
    def expected_frames(self) -> int:
        """How many packets decord counts."""
        return self._count

    @property
    def frame_rate(self) -> Fraction:
        """Frames per second; the average where the rate varies."""
        return self._frame_rate

    def close(self) -> None:
        """Frees the decoder; safe to call twice."""
        super().close()
        self._source.close()

    def _open_pass(self) -> "_DecordPass":
        try:
            return _DecordPass(self._source, self._threads)
        except Exception as error:  # decord raises errors of many types
            raise VideoError(
                f"{self.name}: decord cannot read it: {_reason(error)}; take backend auto"
            ) from error

    def _check(self, first: "_DecordPass") -> None:
        if _is_transport_stream(self._source):
            raise VideoError(
                f"{self.name}: is a transport stream, which decord reads wrongly; take backend auto"
            )
        if not first.begins_with_a_key_frame():
            raise VideoError(
                f"{self.name}: does not begin with a key frame, so decord counts its frames wrongly; "
                "take backend auto"
            )

    def _first_size(self, first: "_DecordPass") -> tuple[int, int]:
        try:
            if not first.advance_to(0):
                raise VideoError(f"{self.name}: decord finds no frame in it")
        except DamageFound as found:
            raise VideoError(f"{self.name}: damaged at frame 0: {found}") from found
        height, width, _ = first.image().shape
        return height, width


class _DecordPass(FramePass):
    """decord, asked for one frame after the other."""

    def __init__(self, source: OpenSource, threads: int) -> None:
        # An absolute path, as FFmpeg takes "a:b.mp4" for a protocol.
        target = source.cursor() if source.path is None else os.path.abspath(source.path)
        self._decoder = _DecordVideo(target, num_threads=threads, fault_tol=_NO_REPEATS)
        self._image: Image | None = None
        self.count = len(self._decoder)

    def advance_to(self, index: int) -> bool:
        while self.position < index:
            if self.position + 1 >= self.count:
                return False
            self._image = self._next()
            self.position += 1
        return True

    def image(self) -> Image:
        assert self._image is not None
        return self._image

    def close(self) -> None:
        self._image = None
        self._decoder = None

    def begins_with_a_key_frame(self) -> bool:
        """As it must, for decord counts the packets before, and shows none of them."""
        keys = self._decoder.get_key_indices()
        return len(keys) > 0 and int(keys[0]) == 0

    def frame_rate(self) -> Fraction:
        """The rate decord gives if the timestamps agree with it, else theirs."""
        rate = Fraction(self._decoder.get_avg_fps()).limit_denominator(1001)
        first, last = self._decoder.get_frame_timestamp([0, self.count - 1])[:, 0].tolist()
        span = last - first
        if span <= 0 or abs(first) > _NO_TIMESTAMP_SECONDS or abs(last) > _NO_TIMESTAMP_SECONDS:
            return rate
        if rate > 0 and abs((self.count - 1) / rate - span) <= _TIMESTAMP_ROUNDING_SECONDS:
            return rate
        return Fraction((self.count - 1) / span).limit_denominator(1001)

    def _next(self) -> Image:
        try:
            image: Image = self._decoder.next().asnumpy()
        except DECORDLimitReachedError as error:
            raise DamageFound(
                f"decord counts {self.count} frames and finds no more (cut by an edit list, or damaged)"
            ) from error
        except StopIteration as error:
            raise DamageFound("decord finds no more frames") from error
        except Exception as error:  # decord raises errors of many types
            raise DamageFound(_reason(error)) from error
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise DamageFound(
                f"decord gives pictures of shape {image.shape}, expected (H, W, 3); take backend auto"
            )
        return image


def _is_transport_stream(source: OpenSource) -> bool:
    """By the first byte of its packets, of 188 bytes, or of 192 with a time before each."""
    with source.cursor() as file:
        start = file.read(200)
    return len(start) == 200 and (start[0] == start[188] == 0x47 or start[4] == start[196] == 0x47)


def _reason(error: BaseException) -> str:
    """The reason on one line, without the times and the places in decord's sources."""
    line = next(iter(str(error).strip().splitlines()), "")
    text = re.sub(r"\[[\d:]+\] \S+:\d+: |Check failed: .* ERROR ", "", line)
    return text or type(error).__name__
