"""Edit lists of MP4 files, written into files that have none: which stretches of the media are shown."""

import struct
from pathlib import Path

_PATH_TO_EDITS = (b"moov", b"trak", b"edts", b"elst")


def set_edits(path: Path, edits: list[tuple[int, int]]) -> None:
    """Replaces the edit list of the only track of a file whose ``moov`` comes last.

    Args:
        edits: (duration in milliseconds of the movie, first time in ticks of the media) of each stretch, in
            the order shown; a first time of -1 is a pause.
    """
    data = bytearray(path.read_bytes())
    places = _places(data)
    old = places[-1]
    size = int.from_bytes(data[old : old + 4], "big")
    body = struct.pack(">II", 0, len(edits)) + b"".join(
        struct.pack(">IiI", duration, first, 0x10000) for duration, first in edits
    )
    new = struct.pack(">I4s", 8 + len(body), b"elst") + body
    data[old : old + size] = new
    for place in places[:-1]:
        grown = int.from_bytes(data[place : place + 4], "big") + len(new) - size
        data[place : place + 4] = struct.pack(">I", grown)
    path.write_bytes(data)


def _places(data: bytearray) -> list[int]:
    places, start, end = [], 0, len(data)
    for name in _PATH_TO_EDITS:
        while data[start + 4 : start + 8] != name:
            start += int.from_bytes(data[start : start + 4], "big")
            assert start < end, f"no {name!r}"
        places.append(start)
        end = start + int.from_bytes(data[start : start + 4], "big")
        start += 8
    assert places[0] + int.from_bytes(data[places[0] : places[0] + 4], "big") == len(data), "moov is not last"
    return places
