"""What the packets of a VP9 stream say about their pictures, from their frame headers alone.

A packet holds a frame, or several and an index at its end ("superframe"); frames that are not shown only
serve others. All packets of a stretch of the file are looked at together.

Source: VP9 Bitstream & Decoding Process Specification 0.6, 6.2 (uncompressed header), Annex B (superframes).
"""

from typing import NamedTuple

import numpy as np

from mvit_video.data.video.bitstreams import BitstreamProblem, Bytes, ManyBits, take_headers
from mvit_video.data.video.packets import Flags, Integers, Pictures

_MOST_FRAMES = 8  # of one packet
_SYNC_CODE = 0x498342
_RGB = 7  # colour space


class _Frames(NamedTuple):
    """The frames of some packets."""

    packet: Integers
    is_shown: Flags
    is_key: Flags


class Vp9Pictures:
    """Collects what packets say, stretch by stretch of the file."""

    def __init__(self) -> None:
        self._num_packets = 0
        self._found: list[_Frames] = []
        self._size: tuple[int, ...] | None = None

    def add(self, data: Bytes, starts: Integers, sizes: Integers) -> None:
        """Takes the next packets, which lie in ``data``.

        Raises:
            BitstreamProblem: They are broken, or of a kind that nothing is proven about.
        """
        packets, places = _split(data, starts, sizes)
        frames, sizes_M2 = _read_frames(data, packets, places)
        for size in map(tuple, np.unique(sizes_M2, axis=0).tolist()):
            self._size = self._size or size
            if size != self._size:
                raise BitstreamProblem("the picture size changes")
        self._found.append(frames._replace(packet=packets + self._num_packets))
        self._num_packets += len(starts)

    def finish(self) -> Pictures:
        """What all packets say together."""
        frames = _Frames(*(np.concatenate(arrays) for arrays in zip(*self._found, strict=True)))
        shown = np.bincount(frames.packet[frames.is_shown], minlength=self._num_packets)
        firsts = np.flatnonzero(np.diff(frames.packet, prepend=-1))
        is_reset = (frames.is_key & frames.is_shown)[firsts]
        numbers = np.arange(self._num_packets)
        order = numbers - np.maximum.accumulate(np.where(is_reset, numbers, 0))
        unknown = np.ones_like(is_reset)
        return Pictures(shown, is_reset, unknown, unknown, order, 0, is_numbered=False)


def _split(data: Bytes, starts: Integers, sizes: Integers) -> tuple[Integers, Integers]:
    """Of every frame its packet and where it begins, packet by packet."""
    if np.any(sizes < 1):
        raise BitstreamProblem("a packet is empty")
    ends = starts + sizes
    markers = data[ends - 1].astype(np.int64)
    counts, width = (markers & 7) + 1, (markers >> 3 & 3) + 1
    index_starts = ends - 2 - counts * width
    is_super = (markers >> 5 == 6) & (index_starts >= starts)
    is_super &= data[np.maximum(index_starts, 0)] == markers
    counts = np.where(is_super, counts, 1)
    packets, places, place = [], [], starts
    for number in range(_MOST_FRAMES):
        has = counts > number
        packets.append(np.flatnonzero(has))
        places.append(place[has])
        lengths = np.zeros_like(sizes)
        for byte in range(4):
            at = index_starts + 1 + number * width + byte
            value = data[np.clip(at, 0, len(data) - 1)].astype(np.int64) << 8 * byte
            lengths += np.where(has & is_super & (byte < width), value, 0)
        if np.any(has & is_super & (lengths == 0)):
            raise BitstreamProblem("a packet is broken")
        place = place + lengths
    if np.any(is_super & (place != index_starts)):
        raise BitstreamProblem("a packet is broken")
    order = np.argsort(np.concatenate(packets), kind="stable")
    return np.concatenate(packets)[order], np.concatenate(places)[order]


def _read_frames(data: Bytes, packets: Integers, places: Integers) -> tuple[_Frames, Integers]:
    """The frames, and the (height, width) of those that say theirs."""
    bits = ManyBits(take_headers(data, places))
    if np.any(bits.read(2) != 2):
        raise BitstreamProblem("a frame is broken")
    profile = bits.read(1) + 2 * bits.read(1)
    if np.any(profile > 1):
        raise BitstreamProblem("it has more than 8 bits")
    shows_other = bits.read(1) == 1
    is_key = (bits.read(1) == 0) & ~shows_other
    is_shown = (bits.read(1) == 1) | shows_other
    is_robust = bits.read(1) == 1
    is_intra = (bits.read(1, ~is_key & ~is_shown) == 1) & ~shows_other
    is_inter = ~is_key & ~is_intra & ~shows_other
    bits.read(2, ~is_key & ~shows_other & ~is_robust)  # which contexts to reset
    is_coded = is_key | is_intra
    if np.any(is_coded & (bits.read(24, is_coded) != _SYNC_CODE)):
        raise BitstreamProblem("a frame is broken")
    has_colours = is_key | (is_intra & (profile > 0))
    is_rgb = (bits.read(3, has_colours) == _RGB) & has_colours
    bits.read(1, has_colours & ~is_rgb)
    bits.read(2, has_colours & ~is_rgb & (profile == 1))
    bits.read(1, has_colours & (profile == 1))
    bits.read(8, ~is_key & ~shows_other)  # which references to refresh
    is_like_other = np.zeros_like(is_key)
    bits.read(12, is_inter)  # which references to use
    for _ in range(3):
        is_like_other |= bits.read(1, is_inter & ~is_like_other) == 1
    says_size = is_coded | (is_inter & ~is_like_other)
    width, height = bits.read(16), bits.read(16)
    return _Frames(packets, is_shown, is_key), np.stack([height, width], axis=1)[says_size]
