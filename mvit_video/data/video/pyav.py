"""Exact frames of a video file: decode forward from the first frame and count.

Seeking by time returns other frames than asked for, without an error, in several common containers, and
headers lie about how many frames there are. So nothing here seeks, and nothing believes a header: a frame's
index is its place in the decoder's output. Only the frames asked for are converted to RGB.

Axes: N frames, H height, W width, C = 3 colours.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from mvit_video.data.video.errors import DamageFound, VideoError
from mvit_video.data.video.reader import FramePass, Image, OnDamage, oriented
from mvit_video.data.video.reader import VideoReader as _VideoReader
from mvit_video.data.video.sources import Source, check_source, ffmpeg_target, name_of

_STILL_IMAGES = ("image2", "_pipe")  # FFmpeg reads a picture as a video of one frame
# PyAV before 17 converts on one thread anyway, and has no such option.
_ONE_THREAD: dict[str, Any] = {"threads": 1} if int(av.__version__.split(".")[0]) >= 17 else {}
_FALLBACK_RATE = Fraction(25)  # FFmpeg's own, for streams without a single timestamp


@dataclass(frozen=True)
class PacketIndex:
    """What the packets say, without decoding: a good guess of the frame count, and the frame rate.

    ``frame_rate`` is the container's nominal rate where the timestamps agree with it to one tick; otherwise
    (variable rate, or a header that lies) the average rate of the timestamps.
    """

    num_packets: int
    frame_rate: Fraction


class PyavReader(_VideoReader):
    """A video file decoded by FFmpeg through PyAV.

    The first frame is decoded on opening, so what opens is a video. One decoder thread by default: it is
    the fastest for small videos, and damaged streams look the same wherever they are decoded (with several,
    FFmpeg passes over damage in the last frames of some).
    """

    def __init__(self, source: Source, *, threads: int = 1, on_damage: OnDamage = "keep") -> None:
        """Opens ``source``, a path or a seekable binary file object (which stays the caller's to close).

        Raises:
            VideoError: Nothing there, not a video, or its first frame does not decode.
        """
        super().__init__(name_of(source), on_damage=on_damage)
        self._source = source
        self._threads = threads
        self._reformatter = VideoReformatter()
        self._packets: PacketIndex | None = None
        check_source(source, self.name)
        self._idle = first = self._open_pass()
        try:
            try:
                if not first.advance_to(0):
                    raise VideoError(
                        f"{self.name}: no frame could be decoded; the file is cut off or damaged"
                    )
            except DamageFound as found:
                raise VideoError(f"{self.name}: damaged at frame 0: {found}") from found
            self.height, self.width = first.size()
        except BaseException:
            self.close()
            raise

    @property
    def packet_index(self) -> PacketIndex:
        """Frame rate and assumed frame count, from one pass over the packets (no decoding)."""
        if self._packets is None:
            self._check_open()
            self._packets = _read_packets(self._source, self.name)
        return self._packets

    @property
    def expected_frames(self) -> int:
        """How many frames the packets promise: a good guess, without decoding."""
        return self.packet_index.num_packets

    @property
    def frame_rate(self) -> Fraction:
        """Frames per second; the average where the rate varies."""
        return self.packet_index.frame_rate

    def _open_pass(self) -> "_ForwardPass":
        return _ForwardPass(self._source, self.name, self._threads, self._reformatter)


class _ForwardPass(FramePass):
    """A decoder that starts at frame 0 and only moves forward."""

    def __init__(self, source: Source, name: str, threads: int, reformatter: VideoReformatter) -> None:
        self._frame: av.VideoFrame | None = None
        self._reformatter = reformatter
        self._container = _open_container(source, name)
        try:
            stream = _choose_stream(self._container, name)
            stream.codec_context.thread_count = threads
            if threads != 1:
                stream.thread_type = "AUTO"
            self._frames = self._container.decode(stream)
        except BaseException:
            self.close()
            raise

    def advance_to(self, index: int) -> bool:
        while self.position < index:
            frame = self._decode_next()
            if frame is None:
                return False
            self._frame = frame
            self.position += 1
        return True

    def image(self) -> Image:
        assert self._frame is not None
        # One kept reformatter on one thread: its set-up costs more than the conversion of a small frame.
        rgb: Any = self._reformatter.reformat(self._frame, format="rgb24", **_ONE_THREAD).to_ndarray()
        return np.ascontiguousarray(_orient(rgb, self._frame))

    def size(self) -> tuple[int, int]:
        """Height and width as shown."""
        assert self._frame is not None
        blank = np.empty((self._frame.height, self._frame.width), np.bool_)
        height, width = _orient(blank, self._frame).shape
        return height, width

    def close(self) -> None:
        self._frame = None
        self._container.close()

    def _decode_next(self) -> av.VideoFrame | None:
        try:
            frame: av.VideoFrame | None = next(self._frames, None)
        except (av.FFmpegError, OSError, ValueError, EOFError) as error:
            raise DamageFound(_reason(error)) from error
        if frame is None:
            return None
        if frame.is_corrupt:
            raise DamageFound("the decoder marks the frame as corrupt")
        last = self._frame or frame
        if (frame.width, frame.height) != (last.width, last.height):
            raise DamageFound(
                f"the picture size changes from {last.width}x{last.height} to {frame.width}x{frame.height}; "
                "re-encode it to one size"
            )
        return frame


VideoReader = PyavReader  # until its users ask open_reader for one


def _open_container(source: Source, name: str) -> Any:
    try:
        container = av.open(ffmpeg_target(source), metadata_errors="ignore")
    except (av.FFmpegError, OSError, ValueError, EOFError) as error:
        raise VideoError(f"{name}: not a video, or damaged: {_reason(error)}") from error
    kind = container.format.name
    problem = "is text" if kind == "tty" else "is a still image" if kind.endswith(_STILL_IMAGES) else None
    if problem:
        container.close()
        raise VideoError(f"{name}: {problem}, expected a video")
    return container


def _choose_stream(container: Any, name: str) -> Any:
    """The largest video stream that is no cover picture."""
    cover = av.stream.Disposition.attached_pic
    streams = [stream for stream in container.streams.video if not stream.disposition & cover]
    if streams and all(stream.codec_context is None for stream in streams):
        raise VideoError(f"{name}: its codec is not known; re-encode it, to H.264 for example")
    streams = [stream for stream in streams if stream.codec_context is not None]
    if not streams:
        found = sorted({stream.type for stream in container.streams}) or ["nothing"]
        if container.streams.video:
            found[found.index("video")] = "a cover picture"
        raise VideoError(f"{name}: has no video stream, only {' and '.join(found)}")
    return max(streams, key=lambda stream: (stream.width or 0) * (stream.height or 0))


def _read_packets(source: Source, name: str) -> PacketIndex:
    count, first, last = 0, None, None
    with _open_container(source, name) as container:
        stream = _choose_stream(container, name)
        try:
            for packet in container.demux(stream):
                if packet.size == 0 or packet.is_discard:
                    continue
                count += 1
                time = packet.dts if packet.pts is None else packet.pts
                if time is not None:
                    first = time if first is None else min(first, time)
                    last = time if last is None else max(last, time)
        except (av.FFmpegError, OSError, ValueError, EOFError):
            pass  # decoding will meet the damage too, and says where
        span = 0 if first is None or last is None else last - first
        return PacketIndex(count, _frame_rate(stream, count, span))


def _frame_rate(stream: Any, count: int, span: int) -> Fraction:
    """The nominal rate if ``count`` timestamps over ``span`` ticks agree with it to a tick, else theirs."""
    nominal = [Fraction(rate) for rate in (stream.average_rate, stream.guessed_rate) if rate]
    if count < 2 or span <= 0 or not stream.time_base:
        return nominal[0] if nominal else _FALLBACK_RATE
    for rate in nominal:
        if abs((count - 1) / rate / stream.time_base - span) <= 1:
            return rate
    return (count - 1) / (span * Fraction(stream.time_base))


def _orient(image: NDArray[Any], frame: av.VideoFrame) -> NDArray[Any]:
    """Turns and mirrors as the frame's display matrix says."""
    side_data: Any
    for side_data in frame.side_data:
        if side_data.type.name == "DISPLAYMATRIX":
            a, b, _, c, d = np.frombuffer(bytes(side_data), "<i4")[:5].tolist()
            return oriented(image, (a, b, c, d))
    return image


def _reason(error: BaseException) -> str:
    """FFmpeg's reason on one line, without its error number and the path."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    log = getattr(error, "log", None)
    return " ".join(f"{text} ({log[2]})".split() if log else text.split())
