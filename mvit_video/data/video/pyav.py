"""Decoding by FFmpeg, through PyAV, which this module and ``container`` alone know.

A pass decodes forward from the first frame and counts, or moves by an index to wherever it is wanted; then
every frame's time is held against the index. Only the frames asked for are converted to RGB.
"""

import itertools
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from mvit_video.data.video.container import ERRORS, open_container, reason_of
from mvit_video.data.video.errors import DamageFound, IndexContradicted
from mvit_video.data.video.looking import PacketLog, StreamKind
from mvit_video.data.video.omission import Omission
from mvit_video.data.video.packets import KnownDamage, PacketFacts
from mvit_video.data.video.reader import FramePass, Image, oriented
from mvit_video.data.video.seek_index import SeekIndex
from mvit_video.data.video.sources import OpenSource

# PyAV before 17 converts on one thread anyway, and has no such option.
_ONE_THREAD: dict[str, Any] = {"threads": 1} if int(av.__version__.split(".")[0]) >= 17 else {}
_NO_TIME_BASE = Fraction(1, 90000)  # for streams without a single time
# glibc gives the memory of each freed picture back to the system, and gets it anew page by page for the next
# one, unless a larger block has been freed before (mallopt(3), M_MMAP_THRESHOLD): up to 48000 page faults in
# one pass over 132 pictures of 1280x720, and with this line 800 to 2500.
np.empty(1 << 24, np.uint8)  # bytes; never touched, so they cost nothing


class PyavPass(FramePass):
    """A decoder that stands at a frame; a context manager.

    Args:
        source: What to decode.
        threads: Of the decoder; 0 lets it choose.
        index: See ``move_by``.
        may_skip_probing: See ``container``.
    """

    def __init__(
        self, source: OpenSource, *, threads: int, index: SeekIndex | None, may_skip_probing: bool
    ) -> None:
        self._omission = None if index is None else Omission(index)
        self._damage_ahead: KnownDamage | None = None
        self.is_stale = False
        self._is_lost = False  # between frames, until one says where it is
        self._wanted = 0  # the frame it is on its way to
        self._frame: av.VideoFrame | None = None
        self._first_packet: tuple[int | None, int | None, int] | None = None
        self._reformatter = VideoReformatter()
        self._source = source
        self._open(threads, may_skip_probing=may_skip_probing)

    def _open(self, threads: int, *, may_skip_probing: bool = False) -> None:
        self._threads = threads
        self._damage = self._damage_ahead  # what comes first of that and the damage met
        found = open_container(self._source, may_skip_probing=may_skip_probing)
        self._container, self._stream, self.is_probed = found
        try:
            self._stream.codec_context.thread_count = threads
            if threads != 1:
                self._stream.thread_type = "AUTO"
        except BaseException:
            self.close()
            raise
        self._frames = self._whole_frames()

    def move_by(self, index: SeekIndex | None) -> None:
        """From now on moves by an index, where the packets are trusted, and holds every frame against it."""
        self._omission = None if index is None else Omission(index)

    def expect_damage(self, damage: KnownDamage | None) -> None:
        """Tells it of damage that is known before anything is decoded."""
        self._damage_ahead = damage
        self._damage = min(filter(None, (damage, self._damage)), default=None)

    @property
    def kind(self) -> StreamKind:
        """What the container says about the stream."""
        stream, context = self._stream, self._stream.codec_context
        time_base = Fraction(stream.time_base) if stream.time_base else _NO_TIME_BASE
        record = bytes(context.extradata or b"")
        return StreamKind(self._container.format.name, context.name, record, stream.id, time_base)

    @property
    def nominal_rates(self) -> tuple[Fraction, ...]:
        """The frame rates that the container and FFmpeg believe in, best first."""
        found = (self._stream.average_rate, self._stream.guessed_rate)
        return tuple(Fraction(rate) for rate in found if rate)

    @property
    def time(self) -> int | None:
        """The presentation time of the frame it stands at, in ticks."""
        return None if self._frame is None else self._frame.pts

    def size(self) -> tuple[int, int]:
        """Height and width of the frame it stands at, as shown."""
        assert self._frame is not None
        blank = np.empty((self._frame.height, self._frame.width), np.bool_)
        height, width = _orient(blank, self._frame).shape
        return height, width

    def can_reach(self, index: int) -> bool:  # noqa: D102 -- as the base class says
        return not self.is_stale and (self._omission is not None or index >= self.position)

    def expect(self, indices: Sequence[int], *, no_more: bool) -> None:  # noqa: D102
        if self._omission is not None:
            self._omission.expect(indices, no_more=no_more)

    def advance_to(self, index: int) -> bool:  # noqa: D102
        if self._omission is not None:
            self._follow(self._omission, index)
            return True
        try:
            return self._count_to(index)
        except DamageFound:
            if self._threads == 1:
                raise
        # With several threads FFmpeg tells of damage at other frames: one finds the place.
        self._container.close()
        self.position = -1
        self._open(threads=1)
        return self._count_to(index)

    def image(self) -> Image:  # noqa: D102
        assert self._frame is not None
        # One kept reformatter on one thread: its set-up costs more than the conversion of a small frame.
        rgb: Any = self._reformatter.reformat(self._frame, format="rgb24", **_ONE_THREAD)
        return _orient(_pixels_of(rgb), self._frame)

    def close(self) -> None:  # noqa: D102
        self._frame = None
        self._container.close()

    def __enter__(self) -> "PyavPass":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read_packets(self, *, look_inside: bool) -> PacketFacts | None:
        """Goes through all packets, from the first again; then only an index can lead to a frame.

        None where the first is not found again.
        """
        log = PacketLog(self.kind, look_inside=look_inside)
        self._is_lost = True
        first = self._first_packet
        try:
            if first is not None:
                times = [time for time in first[:2] if time is not None]
                self._container.seek(min(times, default=0), stream=self._stream, backward=True)
            for number, packet in enumerate(self._container.demux(self._stream)):
                if number == 0 and first is not None and _identity(packet) != first:
                    return None
                _note(log, packet)
        except ERRORS as error:
            log.object_to(f"it cannot be read to its end: {reason_of(error)}")  # decoding says where
        return log.finish()

    def _count_to(self, index: int) -> bool:
        """Decodes forward; whether the video reaches this frame."""
        while self.position < index:
            frame = next(self._frames, None)
            if frame is None:
                return False
            self._frame = frame
            self.position += 1
        return True

    def _follow(self, omission: Omission, frame_number: int) -> None:
        """Moves by an index, and holds every frame against it."""
        self._wanted = frame_number
        self._is_lost |= omission.has_missed(frame_number)  # others were expected then
        if not omission.expects(frame_number):
            omission.expect_anything()
        try:
            target = omission.index.find_shortcut(None if self._is_lost else self.position, frame_number)
            if target is not None:
                self._container.seek(target, stream=self._stream, backward=True)
                self._frames = self._whole_frames()
                omission.forget()
                self._is_lost = True
            while self._is_lost or self.position < frame_number:
                self._step(omission)
        except (DamageFound, *ERRORS) as error:
            raise IndexContradicted(reason_of(error)) from error

    def _step(self, omission: Omission) -> None:
        frame = next(self._frames, None)
        if frame is None:
            raise IndexContradicted("it ends early")
        found = omission.index.frame_at(frame.pts)
        if self._is_lost:
            fits = found is not None and found <= self._wanted and omission.index.is_key(found)
        else:
            between = range(self.position + 1, self._wanted)
            missed = list(itertools.takewhile(omission.has_missed, between))
            omission.forget_singles(missed)
            fits = found == self.position + 1 + len(missed)
        if found is None or not fits:
            raise IndexContradicted(f"a frame with time {frame.pts} comes after frame {self.position}")
        self._frame, self.position, self._is_lost = frame, found, False

    def _whole_frames(self) -> Iterator[av.VideoFrame]:
        """The decoder's frames, each once what it may refer to has come out undamaged, too.

        Pictures between two others (B) are decoded after the later one, and shown before it.
        """
        held: list[av.VideoFrame] = []
        size = None
        for frame in self._decoded_frames():
            if frame.is_corrupt:
                raise DamageFound("the decoder marks the frame as corrupt")
            found = frame.width, frame.height
            size = size or found
            if found != size:
                raise DamageFound(
                    f"the picture size changes from {size[0]}x{size[1]} to {found[0]}x{found[1]}; "
                    "re-encode it to one size"
                )
            held.append(frame)
            if frame.pict_type != PictureType.B:
                yield from self._before_damage(held)
                held.clear()
        yield from self._before_damage(held)
        if self._damage is not None:
            raise DamageFound(self._damage.reason)

    def _before_damage(self, frames: list[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        for frame in frames:
            damage = self._damage
            if damage is not None and frame.pts is not None and frame.pts >= damage.time:
                raise DamageFound(damage.reason)
            yield frame

    def _decoded_frames(self) -> Iterator[av.VideoFrame]:
        for packet, is_last in self._packets():
            number = self._frame_number_of(packet)
            if self._omission is not None and number is not None and self._omission.omits(number):
                continue
            if is_last and packet.is_corrupt:
                yield from self._drain(packet, "the last packet is cut off")
                return
            try:
                frames = self._stream.decode(packet)
            except ERRORS as error:
                yield from self._drain(packet, reason_of(error))
                return
            yield from frames

    def _drain(self, damaged: Any, reason: str) -> Iterator[av.VideoFrame]:
        """What the decoder holds when it meets a damaged packet; what is shown before that is good."""
        if damaged.pts is None:
            raise DamageFound(reason)
        met = KnownDamage(damaged.pts, reason)
        self._damage = min(filter(None, (self._damage_ahead, met)))
        try:
            yield from self._stream.decode(None)
        except ERRORS:
            return

    def _frame_number_of(self, packet: Any) -> int | None:
        """By the index, where there is one."""
        return None if self._omission is None else self._omission.index.frame_at(packet.pts)

    def _packets(self) -> Iterator[tuple[Any, bool]]:
        """All packets and an empty one at the end; and whether a packet is the last that holds something."""
        packets = iter(self._container.demux(self._stream))
        packet: Any = None
        while True:
            try:
                following = next(packets, None)
            except ERRORS as error:
                if packet is not None:
                    yield packet, False
                raise DamageFound(reason_of(error)) from error
            if packet is not None:
                self._first_packet = self._first_packet or _identity(packet)
                yield packet, following is None or following.size == 0
            if following is None:
                return
            packet = following


def _identity(packet: Any) -> tuple[int | None, int | None, int]:
    return packet.pts, packet.dts, packet.size


def _note(log: PacketLog, packet: Any) -> None:
    if packet.size == 0:
        return
    if packet.is_discard:
        log.object_to("an edit list leaves packets out")
        return
    if packet.is_corrupt:
        log.object_to("a packet is marked as damaged")
    data = bytes(packet) if log.wants_data else None
    log.add(packet.pts, packet.dts, is_key=packet.is_keyframe, data=data, size=packet.size)


def _pixels_of(rgb: Any) -> Image:
    """(H, W, 3) without a copy: its rows may lie apart. It keeps the frame alive."""
    plane = rgb.planes[0]
    return np.ndarray((rgb.height, rgb.width, 3), np.uint8, plane, strides=(plane.line_size, 3, 1))


def _orient(image: NDArray[Any], frame: av.VideoFrame) -> NDArray[Any]:
    """Turns and mirrors as the frame's display matrix says; then in memory of its own, as torch needs it."""
    # frame.side_data refers back to the frame, which would keep its pixels until garbage is collected.
    side_data: Any
    for side_data in SideDataContainer(frame):  # type: ignore[call-arg]  # missing in its stub
        if side_data.type.name == "DISPLAYMATRIX":
            a, b, _, c, d = np.frombuffer(bytes(side_data), "<i4")[:5].tolist()
            return np.ascontiguousarray(oriented(image, (a, b, c, d)))
    return image
