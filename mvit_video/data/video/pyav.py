"""Exact frames of a video file: decode forward from the first frame and count.

Seeking by time returns other frames than asked for, without an error, in several common containers, and
headers lie about how many frames there are. So nothing here seeks, and nothing believes a header: a frame's
index is its place in the decoder's output. Only the frames asked for are converted to RGB.

Axes: N frames, H height, W width, C = 3 colours.
"""

import operator
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from mvit_video.data.sampling.clips import Duration
from mvit_video.data.video.errors import VideoError
from mvit_video.data.video.sources import Source, check_source, ffmpeg_target, name_of

Image = NDArray[np.uint8]

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


class VideoReader:
    """A video file whose frames are read by their index; a context manager.

    The first frame is decoded on opening, so what opens is a video. One decoder thread by default: it is
    the fastest for small videos, and damaged streams look the same wherever they are decoded (with several,
    FFmpeg passes over damage in the last frames of some).
    """

    def __init__(self, source: Source, *, threads: int = 1) -> None:
        """Opens ``source``, a path or a seekable binary file object (which stays the caller's to close).

        Raises:
            VideoError: Nothing there, not a video, or its first frame does not decode.
        """
        self.name = name_of(source)
        self._source = source
        self._threads = threads
        self._closed = False
        self._reformatter = VideoReformatter()
        self._packets: PacketIndex | None = None
        self._num_frames: int | None = None
        self._running: list[_ForwardPass] = []
        check_source(source, self.name)
        self._idle: _ForwardPass | None = _ForwardPass(source, self.name, threads)
        try:
            frame = self._idle.advance_to(0)
            if frame is None:
                raise VideoError(f"{self.name}: no frame could be decoded; the file is cut off or damaged")
            self.height, self.width = _orient(np.empty((frame.height, frame.width), np.bool_), frame).shape
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

    @property
    def num_frames(self) -> int:
        """How many frames decoding finds; the first use decodes to the end (converting nothing)."""
        if self._num_frames is None:
            for _ in self._stream([sys.maxsize], until_end=True):
                pass
        assert self._num_frames is not None
        return self._num_frames

    @property
    def fps(self) -> float:
        """Frames per second; the average where the rate varies."""
        return float(self.frame_rate)

    @property
    def duration(self) -> Duration:
        """Seconds, ``num_frames / fps``; a float that also carries the two."""
        return Duration(self.num_frames, self.frame_rate)

    def frames(self, indices: Iterable[int]) -> Image:
        """Decodes the frames at ``indices`` (any order, repeats allowed): uint8 (N, H, W, 3) RGB.

        Raises:
            VideoError: An index beyond the end, or damage on the way there.
        """
        order = [operator.index(index) for index in indices]
        places: dict[int, list[int]] = {}
        for place, index in enumerate(order):
            places.setdefault(index, []).append(place)
        frames_NHWC = np.empty((len(order), self.height, self.width, 3), np.uint8)
        for index, image in self.stream(sorted(places)):
            frames_NHWC[places[index]] = image
        return frames_NHWC

    def stream(self, indices: Iterable[int], *, until_end: bool = False) -> Iterator[tuple[int, Image]]:
        """Yields (index, uint8 (H, W, 3) RGB) in one forward pass that holds one frame at a time.

        Args:
            indices: Non-decreasing; a repeated index yields the same array again.
            until_end: Do not raise at the first index beyond the end: yield the last frame (once more, if
                need be) under its own index, and stop.

        Raises:
            VideoError: An index beyond the end, or damage on the way there.
        """
        shown = -1
        image: Image | None = None
        for index, frame in self._stream(indices, until_end=until_end):
            if index != shown or image is None:
                shown, image = index, self._to_rgb(frame)
            yield index, image

    def close(self) -> None:
        """Frees the decoder; safe to call twice."""
        self._closed = True
        for run in [*self._running, self._idle]:
            if run is not None:
                run.close()
        self._running.clear()
        self._idle = None

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
        return f"{type(self).__name__}({self.name!r}, {self.width}x{self.height})"

    def _stream(self, indices: Iterable[int], *, until_end: bool) -> Iterator[tuple[int, av.VideoFrame]]:
        """One forward pass over the decoded frames; each running pass has a decoder of its own."""
        run: _ForwardPass | None = None
        shown, frame = -1, None
        try:
            for index in map(operator.index, indices):
                if index < 0:
                    raise VideoError(f"{self.name}: frame {index} was asked for; frames are counted from 0")
                if index < shown:
                    raise VideoError(
                        f"{self.name}: frame {index} was asked for after {shown}; sort the indices"
                    )
                run = run or self._start_pass(index)
                if index != shown:
                    frame = run.advance_to(index)
                if frame is None:
                    self._num_frames = run.next_index
                    if until_end:
                        if run.last is not None:
                            yield run.next_index - 1, run.last
                        return
                    raise VideoError(
                        f"{self.name}: frame {index} was asked for, but the video has only "
                        f"{run.next_index} (0 to {run.next_index - 1})"
                    )
                shown = index
                yield index, frame
        finally:
            if run is not None:
                self._end_pass(run)

    def _start_pass(self, first_index: int) -> "_ForwardPass":
        self._check_open()
        run, self._idle = self._idle, None
        if run is not None and not run.can_reach(first_index):
            run.close()
            run = None
        run = run or _ForwardPass(self._source, self.name, self._threads)
        self._running.append(run)
        return run

    def _end_pass(self, run: "_ForwardPass") -> None:
        if run in self._running:
            self._running.remove(run)
        if self._idle is None and not self._closed:
            self._idle = run
        else:
            run.close()

    def _check_open(self) -> None:
        if self._closed:
            raise VideoError(f"{self.name}: the video is closed; open it again")

    def _to_rgb(self, frame: av.VideoFrame) -> Image:
        # One kept reformatter on one thread: its set-up costs more than the conversion of a small frame.
        rgb: Any = self._reformatter.reformat(frame, format="rgb24", **_ONE_THREAD).to_ndarray()
        return np.ascontiguousarray(_orient(rgb, frame))


class _ForwardPass:
    """A decoder that starts at frame 0 and only moves forward."""

    def __init__(self, source: Source, name: str, threads: int) -> None:
        self.next_index = 0
        self._name = name
        self.last: av.VideoFrame | None = None
        self._size: tuple[int, int] | None = None
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

    def can_reach(self, index: int) -> bool:
        return index >= self.next_index - (self.last is not None)

    def advance_to(self, index: int) -> av.VideoFrame | None:
        """The frame at ``index``, or None where the video ends before it."""
        while self.next_index <= index:
            frame = self._decode_next()
            if frame is None:
                return None
            self.last = frame
            self.next_index += 1
        return self.last

    def close(self) -> None:
        self.last = None
        self._container.close()

    def _decode_next(self) -> av.VideoFrame | None:
        try:
            frame: av.VideoFrame | None = next(self._frames, None)
        except (av.FFmpegError, OSError, ValueError, EOFError) as error:
            raise VideoError(self._damage(_reason(error))) from error
        if frame is None:
            return None
        if frame.is_corrupt:
            raise VideoError(self._damage("the decoder marks the frame as corrupt"))
        size = (frame.width, frame.height)
        self._size = self._size or size
        if size != self._size:
            raise VideoError(
                f"{self._name}: the picture size changes at frame {self.next_index} from "
                f"{self._size[0]}x{self._size[1]} to {size[0]}x{size[1]}; re-encode it to one size"
            )
        return frame

    def _damage(self, reason: str) -> str:
        return f"{self._name}: damaged at frame {self.next_index}: {reason}"


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
    """Turns and mirrors as the frame's display matrix says, to the nearest quarter turn."""
    side_data: Any
    for side_data in frame.side_data:
        if side_data.type.name != "DISPLAYMATRIX":
            continue
        a, b, _, c, d = np.frombuffer(bytes(side_data), "<i4")[:5].tolist()
        # Shown at x' = a x + c y, y' = b x + d y, with y downwards.
        if abs(a) + abs(d) < abs(b) + abs(c):
            image = np.swapaxes(image, 0, 1)
            a, d = c, b
        image = image[:, ::-1] if a < 0 else image
        image = image[::-1] if d < 0 else image
    return image


def _reason(error: BaseException) -> str:
    """FFmpeg's reason on one line, without its error number and the path."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    log = getattr(error, "log", None)
    return " ".join(f"{text} ({log[2]})".split() if log else text.split())
