"""H.264 whose sequence parameter set does not say how far pictures are reordered, as cameras write it."""

from pathlib import Path

import av

_PROFILES_WITH_CHROMA = (100, 110, 122, 244)


def write_without_usability(source: Path, target: Path) -> Path:
    """Copies a movie of x264's, its video usability information (which ends the parameter set) left out."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        copy.codec_context.extradata = _shortened_record(bytes(stream.codec_context.extradata))
        for packet in old.demux(stream):
            if packet.size:
                packet.stream = copy
                new.mux(packet)
    return target


def _shortened_record(record: bytes) -> bytes:
    """ISO/IEC 14496-15, 5.2.4.1.1: five bytes, the number of sets, the length of the first, the first."""
    end = 8 + int.from_bytes(record[6:8], "big")
    unit = record[8:9] + _shortened(record[9:end])
    return record[:6] + len(unit).to_bytes(2, "big") + unit + record[end:]


def _shortened(payload: bytes) -> bytes:
    """ITU-T H.264, 7.3.2.1.1, up to ``vui_parameters_present_flag``, which becomes 0."""
    plain = payload.replace(b"\0\0\3", b"\0\0")
    bits = "".join(f"{byte:08b}" for byte in plain)
    place = _after_codes(bits, 24, 1)
    if plain[0] in _PROFILES_WITH_CHROMA:
        place = _after_codes(bits, place, 3) + 2
    place = _after_codes(bits, place, 1)
    has_order = bits[place] == "1"  # pic_order_cnt_type 0 has one number more
    place = _after_codes(bits, place, 2 + has_order) + 1
    place = _after_codes(bits, place, 2) + 2
    place = _after_codes(bits, place + 1, 4) if bits[place] == "1" else place + 1
    assert bits[place] == "1"
    short = bits[:place] + "01"
    short += "0" * (-len(short) % 8)
    return int(short, 2).to_bytes(len(short) // 8, "big")


def _after_codes(bits: str, place: int, count: int) -> int:
    """Where ``count`` Exp-Golomb codes end."""
    for _ in range(count):
        zeros = bits.index("1", place) - place
        place += 2 * zeros + 1
    return place
