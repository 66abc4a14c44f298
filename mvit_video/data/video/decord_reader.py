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

from mvit_video.data.video.errors import DamageFound
from mvit_video.data.video.library_reader import LibraryPass, LibraryReader, library_target
from mvit_video.data.video.reader import Image
from mvit_video.data.video.sources import OpenSource

# Tries until decord gives up at the end of a file it counted wrongly; its 10240 take seconds, below a hundred
# it gives up on good files too.
os.environ.setdefault("DECORD_EOF_RETRY_MAX", "2048")
_DecordVideo: Any = DecordVideo  # it has no types
_NO_REPEATS = 1e-9  # share of frames that decord may make up
_TIMESTAMP_ROUNDING_SECONDS = 2e-3
_NO_TIMESTAMP_SECONDS = 1e6  # what decord makes of a missing one lies far beyond


class _DecordPass(LibraryPass):
    """decord, asked for one frame after the other."""

    library = "decord"

    def __init__(self, source: OpenSource, threads: int) -> None:
        self._source = source
        self._decoder = _DecordVideo(library_target(source), num_threads=threads, fault_tol=_NO_REPEATS)
        self._image: Image | None = None
        self.count = len(self._decoder)

    def image(self) -> Image:
        assert self._image is not None
        return self._image

    def close(self) -> None:
        self._image = None
        self._decoder = None

    def refusal(self) -> str | None:
        if _is_transport_stream(self._source):
            return "is a transport stream, which decord reads wrongly; take backend auto"
        keys = self._decoder.get_key_indices()
        if len(keys) == 0 or int(keys[0]) > 0:  # decord counts the packets before, and shows none of them
            return "does not begin with a key frame, so decord counts its frames wrongly; take backend auto"
        return None

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

    def _take_next(self) -> None:
        try:
            image: Image = self._decoder.next().asnumpy()
        except DECORDLimitReachedError as error:
            raise DamageFound(
                f"decord counts {self.count} frames and finds no more (cut by an edit list, or damaged)"
            ) from error
        except StopIteration as error:
            raise DamageFound("decord finds no more frames") from error
        except Exception as error:  # decord raises errors of many types
            raise DamageFound(self.reason(error)) from error
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise DamageFound(
                f"decord gives pictures of shape {image.shape}, expected (H, W, 3); take backend auto"
            )
        self._image = image

    @staticmethod
    def reason(error: BaseException) -> str:
        """Without the times and the places in decord's sources."""
        line = next(iter(str(error).strip().splitlines()), "")
        text = re.sub(r"\[[\d:]+\] \S+:\d+: |Check failed: .* ERROR ", "", line)
        return text or type(error).__name__


class DecordReader(LibraryReader):
    """A video file decoded by decord, forward and counting; a file object is read whole.

    Refused, since decord would return other frames: transport streams, files that do not begin with a key
    frame, and pictures too narrow for it.
    """

    pass_type = _DecordPass


def _is_transport_stream(source: OpenSource) -> bool:
    """By the first byte of its packets, of 188 bytes, or of 192 with a time before each."""
    with source.cursor() as file:
        start = file.read(200)
    return len(start) == 200 and (start[0] == start[188] == 0x47 or start[4] == start[196] == 0x47)
