"""Files of the kit: what lies beside the pictures in a file, and what files are called."""

from pathlib import Path
from typing import Any

import av
import numpy as np
from kit.media_file import MediaFile, video, x264
from kit.videos import add_video_stream, numbered_frame

_COVER = av.stream.Disposition.attached_pic


def _stream(container: Any, num_frames: int, size: tuple[int, int], *, wrong: bool = False) -> Any:
    """Adds a stream that counts, or one that says 4000 and on, which nobody asks for."""
    return add_video_stream(
        container, num_frames, width=size[0], height=size[1], options=x264(keyint=12, bframes=2),
        picture=lambda number: numbered_frame(number + 4000 * wrong, *size),
    )  # fmt: skip


def add_sound(container: Any, codec: str = "aac", seconds: int = 2) -> Any:
    """Adds a stream of silence; call what comes back to encode it."""
    stream = container.add_stream(codec, rate=8000, layout="mono")

    def encode() -> None:
        kind, format_name = (np.float32, "fltp") if codec == "aac" else (np.int16, "s16")
        for start in range(0, 8000 * seconds, 1000):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1000), kind), format=format_name, layout="mono")
            frame.rate, frame.pts = 8000, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))

    return encode


def add_cover(container: Any) -> Any:
    """Adds a picture for the shelf, larger than the video; call what comes back to encode it."""
    cover = container.add_stream("mjpeg", rate=1)
    cover.width, cover.height, cover.pix_fmt = 320, 240, "yuvj420p"
    cover.disposition = _COVER

    def encode() -> None:
        picture = av.VideoFrame.from_ndarray(numbered_frame(4000, 320, 240)).reformat(format="yuvj420p")
        picture.pts = 0
        container.mux(cover.encode(picture))
        container.mux(cover.encode(None))

    return encode


def _sound_first(path: Path) -> None:
    with av.open(str(path), "w") as container:
        sound = add_sound(container)
        pictures = _stream(container, 40, (64, 48))
        sound()
        pictures()


def _large_second(path: Path) -> None:
    with av.open(str(path), "w") as container:
        for encode in (_stream(container, 30, (32, 32), wrong=True), _stream(container, 40, (64, 48))):
            encode()


def _same_size(path: Path) -> None:
    with av.open(str(path), "w") as container:
        for encode in (_stream(container, 40, (64, 48)), _stream(container, 50, (64, 48), wrong=True)):
            encode()


def _cover_first(path: Path) -> None:
    with av.open(str(path), "w") as container:
        for encode in [add_cover(container), _stream(container, 40, (64, 48))]:
            encode()


def _subtitled(path: Path) -> None:
    text = path.with_name("subtitles.srt")
    text.write_text("1\n00:00:00,000 --> 00:00:01,000\nhello\n")
    with av.open(str(path), "w") as container, av.open(str(text)) as subtitles:
        lines = container.add_stream_from_template(subtitles.streams[0])
        pictures = _stream(container, 40, (64, 48))
        for packet in subtitles.demux():
            if packet.size:
                packet.stream = lines
                container.mux(packet)
        pictures()
    text.unlink()


def _beside(name: str, write: Any) -> MediaFile:
    return MediaFile(name, "several streams", write, tuple(range(40)))


def _named(name: str, container_format: str | None = None) -> MediaFile:
    return video(name, "strange names", 15, options=x264(keyint=6), container_format=container_format)


STREAMS = [
    _beside("sound_first.mp4", _sound_first),
    _beside("sound_first.mkv", _sound_first),
    _beside("sound_first.ts", _sound_first),
    _beside("large_second.mp4", _large_second),
    _beside("large_second.mkv", _large_second),
    _beside("same_size_twice.mp4", _same_size),
    _beside("cover_first.mp4", _cover_first),
    _beside("subtitled.mkv", _subtitled),
    _named("with space.mp4"),
    _named("-dash.mp4"),
    _named("http:no_protocol.mp4"),
    _named("percent %03d.mp4"),
    _named("[brackets]*?.mp4"),
    _named("ünï çødé 视频.mp4"),
    _named("wrong_ending.avi", "mp4"),
    _named("no_ending", "mp4"),
    _named("quote'\"$HOME&;|.mp4"),
]
