"""Files of the kit: timestamps that vary, are cut by edit lists, start anywhere, jump or repeat."""

from pathlib import Path

from kit.media_boxes import set_edits
from kit.media_damage import noisy_frame
from kit.media_file import MediaFile, video, x264
from kit.media_packing import remux
from kit.videos import numbered_frame, write_headless_video, write_video

_VARYING = [i * 40 + (i % 3) * 9 + (i > 17) * 2500 for i in range(40)]
_TICKS = 512  # of a frame in an MP4 of 25 frames a second; with B-frames pictures start two of them late
_OPTIONS = x264(keyint=12, bframes=2)


def _edited(name: str, edits: list[tuple[int, int]], numbers: tuple[int, ...]) -> MediaFile:
    """Edits are (number of frames shown, first of them); a first frame of -1 is a pause."""

    def write(path: Path) -> None:
        write_video(path, 40, width=64, height=48, fps=25, options=_OPTIONS)
        set_edits(path, [(n * 40, -1 if first < 0 else (first + 2) * _TICKS) for n, first in edits])

    return MediaFile(name, "edit lists", write, numbers)


def _timed(name: str, group: str, pts: list[int], **settings: object) -> MediaFile:
    return video(name, group, 40, pts=pts, **({"options": _OPTIONS} | settings))


def _shifted(name: str, group: str, seconds: float, **settings: object) -> MediaFile:
    def write(path: Path) -> None:
        plain = path.with_name(f"plain_{path.stem}.mkv")
        write_video(plain, 40, width=64, height=48, **({"options": _OPTIONS} | settings))
        remux(plain, path, options={"output_ts_offset": str(seconds)})
        plain.unlink()

    return MediaFile(name, group, write, tuple(range(40)))


def _joined(name: str) -> MediaFile:
    """Two recordings one after the other: the timestamps of the second start again."""

    def write(path: Path) -> None:
        halves = []
        for first in (0, 20):
            half = path.with_name(f"half_{first}_{path.name}")
            write_video(
                half, 20, width=64, height=48, options=_OPTIONS,
                picture=lambda number, first=first: numbered_frame(first + number, 64, 48),
            )  # fmt: skip
            halves.append(half.read_bytes())
            half.unlink()
        path.write_bytes(b"".join(halves))

    return MediaFile(name, "offset and jumping times", write, tuple(range(40)))


def _starts_early(path: Path) -> None:
    """Eight frames lie before time 0, and are not shown."""
    pts = [i * 40 - 320 for i in range(40)]
    write_video(path, 40, width=64, height=48, pts=pts, options=_OPTIONS)


def _headless(path: Path) -> None:
    write_headless_video(path, 60, gop=12)


VARYING = [
    _timed("varying.mp4", "variable frame rate", _VARYING),
    _timed("varying.mkv", "variable frame rate", _VARYING),
    _timed("varying.webm", "variable frame rate", _VARYING, codec="libvpx-vp9", options=None),
    _timed("varying.ts", "variable frame rate", _VARYING),
    _timed("varying_120_to_5.mp4", "variable frame rate", [i * 8 if i < 20 else i * 200 for i in range(40)]),
]
EDITED = [
    _timed("starts_late.mp4", "edit lists", [i * 40 + 500 for i in range(40)]),
    MediaFile("starts_early.mp4", "edit lists", _starts_early, tuple(range(8, 40))),
    _edited("trimmed.mp4", [(20, 7)], tuple(range(7, 27))),
    _edited("trimmed_at_key_frame.mov", [(20, 12)], tuple(range(12, 32))),
    _edited("reordered.mp4", [(10, 24), (10, 0)], (*range(24, 34), *range(10))),
    _edited("repeated.mp4", [(25, -1), (10, 14), (10, 14)], (*range(14, 24), *range(14, 24))),
]
JUMPING = [
    _shifted("offset.ts", "offset and jumping times", 26000),
    _shifted("wraps_around.ts", "offset and jumping times", 95443),
    _shifted("offset.mkv", "offset and jumping times", 500),
    _shifted("offset.mpg", "offset and jumping times", 77, codec="mpeg2video", fps=25, options={"q:v": "2"}),
    _joined("joined.ts"),
    _joined("joined.h264"),
    MediaFile("no_first_key_frame.mkv", "no first key frame", _headless, tuple(range(12, 60)), (64, 64)),
    MediaFile("no_first_key_frame.ts", "no first key frame", _headless, tuple(range(12, 60)), (64, 64)),
    MediaFile("no_first_key_frame.mp4", "no first key frame", _headless, tuple(range(12, 60)), (64, 64)),
]
SHORT = [
    video(f"{word}.{suffix}", "one or two frames", count, **settings)
    for count, word in ((1, "one"), (2, "two"))
    for suffix, settings in {
        "mp4": {},
        "mkv": {},
        "ts": {"size": (96, 64), "picture": noisy_frame},  # FFmpeg does not recognise smaller files
        "h264": {},
        "webm": {"codec": "libvpx-vp9"},
        "avi": {"codec": "mpeg4", "b_frames": 0},
        "mpg": {"codec": "mpeg2video", "fps": 25},
        "gif": {"codec": "gif", "pix_fmt": "rgb8", "fps": 25},
    }.items()
]
TIMING = [*VARYING, *EDITED, *JUMPING, *SHORT]
