"""Finds the facts of a file's packets: from a movie's tables, or from packets as a demuxer gives them.

Bytes are looked at in stretches, so that memory does not grow with the file.
"""

from dataclasses import replace
from fractions import Fraction
from typing import BinaryIO, NamedTuple, Protocol

import numpy as np

from mvit_video.data.video.bitstreams import BitstreamProblem, Bytes
from mvit_video.data.video.h264 import H264Pictures
from mvit_video.data.video.movie_table import MovieTable, read_movie_table
from mvit_video.data.video.packets import Integers, KnownDamage, PacketFacts, PacketTable, Pictures
from mvit_video.data.video.trust import MOVIE
from mvit_video.data.video.vp9 import Vp9Pictures

_STRETCH_BYTES = 1 << 22
_LONG_AGO = 1 << 62  # before all times


class StreamKind(NamedTuple):
    """What a container says about a stream.

    Attributes:
        container: FFmpeg's name of the container format.
        codec: FFmpeg's name of the codec.
        record: The codec's parameters.
        track: The number of the stream in its container.
        time_base: Seconds per tick.
    """

    container: str
    codec: str
    record: bytes
    track: int
    time_base: Fraction


class PictureCollector(Protocol):
    """Takes packets, stretch by stretch, and says what they show."""

    def add(self, data: Bytes, starts: Integers, sizes: Integers) -> None:
        """Takes the next packets, which lie in ``data``."""

    def finish(self) -> Pictures:
        """What all packets say together."""


def look_into_movie(file: BinaryIO, kind: StreamKind, first_time: int | None) -> PacketFacts | None:
    """The facts of a plain movie, which needs no demuxer; None where this is none.

    Where its tables have a problem, nobody looks into its packets.

    Args:
        file: The whole file.
        kind: The stream.
        first_time: The first frame's presentation time: edit lists move all times.
    """
    movie = read_movie_table(file, kind.track)
    if movie is None or len(movie.packets) == 0 or first_time is None:
        return None
    if movie.packets.time_base != kind.time_base:
        return None
    shift = first_time - int(movie.packets.pts.min())
    table = replace(movie.packets, pts=movie.packets.pts + shift, dts=movie.packets.dts + shift)
    is_missing = movie.places + table.sizes > file.seek(0, 2)
    if np.any(is_missing):
        damage = KnownDamage(int(table.pts[is_missing].min()), str(table.problem))
        return PacketFacts(kind.container, kind.codec, table, None, damage)
    if table.problem:
        return PacketFacts(kind.container, kind.codec, table, None)
    try:
        pictures = _look_into_samples(file, movie, kind)
    except BitstreamProblem as problem:
        pictures = _unknown(len(table), str(problem))
    return PacketFacts(kind.container, kind.codec, table, pictures)


class PacketLog:
    """Takes packets one after the other, and says what they are worth."""

    def __init__(self, kind: StreamKind, *, look_inside: bool) -> None:
        """Begins; the packets' bytes are only looked at on demand."""
        self._kind = kind
        self._rows: list[tuple[int, int, int, bool]] = []
        self._problem: str | None = None
        self._unread: str | None = None
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._collector: PictureCollector | None = None
        if look_inside:
            try:
                self._collector = _collector_for(kind)
            except BitstreamProblem as problem:
                self._unread = str(problem)

    def add(self, pts: int | None, dts: int | None, *, is_key: bool, data: bytes | None, size: int) -> None:
        """Takes the next packet; ``data`` is only needed if ``wants_data``."""
        if pts is None or (dts is None and self._kind.container == MOVIE):
            self.object_to("a packet has no time")
        before = self._rows[-1] if self._rows else (0, -_LONG_AGO, 0, False)
        dts = before[1] if dts is None else dts  # Matroska has none, FFmpeg's guesses begin late
        time = pts if pts is not None else dts if dts > -_LONG_AGO else before[0]
        self._rows.append((time, dts, size, is_key))
        if data is not None and self._collector is not None:
            self._held.append(data)
            self._held_bytes += size
            if self._held_bytes >= _STRETCH_BYTES:
                self._hand_over()

    @property
    def wants_data(self) -> bool:
        """Whether the next packet's bytes will be looked at."""
        return self._collector is not None

    def object_to(self, problem: str) -> None:
        """Notes what makes the packets unreliable."""
        self._problem = self._problem or problem

    def finish(self) -> PacketFacts:
        """What all packets say together."""
        if self._held:
            self._hand_over()
        pts, dts, sizes, keys = np.array(self._rows, np.int64).reshape(-1, 4).T
        table = PacketTable(pts, dts, sizes, keys != 0, self._kind.time_base, self._problem)
        pictures = None
        if self._unread is not None:
            pictures = _unknown(len(table), self._unread)
        elif self._collector is not None and len(table):
            pictures = self._collector.finish()
        return PacketFacts(self._kind.container, self._kind.codec, table, pictures)

    def _hand_over(self) -> None:
        sizes = np.array([len(packet) for packet in self._held], np.int64)
        data = np.frombuffer(b"".join(self._held), np.uint8)
        self._held.clear()
        self._held_bytes = 0
        if self._collector is None:
            return
        try:
            self._collector.add(data, np.cumsum(sizes) - sizes, sizes)
        except BitstreamProblem as problem:
            self._unread = str(problem)
            self._collector = None


def _collector_for(kind: StreamKind) -> PictureCollector | None:
    if kind.codec == "h264":
        return H264Pictures(kind.record)
    return Vp9Pictures() if kind.codec == "vp9" else None


def _unknown(num_packets: int, problem: str) -> Pictures:
    none, zeros = np.zeros(num_packets, np.bool_), np.zeros(num_packets, np.int64)
    return Pictures(zeros, none, none, none, zeros, None, problem=problem)


def _look_into_samples(file: BinaryIO, movie: MovieTable, kind: StreamKind) -> Pictures:
    collector = _collector_for(kind)
    places, sizes = movie.places, movie.packets.sizes
    ends = places + sizes
    if collector is None or np.any(places[1:] < ends[:-1]) or np.any(sizes < 1):
        raise BitstreamProblem("its packets do not lie in the order of decoding")
    start = 0
    while start < len(places):
        stop = max(start + 1, int(np.searchsorted(ends, places[start] + _STRETCH_BYTES, side="right")))
        file.seek(int(places[start]))
        data = np.frombuffer(file.read(int(ends[stop - 1] - places[start])), np.uint8)
        if len(data) < ends[stop - 1] - places[start]:
            raise BitstreamProblem("the file is cut off")
        collector.add(data, places[start:stop] - places[start], sizes[start:stop])
        start = stop
    return collector.finish()
