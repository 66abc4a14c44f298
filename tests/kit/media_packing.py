"""Streams that no encoder at hand writes, made from others packet by packet."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av

_VOP = b"\x00\x00\x01\xb6"
_USER_DATA = b"\x00\x00\x01\xb2"
# A P-picture (01) with nothing in it: time 0 1 00000 1, not coded 0, stuffing. Decoders pass over so short a
# picture before they look at its time.
_NOT_CODED = _VOP + int("01" + "0100000100" + "1111", 2).to_bytes(2, "big")


def pack_b_frames(source: Path, target: Path) -> None:
    """Packs the packets of an AVI so that there is one per shown frame, as a player without delay wants it.

    A reference picture and the B-frame shown before it lie in one packet; further B-frames follow alone, and
    the place of the last one is taken by an empty picture ("not coded"), which decoders throw away.
    """
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = old.streams.video[0]
        packets = [bytes(packet) for packet in old.demux(stream) if packet.size]
        packed_stream = new.add_stream_from_template(stream)
        packed_stream.codec_context.codec_tag = "XVID"
        for time, data in enumerate(packed(packets)):
            packet: Any = av.Packet(data)
            packet.stream, packet.pts, packet.dts = packed_stream, time, time
            packet.time_base = 1 / stream.average_rate
            packet.is_keyframe = _kind(data) == "I"
            new.mux(packet)


def remux(source: Path, target: Path, options: dict[str, str] | None = None) -> None:
    """Copies the video packets as they are into another container, or with other options of it."""
    rewrite_packets(source, target, lambda _, data: [data], options)


def rewrite_packets(
    source: Path,
    target: Path,
    change: Callable[[int, bytes], list[bytes]],
    options: dict[str, str] | None = None,
) -> None:
    """Copies the video packets; ``change(place, data)`` says what comes instead of each."""
    with av.open(str(source)) as old, av.open(str(target), "w", options=options or {}) as new:
        stream = old.streams.video[0]
        new_stream = new.add_stream_from_template(stream)
        for number, old_packet in enumerate(packet for packet in old.demux(stream) if packet.size):
            for data in change(number, bytes(old_packet)):
                packet: Any = av.Packet(data)
                packet.stream, packet.time_base = new_stream, old_packet.time_base
                packet.pts, packet.dts = old_packet.pts, old_packet.dts
                packet.duration, packet.is_keyframe = old_packet.duration, old_packet.is_keyframe
                new.mux(packet)


def packed(packets: list[bytes]) -> list[bytes]:
    """Packets in coding order, packed; as many as before."""
    result: list[bytes] = []
    place = 0
    while place < len(packets):
        run = 1
        while place + run < len(packets) and _kind(packets[place + run]) == "B":
            run += 1
        first, *b_frames = packets[place : place + run]
        if b_frames:
            result += [first + b_frames[0], *b_frames[1:], _NOT_CODED]
        else:
            result.append(first)
        place += run
    assert len(result) == len(packets)
    return [_says_packed(data) if place == 0 else data for place, data in enumerate(result)]


def _kind(packet: bytes) -> str:
    return "IPBS"[packet[packet.index(_VOP) + 4] >> 6]


def _says_packed(first: bytes) -> bytes:
    """The first packet with the user data by which DivX announces packing ("p")."""
    place = first.index(_VOP)
    head, pictures = first[:place], first[place:]
    if _USER_DATA in head:  # the encoder's own name goes: decoders believe the last one
        head = head[: head.index(_USER_DATA)]
    return head + _USER_DATA + b"DivX503b1393p" + pictures
