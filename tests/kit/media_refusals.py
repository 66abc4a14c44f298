"""Files of the kit that hold no video, or none of which a single frame can be had."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from kit.media_damage import Harm, cut, harm_file, noisy_frame, zeroed
from kit.media_file import MediaFile, x264
from kit.media_streams import add_cover, add_sound
from kit.videos import add_video_stream, numbered_frame, write_video


def _no_video(name: str, write: Callable[[Path], Any], refused: str) -> MediaFile:
    return MediaFile(name, "no video", write, (), refused=refused)


def _no_frame(name: str, harm: Harm, **settings: Any) -> MediaFile:
    """A video of which not even the first frame is left."""

    def write(path: Path) -> None:
        write_video(path, 30, width=96, height=64, picture=noisy_frame, **settings)
        harm_file(path, harm)

    return MediaFile(name, "no frame left", write, (), (96, 64), refused="damaged|no frame could be decoded")


def _sound_alone(path: Path, codec: str = "aac") -> None:
    with av.open(str(path), "w") as container:
        add_sound(container, codec)()


def _song(path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as container:
        for encode in [add_sound(container), add_cover(container)]:
            encode()


def _no_samples(path: Path) -> None:
    with av.open(str(path), "w", container_options={"movflags": "empty_moov"}) as container:
        add_video_stream(container, 0, width=64, height=48)
        container.start_encoding()


def _picture(path: Path) -> None:
    frame = av.VideoFrame.from_ndarray(numbered_frame(5), format="rgb24").reformat(format="yuvj420p")
    codec = av.CodecContext.create("mjpeg", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = 64, 64, "yuvj420p", Fraction(1, 25)
    path.write_bytes(bytes(codec.encode(frame)[0]))


def _index_missing(path: Path) -> None:
    write_video(path, 30, width=96, height=64, picture=noisy_frame, options=x264(keyint=12))
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"moov") - 4])


_FASTSTART = {"options": x264(keyint=12, bframes=0), "container_options": {"movflags": "faststart"}}
_SRT = "1\n00:00:01,000 --> 00:00:02,000\nhello\n"

REFUSALS = [
    _no_video("missing.mp4", lambda path: None, "no such file"),
    _no_video("folder.mp4", Path.mkdir, "folder"),
    _no_video("empty.mp4", Path.touch, r"empty \(0 bytes\)"),
    _no_video("zeros.mp4", lambda path: path.write_bytes(bytes(5000)), "not a video"),
    _no_video(
        "random.mp4", lambda path: path.write_bytes(np.random.default_rng(0).bytes(50000)), "not a video"
    ),
    _no_video("text.mp4", lambda path: path.write_text("hello\n" * 500), "not a video"),
    _no_video("text.txt", lambda path: path.write_text("hello\n" * 500), "is text"),
    _no_video("subtitles.srt", lambda path: path.write_text(_SRT), "has no video stream, only subtitle"),
    _no_video("sound.wav", lambda path: _sound_alone(path, "pcm_s16le"), "has no video stream, only audio"),
    _no_video("sound.m4a", _sound_alone, "has no video stream, only audio"),
    _no_video("song_with_cover.m4a", _song, "has no video stream, only .*cover picture"),
    _no_video("picture.jpg", _picture, "is a still image"),
    _no_video("picture.mp4", _picture, "is a still image"),
    _no_video("no_samples.mp4", _no_samples, "damaged|no frame could be decoded"),
    _no_video("index_missing.mp4", _index_missing, "not a video, or damaged"),
    _no_frame("headers_alone.mp4", cut(0, 0), **_FASTSTART),
    _no_frame("headers_alone.mkv", cut(0, 0), options=x264(keyint=12)),
    _no_frame("headers_alone.avi", cut(0, 0), codec="mpeg4"),
    _no_frame("first_frame_zeroed.mp4", zeroed(0, 1), options=x264(keyint=12, bframes=0)),
    _no_frame("all_frames_zeroed.mp4", zeroed(0, 29), options=x264(keyint=12, bframes=0)),
]
