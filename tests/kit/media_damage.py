"""Files of the kit: damaged ones, of which the frames before the damage are to be had."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from kit.media_file import MediaFile, x264, x265
from kit.media_packing import rewrite_packets
from kit.videos import numbered_frame, write_video

_WIDTH, _HEIGHT = 96, 64
_SIZE = (_WIDTH, _HEIGHT)
_NOISE = np.random.default_rng(0).integers(0, 60, (8, _HEIGHT, _WIDTH, 3), dtype=np.uint8)
_NO_B = x264(keyint=12, bframes=0)
_B = x264(keyint=12, bframes=2)
_CAVLC = x264(keyint=12, bframes=0, cabac=0)  # of which FFmpeg notices nearly all damage
_CAVLC_B = x264(keyint=12, bframes=2, cabac=0)
_HEVC: dict[str, Any] = {
    "codec": "libx265",
    "options": x265(keyint=12, min_keyint=12, open_gop=0, bframes=2),
}
_MPEG4: dict[str, Any] = {
    "codec": "mpeg4",
    "b_frames": 0,
    "options": {"q:v": "4", "sc_threshold": "1000000000"},
}
_GIF: dict[str, Any] = {"codec": "gif", "pix_fmt": "rgb8", "fps": 25}
_MPEG2 = _MPEG4 | {"codec": "mpeg2video", "fps": 25}
_FASTSTART = {"container_options": {"movflags": "faststart"}}


def noisy_frame(number: int) -> np.ndarray:
    """A numbered picture that takes some bytes to encode, so that damage hits pictures and not headers."""
    return numbered_frame(number, *_SIZE) - 40 + _NOISE[number % len(_NOISE)]


@dataclass(frozen=True)
class Place:
    """Where the packet of a frame lies in a file."""

    start: int
    size: int

    @property
    def middle(self) -> int:
        return self.start + self.size // 2

    @property
    def end(self) -> int:
        return self.start + self.size


def places(path: Path) -> list[Place]:
    """Of every frame, in the order shown; those of a transport stream end later, headers lie between."""
    data = path.read_bytes()
    found, start = [], -1
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            if packet.size:
                start = data.index(bytes(packet)[:24], start + 1)
                found.append((packet.pts if packet.pts is not None else start, Place(start, packet.size)))
    return [place for _, place in sorted(found, key=lambda pair: pair[0])]


Harm = Callable[[bytearray, list[Place]], bytes | bytearray]


def harm_file(path: Path, harm: Harm) -> None:
    """Damages a whole file."""
    path.write_bytes(harm(bytearray(path.read_bytes()), places(path)))


def cut(frame: int, share: float = 0.5) -> Harm:
    """The file ends within the packet of a frame."""
    return lambda data, at: data[: at[frame].start + int(at[frame].size * share)]


def zeroed(frame: int, until: int) -> Harm:
    """Nothing but zeros from the middle of one frame's packet to that of another."""

    def harm(data: bytearray, at: list[Place]) -> bytearray:
        start, end = at[frame].middle, at[until].middle
        data[start:end] = bytes(end - start)
        return data

    return harm


def flipped(frame: int, count: int = 40) -> Harm:
    """Bits of one frame's packet are turned over, behind its first eighth."""

    def harm(data: bytearray, at: list[Place]) -> bytearray:
        place, draw = at[frame], np.random.default_rng(3)
        for offset in draw.integers(place.size // 8, place.size - 2, count):
            data[place.start + int(offset)] ^= 1 << int(draw.integers(8))
        return data

    return harm


def damaged(
    name: str,
    group: str,
    harm: Harm,
    good: int,
    *,
    damage: Literal["noticed", "silent", "hidden"] = "noticed",
    **settings: Any,
) -> MediaFile:
    """A file of 60 frames of which the first ``good`` are whole."""

    def write(path: Path) -> None:
        write_video(path, 60, width=_WIDTH, height=_HEIGHT, picture=noisy_frame, **settings)
        harm_file(path, harm)

    return MediaFile(name, group, write, tuple(range(good)), _SIZE, damage=damage)


def _dropped(
    name: str, frame: int, numbers: tuple[int, ...], *, harmless: bool = False, **settings: Any
) -> MediaFile:
    """The packet of one frame is missing."""

    def write(path: Path) -> None:
        plain = path.with_name(f"plain_{path.name}")
        write_video(plain, 60, width=_WIDTH, height=_HEIGHT, picture=noisy_frame, **settings)
        data = plain.read_bytes()
        place = places(plain)[frame]
        gone = data[place.start : place.start + 24]
        rewrite_packets(plain, path, lambda _, packet: [] if packet[:24] == gone else [packet])
        plain.unlink()

    return MediaFile(name, "dropped packets", write, numbers, _SIZE, damage="" if harmless else "noticed")


def _resized(name: str, **settings: Any) -> MediaFile:
    """A recording of another size follows in the same file."""

    def write(path: Path) -> None:
        halves = []
        for size in (_SIZE, (64, 48)):
            half = path.with_name(f"half_{path.name}")
            write_video(half, 20, width=size[0], height=size[1], **settings)
            halves.append(half.read_bytes())
            half.unlink()
        path.write_bytes(b"".join(halves))

    return MediaFile(name, "size changes", write, tuple(range(20)), _SIZE, damage="noticed")


def _resized_packets(name: str, **settings: Any) -> MediaFile:
    """The packets of a recording of another size follow in the same stream."""

    def write(path: Path) -> None:
        other = path.with_name(f"other_{path.name}")
        first = path.with_name(f"first_{path.name}")
        write_video(first, 40, width=_WIDTH, height=_HEIGHT, **settings)
        write_video(other, 40, width=64, height=48, **settings)
        with av.open(str(other)) as container:
            packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
        rewrite_packets(first, path, lambda number, data: [packets[number] if number >= 20 else data])
        first.unlink()
        other.unlink()

    return MediaFile(name, "size changes", write, tuple(range(20)), _SIZE, damage="noticed")


TRUNCATED = [
    damaged("cut_at_6.mp4", "truncated mp4", cut(6), 6, options=_NO_B, **_FASTSTART),
    damaged("cut_at_30.mp4", "truncated mp4", cut(30), 30, options=_NO_B, **_FASTSTART),
    damaged("cut_last_byte.mp4", "truncated mp4", cut(59, 0.98), 59, options=_NO_B, **_FASTSTART),
    damaged("cut_between_frames.mp4", "truncated mp4", cut(40, 0), 40, options=_NO_B, **_FASTSTART),
    # I12 P15 13 14 P18 ...: frames 13, 14 and 15 are there, and 18 is not, so neither are 16 and 17.
    damaged("cut_b_frames.mp4", "truncated mp4", cut(18), 16, options=_B, **_FASTSTART),
    # I24 P27 25 26: frame 27 is there and 25 is not.
    damaged("cut_in_b_frame.mp4", "truncated mp4", cut(25), 25, options=_B, **_FASTSTART),
    damaged(
        "cut_fragmented.mp4", "truncated mp4", cut(30), 30, options=_NO_B,
        container_options={"movflags": "frag_keyframe+empty_moov"},
    ),
    damaged("cut_hevc.mp4", "truncated mp4", cut(24), 24, **_HEVC, **_FASTSTART),
    damaged("cut.mkv", "truncated, other containers", cut(30), 30, damage="silent", options=_NO_B),
    damaged("cut.webm", "truncated, other containers", cut(30), 30, damage="silent", codec="libvpx-vp9"),
    damaged("cut.ts", "truncated, other containers", cut(30, 0.6), 30, options=_NO_B),
    damaged("cut.flv", "truncated, other containers", cut(30), 30, options=_NO_B),
    damaged("cut.avi", "truncated, other containers", cut(30), 30, **_MPEG4),
    damaged("cut_mjpeg.avi", "truncated, other containers", cut(30), 30, codec="mjpeg", pix_fmt="yuvj420p"),
    damaged("cut.mpg", "truncated, other containers", cut(30), 30, **_MPEG2),
    damaged("cut.h264", "truncated, other containers", cut(30), 30, options=_NO_B),
    damaged("cut.gif", "truncated, other containers", cut(30), 30, damage="hidden", **_GIF),
    damaged("cut_clean.h264", "truncated, other containers", cut(36, 0), 36, damage="silent", options=_NO_B),
]  # fmt: skip
HARMED = [
    damaged("zeroed.mp4", "zeroed middle", zeroed(30, 34), 30, options=_NO_B),
    damaged("zeroed_b_frames.mp4", "zeroed middle", zeroed(18, 20), 16, options=_B),
    damaged("zeroed.mkv", "zeroed middle", zeroed(30, 34), 30, options=_NO_B),
    damaged("zeroed.ts", "zeroed middle", zeroed(30, 34), 30, damage="hidden", options=_NO_B),
    damaged("zeroed.avi", "zeroed middle", zeroed(30, 34), 30, **_MPEG4),
    damaged("zeroed.webm", "zeroed middle", zeroed(30, 34), 30, damage="hidden", codec="libvpx-vp9"),
    damaged("flipped.mp4", "bit flips", flipped(30), 30, options=_CAVLC),
    damaged("flipped_b_frames.mp4", "bit flips", flipped(24), 24, options=_CAVLC_B),
    damaged("flipped_last.mp4", "bit flips", flipped(59), 59, options=_CAVLC),
    damaged("flipped.ts", "bit flips", flipped(30), 30, options=_CAVLC),
    damaged("flipped.avi", "bit flips", flipped(30), 30, **_MPEG4),
    damaged("flipped_mjpeg.avi", "bit flips", flipped(30), 30, codec="mjpeg", pix_fmt="yuvj420p"),
    damaged("flipped_cabac.mp4", "bit flips, hidden", flipped(30), 30, damage="hidden", options=_NO_B),
    damaged("flipped_hevc.mp4", "bit flips, hidden", flipped(24), 24, damage="hidden", **_HEVC),
    damaged("flipped.webm", "bit flips, hidden", flipped(30), 30, damage="hidden", codec="libvpx-vp9"),
    _dropped("dropped_p.mkv", 30, tuple(range(30)), options=_NO_B),
    _dropped("dropped_key.mkv", 36, tuple(range(36)), options=_NO_B),
    _dropped("dropped_p.mp4", 30, tuple(range(30)), options=_NO_B),
    _dropped(
        "dropped_b.mkv", 26, tuple(number for number in range(60) if number != 26), harmless=True, options=_B
    ),
    _resized("resized.ts", options=_NO_B),
    _resized("resized.h264", options=_NO_B),
    _resized_packets("resized.avi", codec="mjpeg", pix_fmt="yuvj420p"),
    _resized_packets("resized.webm", codec="libvpx-vp9", gop=20),
]  # fmt: skip
DAMAGED = [*TRUNCATED, *HARMED]
