"""The parameter sets of an H.264 stream: what is needed to read its slice headers.

Source: ITU-T H.264, 7.3.2.1 (sequence), 7.3.2.2 (picture), E.1 (usability information); ISO/IEC 14496-15 for
the record they come in.
"""

from dataclasses import dataclass

from mvit_video.data.video.bitstreams import Bits, BitstreamProblem

_PROFILES_WITH_CHROMA = {44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244}
_CHROMA_444 = 3
_OWN_SHAPE = 255  # aspect_ratio_idc that says its numbers
_MOST_REORDERED = 16


@dataclass(frozen=True)
class Parameters:
    """What an H.264 stream says about itself.

    Attributes:
        prefix_bytes: Size of the length before each NAL unit.
        frame_num_bits: Size of frame_num; reference pictures are counted modulo 2 to this.
        order_bits: Size of the picture order count's low part; None where the order is that of decoding.
        has_bottom_order: Whether slices give the bottom field's order, too.
        max_reordering: How many pictures can be waiting for an earlier one; None if it is not said.
        units: The parameter sets themselves.
    """

    prefix_bytes: int
    frame_num_bits: int
    order_bits: int | None
    has_bottom_order: bool
    max_reordering: int | None
    units: frozenset[bytes]


def read_parameters(record: bytes) -> Parameters:
    """Parses the decoder configuration record that mp4 and Matroska hold ("avcC").

    Raises:
        BitstreamProblem: It is broken, or describes a stream of a kind that nothing is proven about.
    """
    if len(record) < 7 or record[0] != 1:
        raise BitstreamProblem("the codec's parameters are not kept in the container")
    prefix_bytes = (record[4] & 3) + 1
    if prefix_bytes == 3:
        raise BitstreamProblem("its packets are cut up in an unusual way")  # not allowed by ISO/IEC 14496-15
    sequences, place = _units(record, 6, record[5] & 31)
    if len(sequences) != 1 or place >= len(record):
        raise BitstreamProblem("it does not have exactly one sequence parameter set")
    pictures, _ = _units(record, place + 1, record[place])
    if not pictures:
        raise BitstreamProblem("it has no picture parameter set")
    has_bottom_order = {_read_picture_set(unit) for unit in pictures}
    if len(has_bottom_order) != 1:
        raise BitstreamProblem("its picture parameter sets differ")
    frame_num_bits, order_bits, max_reordering = _read_sequence_set(sequences[0])
    return Parameters(
        prefix_bytes,
        frame_num_bits,
        order_bits,
        has_bottom_order.pop(),
        max_reordering,
        frozenset([*sequences, *pictures]),
    )


def unescape(data: bytes) -> bytes:
    """Leaves out the bytes that keep start codes from appearing within a NAL unit (7.4.1)."""
    return data.replace(b"\0\0\3", b"\0\0")


def _units(record: bytes, place: int, count: int) -> tuple[list[bytes], int]:
    units = []
    for _ in range(count):
        length = int.from_bytes(record[place : place + 2], "big")
        units.append(record[place + 2 : place + 2 + length])
        place += 2 + length
    if any(len(unit) < 4 for unit in units) or place > len(record):
        raise BitstreamProblem("the codec's parameters are cut off")
    return units, place


def _read_picture_set(unit: bytes) -> bool:
    """Whether slices give the bottom field's order; the rest is checked."""
    bits = Bits(unescape(unit[1:]))
    bits.read_golomb(), bits.read_golomb(), bits.read(1)
    has_bottom_order = bool(bits.read(1))
    if bits.read_golomb():
        raise BitstreamProblem("it has slice groups")
    bits.read_golomb(), bits.read_golomb(), bits.read(3)
    bits.read_golomb(), bits.read_golomb(), bits.read_golomb(), bits.read(2)
    if bits.read(1):
        raise BitstreamProblem("it has redundant pictures")
    return has_bottom_order


def _read_sequence_set(unit: bytes) -> tuple[int, int | None, int | None]:
    """frame_num_bits, order_bits, max_reordering."""
    bits = Bits(unescape(unit[1:]))
    profile = bits.read(8)
    bits.read(16), bits.read_golomb()
    if profile in _PROFILES_WITH_CHROMA:
        _skip_chroma(bits)
    frame_num_bits = bits.read_golomb() + 4
    order_type = bits.read_golomb()
    if order_type not in (0, 2):
        raise BitstreamProblem(f"its pictures are ordered in way {order_type}")
    order_bits = bits.read_golomb() + 4 if order_type == 0 else None
    if max(frame_num_bits, order_bits or 0) > 16:
        raise BitstreamProblem("its sequence parameter set is broken")
    bits.read_golomb()
    if bits.read(1):
        raise BitstreamProblem("it may leave out pictures (gaps in frame_num are allowed)")
    bits.read_golomb(), bits.read_golomb()
    if not bits.read(1):
        raise BitstreamProblem("it may be interlaced")
    bits.read(1)
    if bits.read(1):  # cropping
        for _ in range(4):
            bits.read_golomb()
    return frame_num_bits, order_bits, _read_reordering(bits) if bits.read(1) else None


def _skip_chroma(bits: Bits) -> None:
    chroma = bits.read_golomb()
    if chroma == _CHROMA_444 and bits.read(1):
        raise BitstreamProblem("its colour planes are coded apart")
    bits.read_golomb(), bits.read_golomb(), bits.read(1)
    if bits.read(1):  # scaling matrices
        for number in range(12 if chroma == _CHROMA_444 else 8):
            if bits.read(1):
                _skip_scaling_list(bits, 16 if number < 6 else 64)


def _skip_scaling_list(bits: Bits, length: int) -> None:
    last = following = 8
    for _ in range(length):
        if following:
            following = (last + bits.read_signed_golomb()) % 256
        last = following or last


def _read_reordering(bits: Bits) -> int | None:
    if bits.read(1) and bits.read(8) == _OWN_SHAPE:
        bits.read(32)
    if bits.read(1):  # overscan
        bits.read(1)
    if bits.read(1):
        _skip_colours(bits)
    if bits.read(1):  # chroma sample location
        bits.read_golomb(), bits.read_golomb()
    if bits.read(1):  # timing
        bits.read(65)
    _skip_buffers(bits)
    bits.read(1)
    if not bits.read(1):
        return None
    bits.read(1)
    for _ in range(4):
        bits.read_golomb()
    reordering = bits.read_golomb()
    if reordering > min(_MOST_REORDERED, bits.read_golomb()):
        raise BitstreamProblem("its sequence parameter set is broken")
    return reordering


def _skip_colours(bits: Bits) -> None:
    bits.read(4)
    if bits.read(1):
        bits.read(24)


def _skip_buffers(bits: Bits) -> None:
    num_models = 0
    for _ in range(2):  # of NAL units, of pictures
        if bits.read(1):
            num_models += 1
            count = bits.read_golomb() + 1
            bits.read(8)
            for _ in range(count):
                bits.read_golomb(), bits.read_golomb(), bits.read(1)
            bits.read(20)
    if num_models:
        bits.read(1)
