"""Real encoded videos for tests; every frame carries its own number, so a test knows which frame it got.

The number is drawn as a 4 x 4 board of light and dark cells over the whole picture (12 bits and 4 check
bits), which survives lossy codecs, scaling and odd sizes down to 16 x 16 pixels.
"""

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np

CELLS = 4
LIGHT, DARK = 205, 50
MAX_NUMBER = 4095
_NOISE = np.random.default_rng(0).integers(0, 60, (200, 200, 3), dtype=np.uint8)


def numbered_frame(number: int, width: int = 64, height: int = 64) -> np.ndarray:
    """The picture (height, width, 3) uint8 that says ``number`` (0 to 4095)."""
    assert 0 <= number <= MAX_NUMBER
    cells = np.array([LIGHT if bit else DARK for bit in _bits(number)], np.uint8).reshape(CELLS, CELLS)
    rows = np.arange(height) * CELLS // height
    columns = np.arange(width) * CELLS // width
    return np.repeat(cells[rows][:, columns][..., None], 3, axis=2)


def moving_frame(number: int) -> np.ndarray:
    """One of 64x64 that says ``number`` and moves, so that a wrong reference picture shows."""
    top, left = 2 * number % 120, 3 * number % 120
    return numbered_frame(number, 64, 64) - 40 + _NOISE[left : left + 64, top : top + 64]


def read_number(frame_HWC: np.ndarray) -> int:
    """The number a picture says; AssertionError when it says none (torn, turned or foreign)."""
    assert frame_HWC.ndim == 3, frame_HWC.shape
    grey = np.asarray(frame_HWC, np.float32).mean(2)
    bits = []
    for row in np.array_split(grey, CELLS, axis=0):
        for cell in np.array_split(row, CELLS, axis=1):
            y, x = cell.shape[0] // 4, cell.shape[1] // 4
            bits.append(int(cell[y : cell.shape[0] - y, x : cell.shape[1] - x].mean() > (LIGHT + DARK) / 2))
    number = sum(bit << place for place, bit in enumerate(bits[:12]))
    assert bits == _bits(number), f"no frame number in this picture: {bits}"
    return number


def read_numbers(frames_NHWC: Iterable[np.ndarray]) -> list[int]:
    """The numbers of several pictures, in order."""
    return [read_number(np.asarray(frame)) for frame in frames_NHWC]


def write_video(
    path: str | Path | BinaryIO,
    num_frames: int = 60,
    *,
    width: int = 64,
    height: int = 64,
    fps: int | Fraction = 30,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    gop: int = 12,
    b_frames: int = 2,
    rotation: int = 0,
    pts: Sequence[int] | None = None,
    picture: Callable[[int], np.ndarray] | None = None,
    container_format: str | None = None,
    container_options: dict[str, str] | None = None,
) -> Any:
    """Encodes ``num_frames`` pictures and returns ``path``.

    Args:
        codec: libx264, libx265, libvpx-vp9, mpeg4, ... (an FFmpeg encoder).
        options: Encoder options; fast ones by default.
        rotation: Display rotation in degrees, counter-clockwise, written as a display matrix (mp4, mov).
        pts: Presentation times in thousandths of a second, for a variable frame rate.
        picture: Picture (height, width, 3) uint8 of frame i; by default the one that says i.
        container_format: Needed for file objects, e.g. "mp4".
    """
    target = str(path) if isinstance(path, str | Path) else path
    with av.open(
        target, "w", format=container_format, container_options=container_options or {}
    ) as container:
        add_video_stream(
            container,
            num_frames,
            width=width,
            height=height,
            fps=fps,
            codec=codec,
            pix_fmt=pix_fmt,
            options=options,
            gop=gop,
            b_frames=b_frames,
            rotation=rotation,
            pts=pts,
            picture=picture,
        )()
    return path


def add_video_stream(
    container: Any,
    num_frames: int,
    *,
    width: int,
    height: int,
    fps: int | Fraction = 30,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    gop: int = 12,
    b_frames: int = 2,
    rotation: int = 0,
    pts: Sequence[int] | None = None,
    picture: Callable[[int], np.ndarray] | None = None,
) -> Callable[[], None]:
    """Adds a stream to an open container; call what comes back to encode it (add all streams first)."""
    stream = container.add_stream(codec, rate=fps, options=_fast(codec) if options is None else options)
    stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
    stream.codec_context.gop_size = gop
    stream.codec_context.thread_count = 1
    if codec in ("libx264", "libx265", "mpeg4", "mpeg2video"):
        stream.codec_context.max_b_frames = b_frames
    if pts is not None:
        stream.codec_context.time_base = Fraction(1, 1000)
    if rotation:
        stream.set_display_rotation(rotation)
    draw = picture or (lambda number: numbered_frame(number, width, height))

    def encode() -> None:
        for number in range(num_frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(draw(number)), format="rgb24")
            frame.pts = number if pts is None else pts[number]
            frame.time_base = 1 / Fraction(fps) if pts is None else Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))

    return encode


def write_headless_video(path: Path, num_frames: int, *, gop: int) -> Path:
    """A video without its first key frame: one packet less than ``num_frames``, and ``gop`` frames less."""
    whole = path.with_suffix(".whole.mp4")
    write_video(whole, num_frames, gop=gop, b_frames=0, options={"x264-params": "scenecut=0"})
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if number and packet.size:
                packet.stream = stream
                target.mux(packet)
    whole.unlink()
    return path


def write_dataset(
    folder: Path, *, num_classes: int = 2, videos_per_class: int = 3, num_frames: int = 24, **video: Any
) -> Path:
    """Writes ``folder/<class>/<number>.mp4`` and a ``path label`` list beside them; returns the list's path.

    The classes are plain colours (so a tiny model can learn them), named class_0, class_1, ...
    """
    lines = []
    size = {"width": 64, "height": 64} | video
    for label in range(num_classes):
        colour = np.array([40 + 180 * (label >> bit & 1) for bit in range(3)], np.uint8)
        for number in range(videos_per_class):
            path = folder / f"class_{label}" / f"{number}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture = np.full((size["height"], size["width"], 3), colour, np.uint8)
            picture[: 4 + number] = 128
            write_video(path, num_frames, picture=lambda _, picture=picture: picture, **size)
            lines.append(f"{path} {label}\n")
    (folder / "list.csv").write_text("".join(lines))
    return folder / "list.csv"


def _bits(number: int) -> list[int]:
    bits = [number >> place & 1 for place in range(12)]
    check = number ^ number >> 4 ^ number >> 8 ^ 0b1010
    return bits + [check >> place & 1 for place in range(4)]


def _fast(codec: str) -> dict[str, str]:
    return {
        "libx264": {"preset": "veryfast", "crf": "23"},
        "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:pools=1"},
        "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
        "mpeg4": {"q:v": "4"},
    }.get(codec, {})
