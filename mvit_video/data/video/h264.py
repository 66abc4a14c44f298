"""What the packets of an H.264 stream say about their pictures, from their slice headers alone.

All packets of a stretch of the file are looked at together. Pictures are counted by their first slice,
missing reference pictures show as gaps in frame_num, and the order of output is the picture order count.

Source: ITU-T H.264, 7.3.1 (NAL units), 7.3.3 (slice headers), 7.4.3 (frame_num), 8.2.1 (picture order count).
"""

from typing import Any, NamedTuple

import numpy as np

from mvit_video.data.video.bitstreams import HEADER_BYTES, BitstreamProblem, Bytes, ManyBits, take_headers
from mvit_video.data.video.h264_parameters import Parameters, read_parameters
from mvit_video.data.video.packets import Flags, Integers, Pictures

_MOST_UNITS = 256  # of one packet; streams of real encoders have a handful
_SLICE, _IDR_SLICE, _MESSAGE, _DELIMITER, _FILLER = 1, 5, 6, 9, 12
_PARAMETER_SETS = (7, 8)
_ONES, _HIGHS = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_BYTE = np.uint64(8)  # bits
_RECOVERY_POINT = 6  # type of a message: from here on pictures get whole again, without an IDR picture


class _Units(NamedTuple):
    """The NAL units of some packets: ``start`` is where their header byte lies."""

    packet: Integers
    start: Integers
    length: Integers


class _Slices(NamedTuple):
    """The slices of some packets."""

    packet: Integers
    is_first: Flags
    is_idr: Flags
    is_reference: Flags
    frame_num: Integers
    order_low: Integers


class H264Pictures:
    """Collects what packets say, stretch by stretch of the file."""

    def __init__(self, record: bytes) -> None:
        """Begins with the stream's parameters; raises BitstreamProblem as ``read_parameters`` does."""
        self._parameters = read_parameters(record)
        self._num_packets = 0
        self._found: list[_Slices] = []

    def add(self, data: Bytes, starts: Integers, sizes: Integers) -> None:
        """Takes the next packets, which lie in ``data``.

        Raises:
            BitstreamProblem: They are broken, or of a kind that nothing is proven about.
        """
        units = _split(data, starts, sizes, self._parameters.prefix_bytes)
        kinds: Bytes = data[units.start] & np.uint8(31)
        if np.any(data[units.start] & 128):
            raise BitstreamProblem("a NAL unit is broken")
        is_slice = (kinds == _SLICE) | (kinds == _IDR_SLICE)
        for kind in set(kinds[~is_slice].tolist()):
            self._check_other(data, units, kinds, kind)
        chosen = _Units(*(array[is_slice] for array in units))
        slices = _read_slices(data, chosen, self._parameters)
        self._found.append(slices._replace(packet=slices.packet + self._num_packets))
        self._num_packets += len(starts)

    def finish(self) -> Pictures:
        """What all packets say together."""
        slices = _pick(self._found)
        shown = np.bincount(slices.packet[slices.is_first], minlength=self._num_packets)
        firsts = np.flatnonzero(np.diff(slices.packet, prepend=-1))
        problem = self._find_mixture(slices, firsts)
        if problem:
            none = np.zeros(self._num_packets, np.bool_)
            return Pictures(shown, none, none, none, shown, None, problem=problem)
        heads = _pick([slices], firsts)
        before = _last_reference_before(heads)
        order = self._output_order(heads, before)
        is_counted = self._parameters.order_bits is not None
        return Pictures(
            shown,
            heads.is_idr,
            _follows(heads, before, 1 << self._parameters.frame_num_bits),
            _counts_on(heads, order) if is_counted else np.ones_like(heads.is_idr),
            order,
            self._parameters.max_reordering,
            is_numbered=is_counted or bool(np.all(heads.is_reference)),
            is_disposable=~heads.is_reference,
        )

    def _find_mixture(self, slices: _Slices, firsts: Integers) -> str | None:
        """Why the slices of each packet are not those of one picture, if so."""
        if not np.array_equal(slices.packet[firsts], np.arange(self._num_packets)):
            return "a packet has no picture"
        head = np.repeat(firsts, np.diff(firsts, append=len(slices.packet)))
        for array in (slices.is_idr, slices.is_reference, slices.frame_num, slices.order_low):
            if np.any(array != array[head]):
                return "a packet mixes pictures"
        if not np.all(slices.is_first[firsts]):
            return "a picture does not begin at its beginning"
        if np.any(slices.is_idr & ~slices.is_reference):
            return "a NAL unit is broken"
        return None

    def _output_order(self, heads: _Slices, before: Integers) -> Integers:
        """The picture order count, from each IDR picture on; or the order of decoding where there is none."""
        numbers = np.arange(self._num_packets)
        reset = np.maximum.accumulate(np.where(heads.is_idr, numbers, 0))
        if self._parameters.order_bits is None:
            return numbers - reset
        full = 1 << self._parameters.order_bits
        half = full // 2
        step = (heads.order_low - heads.order_low[before] + half - 1) % full - half + 1
        steps_of_references = np.cumsum(np.where(heads.is_reference & ~heads.is_idr, step, 0))
        order = steps_of_references - steps_of_references[reset] + heads.order_low[reset]
        found: Integers = np.where(heads.is_reference, order, order[before] + step)
        return found

    def _check_other(self, data: Bytes, units: _Units, kinds: Bytes, kind: int) -> None:
        """Units that are no slices: those that change how pictures come out are not welcome."""
        if kind in (_DELIMITER, _FILLER):
            return
        chosen = np.flatnonzero(kinds == kind)
        if kind in _PARAMETER_SETS:
            spans = zip(units.start[chosen].tolist(), units.length[chosen].tolist(), strict=True)
            for start, length in spans:
                if data[start : start + length].tobytes() not in self._parameters.units:
                    raise BitstreamProblem("the codec's parameters change within the stream")
        elif kind == _MESSAGE:
            chosen = chosen[units.length[chosen] > 1]
            found = units.packet[chosen[data[units.start[chosen] + 1] == _RECOVERY_POINT]]
            if not np.all(np.isin(found, units.packet[kinds == _IDR_SLICE])):
                raise BitstreamProblem("it has recovery points that are no IDR pictures")
        else:
            raise BitstreamProblem(f"it has NAL units of type {kind}")


def _split(data: Bytes, starts: Integers, sizes: Integers, prefix_bytes: int) -> _Units:
    """All units of all packets, packet by packet."""
    ends = starts + sizes
    packets = np.flatnonzero(sizes >= 0)
    places = starts
    found: list[_Units] = []
    num_places = max(0, len(data) - prefix_bytes + 1)
    prefixes = np.ndarray((num_places,), f">u{prefix_bytes}", data, strides=(1,))  # what each begins with
    while len(packets):
        if len(found) == _MOST_UNITS or np.any(places + prefix_bytes >= ends[packets]):
            raise BitstreamProblem("a packet is broken")
        lengths = prefixes[places].astype(np.int64)
        places = places + prefix_bytes
        found.append(_Units(packets, places, lengths))
        places = places + lengths
        left = ends[packets] - places
        if np.any(lengths == 0) or np.any(left < 0):
            raise BitstreamProblem("a packet is broken")
        packets, places = packets[left > 0], places[left > 0]
    units = _Units(*(np.concatenate(arrays) for arrays in zip(*found, strict=True)))
    order = np.argsort(units.packet, kind="stable")
    return _Units(*(array[order] for array in units))


def _read_slices(data: Bytes, units: _Units, parameters: Parameters) -> _Slices:
    kinds = data[units.start]
    is_idr = (kinds & 31) == _IDR_SLICE
    headers = take_headers(data, units.start + 1)
    _unescape_all(headers)
    bits = ManyBits(headers)
    first_block = bits.read_golomb()
    slice_type = bits.read_golomb() % 5
    set_number = bits.read_golomb()
    frame_num = bits.read(parameters.frame_num_bits)
    idr_number = bits.read_golomb(is_idr)
    order_low = np.zeros_like(frame_num)
    if parameters.order_bits is not None:
        order_low = bits.read(parameters.order_bits)
        if parameters.has_bottom_order:
            bits.read_golomb()
    forgets_output = bits.read(1, is_idr)
    if min(map(_least, (first_block, set_number, idr_number))) < 0 or np.any(slice_type > 2):
        raise BitstreamProblem("a slice is broken, or of an unusual kind")
    if np.any(is_idr & (slice_type != 2)) or np.any(forgets_output):
        raise BitstreamProblem("an IDR picture is unusual")
    return _Slices(units.packet, first_block == 0, is_idr, (kinds & 96) != 0, frame_num, order_low)


def _unescape_all(headers_MK: Bytes) -> None:
    """``unescape`` for many headers, in place; whole words tell at once which may have two zero bytes."""
    words_2M = np.ascontiguousarray(headers_MK.view(np.uint64).T)
    first_M, second_M = (words_2M - _ONES) & ~words_2M & _HIGHS  # a bit for each zero byte
    is_pair_M = (first_M & first_M << _BYTE) | (second_M & second_M << _BYTE)
    rows = np.flatnonzero((is_pair_M != 0) | ((first_M != 0) & (second_M != 0)))
    columns = np.arange(HEADER_BYTES)
    since = np.zeros(len(rows), np.int64)  # a zero belongs to one escape only
    while len(rows):
        part = headers_MK[rows]
        is_zero = part == 0
        escapes = is_zero[:, :-2] & is_zero[:, 1:-1] & (part[:, 2:] == 3) & (columns[:-2] >= since[:, None])
        has_escape = escapes.any(axis=1)
        rows, since = rows[has_escape], escapes[has_escape].argmax(axis=1) + 2
        sources = np.minimum(columns + (columns >= since[:, None]), HEADER_BYTES - 1)
        headers_MK[rows] = np.take_along_axis(part[has_escape], sources, axis=1)
        headers_MK[rows, -1] = 0


def _pick(slices: list[_Slices], which: Integers | None = None) -> _Slices:
    """All of them, or those in these places."""
    arrays: list[Any] = [np.concatenate(parts) for parts in zip(*slices, strict=True)]
    return _Slices(*(array if which is None else array[which] for array in arrays))


def _least(values: Integers) -> int:
    return int(values.min(initial=0))


def _last_reference_before(heads: _Slices) -> Integers:
    """Which packet's picture was the last before each that others refer to (the first packet: itself)."""
    numbers = np.arange(len(heads.packet))
    latest = np.maximum.accumulate(np.where(heads.is_reference, numbers, 0))
    return np.concatenate([latest[:1], latest[:-1]])


def _counts_on(heads: _Slices, order: Integers) -> Flags:
    """Whether the order count goes on from picture to picture by the same step, 1 or 2."""
    group = np.cumsum(heads.is_idr)
    shown = np.argsort(group << 32 | order + (1 << 31), kind="stable")  # nearly in order: stable is fast
    steps = np.diff(order[shown])
    is_within = np.diff(group[shown]) == 0
    usual = steps[is_within].min(initial=2)
    counts_on = np.ones(len(order), np.bool_)
    counts_on[shown[1:]] = ~is_within | (steps == usual)
    return counts_on


def _follows(heads: _Slices, before: Integers, num_frames: int) -> Flags:
    """Whether each picture's number follows from the last reference picture's: none is missing."""
    expected = (heads.frame_num[before] + 1) % num_frames
    follows: Flags = np.where(heads.is_idr, heads.frame_num == 0, heads.frame_num == expected)
    return follows
