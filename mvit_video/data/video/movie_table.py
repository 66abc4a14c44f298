"""The packets of an mp4 or mov file by its sample tables, without reading the packets.

A demuxer takes 5 microseconds per packet; these tables are arrays already. Only plain movies are read here:
for what is fragmented, compressed, spread over files or contradicts itself there is the demuxer.

Source: ISO/IEC 14496-12 (ISO base media file format), 8.2 to 8.8.
"""

import struct
from fractions import Fraction
from typing import BinaryIO, NamedTuple

import numpy as np

from mvit_video.data.video.packets import Integers, PacketTable

_LONGEST_MOVIE_HEADER = 1 << 28  # bytes
_FULL = 4  # bytes of version and flags at the beginning of most boxes
_NUMBER, _HEADER = struct.Struct(">I"), struct.Struct(">I4s")  # of a box: its size and kind


class MovieTable(NamedTuple):
    """A packet table (times as the file has them) and where each packet lies in the file, in bytes."""

    packets: PacketTable
    places: Integers


class _Unreadable(Exception):  # noqa: N818 -- for this reader only
    """Not a plain movie."""


def read_movie_table(file: BinaryIO, track: int) -> MovieTable | None:
    """The packets of the track with this number; None where this is not a plain movie."""
    try:
        movie = _find_movie(file)
        if movie.find(b"mvex") is not None or movie.find(b"cmov") is not None:
            return None
        header = movie.need(b"mvhd")
        movie_scale = _number(header, 4 + _by_version(header, 8, 16))
        for box in movie.all(b"trak"):
            boxes = _Boxes(box)
            header = boxes.need(b"tkhd")
            if _number(header, 4 + _by_version(header, 8, 16)) == track:
                file_size = file.seek(0, 2)
                return _read_track(boxes, movie_scale, file_size)
    except (_Unreadable, struct.error, ValueError, IndexError, ArithmeticError):
        return None
    return None


def _read_track(track: "_Boxes", movie_scale: int, file_size: int) -> MovieTable:
    media = _Boxes(track.need(b"mdia"))
    header = media.need(b"mdhd")
    scale = _number(header, 4 + _by_version(header, 8, 16))
    tables = _Boxes(_Boxes(media.need(b"minf")).need(b"stbl"))
    sizes = _read_sizes(tables.need(b"stsz"), file_size)
    count = len(sizes)
    dts = _read_decoding_times(tables.need(b"stts"), count)
    offsets, shift = _read_offsets(tables.find(b"ctts"), count)
    is_key = _read_keys(tables.find(b"stss"), count)
    places = _read_places(tables, sizes)
    pts = dts + offsets
    problem = None
    if _number_of(tables.need(b"stsd")) != 1:
        problem = "its codec changes"
    elif any(tables.all(kind) for kind in (b"stps", b"sbgp", b"sgpd")):
        problem = "its key packets are of several kinds"
    elif count and int((places + sizes).max()) > file_size:
        problem = "the file is cut off"
    else:
        problem = _find_edit(track, pts, Fraction(scale, movie_scale))
    table = PacketTable(pts, dts - shift, sizes, is_key, Fraction(1, scale), problem)
    return MovieTable(table, places)


def _find_edit(track: "_Boxes", pts: Integers, scale: Fraction) -> str | None:
    """What an edit list changes, if anything: the usual one only says where the first picture is."""
    edits = track.find(b"edts")
    entries = None if edits is None else _Boxes(edits).find(b"elst")
    if entries is None or _number_of(entries) == 0:
        return None
    if _number_of(entries) > 1:
        return "it has an edit list"
    width = 8 if entries[0] == 1 else 4
    duration, start = np.frombuffer(entries, f">i{width}", 2, 8).tolist()
    rate = bytes(entries[8 + 2 * width : 12 + 2 * width])
    if rate != b"\0\1\0\0" or start < 0 or start > pts.min() or start + duration * scale <= pts.max():
        return "an edit list leaves packets out"
    return None


def _read_sizes(box: memoryview, file_size: int) -> Integers:
    size, count = _numbers(box, _FULL, 2).tolist()
    if count * max(size, 1) > file_size:
        raise _Unreadable
    return np.full(count, size, np.int64) if size else _numbers(box, _FULL + 8, count)


def _read_decoding_times(box: memoryview, count: int) -> Integers:
    steps = _unroll(_pairs(box), count)
    return np.concatenate([[0], np.cumsum(steps[:-1])]).astype(np.int64)[:count]


def _read_offsets(box: memoryview | None, count: int) -> tuple[Integers, int]:
    """From decoding to presentation time; and by how much earlier FFmpeg decodes, so that none is below 0."""
    if box is None:
        return np.zeros(count, np.int64), 0
    offsets = _unroll(_pairs(box), count).astype(np.int32).astype(np.int64)
    return offsets, max(0, -int(offsets.min(initial=0)))


def _unroll(runs: Integers, count: int) -> Integers:
    """The values of runs of (length, value), which give so many together."""
    if int(runs[:, 0].sum()) != count:
        raise _Unreadable
    return np.repeat(runs[:, 1], runs[:, 0])


def _read_keys(box: memoryview | None, count: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    if box is None:
        return np.ones(count, np.bool_)
    is_key = np.zeros(count, np.bool_)
    is_key[_numbers(box, _FULL + 4, _number_of(box)) - 1] = True
    return is_key


def _read_places(tables: "_Boxes", sizes: Integers) -> Integers:
    """Where samples lie: those of a chunk follow each other."""
    box = tables.find(b"stco")
    if box is not None:
        chunks = _numbers(box, _FULL + 4, _number_of(box))
    else:
        box = tables.need(b"co64")
        chunks = np.frombuffer(box, ">i8", _number_of(box), 8).astype(np.int64)
    box = tables.need(b"stsc")
    runs = _numbers(box, _FULL + 4, 3 * _number_of(box)).reshape(-1, 3)
    if np.any(runs[:, 2] != 1) or len(runs) == 0 or runs[0, 0] != 1:
        raise _Unreadable
    lengths = np.diff(runs[:, 0], append=len(chunks) + 1)
    samples = np.repeat(runs[:, 1], lengths)  # of each chunk
    if samples.sum() != len(sizes):
        raise _Unreadable
    firsts = np.cumsum(samples) - samples
    before = np.cumsum(sizes) - sizes
    places: Integers = before + np.repeat(chunks - before[np.minimum(firsts, len(sizes) - 1)], samples)
    return places


def _find_movie(file: BinaryIO) -> "_Boxes":
    """What is in the moov box, of a file that is not fragmented."""
    file_size = file.seek(0, 2)
    place, movie = 0, None
    while place + 8 <= file_size:
        file.seek(place)
        header = file.read(16)
        size, kind = int.from_bytes(header[:4], "big"), header[4:8]
        body = 8
        if size == 1:
            size, body = int.from_bytes(header[8:16], "big"), 16
        elif size == 0:
            size = file_size - place
        if size < body or kind == b"moof":
            raise _Unreadable
        if kind == b"moov" and movie is None:
            if size > min(_LONGEST_MOVIE_HEADER, file_size - place):
                raise _Unreadable
            file.seek(place + body)
            movie = memoryview(file.read(size - body))
        place += size
    if movie is None:
        raise _Unreadable
    return _Boxes(movie)


class _Boxes:
    """What a box is made of, by kind; raises _Unreadable where the sizes do not add up."""

    def __init__(self, data: memoryview) -> None:
        self._found: dict[bytes, list[memoryview]] = {}
        place, end = 0, len(data)
        while place + 8 <= end:
            size, kind = _HEADER.unpack_from(data, place)
            if size < 8 or place + size > end:
                raise _Unreadable
            self._found.setdefault(kind, []).append(data[place + 8 : place + size])
            place += size

    def all(self, kind: bytes) -> list[memoryview]:
        """All boxes of a kind, in the order of the file."""
        return self._found.get(kind, [])

    def find(self, kind: bytes) -> memoryview | None:
        """The only box of a kind, or None."""
        found = self.all(kind)
        if len(found) > 1:
            raise _Unreadable
        return found[0] if found else None

    def need(self, kind: bytes) -> memoryview:
        """The only box of a kind."""
        found = self.find(kind)
        if found is None:
            raise _Unreadable
        return found


def _by_version(box: memoryview, short: int, long: int) -> int:
    return long if box[0] == 1 else short


def _number(box: memoryview, place: int) -> int:
    number: int = _NUMBER.unpack_from(box, place)[0]
    return number


def _number_of(box: memoryview) -> int:
    return _number(box, _FULL)


def _numbers(box: memoryview, place: int, count: int) -> Integers:
    return np.frombuffer(box, ">u4", count, place).astype(np.int64)


def _pairs(box: memoryview) -> Integers:
    return _numbers(box, _FULL + 4, 2 * _number_of(box)).reshape(-1, 2)
