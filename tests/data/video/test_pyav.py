import gc
import io
import os
import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from kit.videos import (
    add_video_stream,
    numbered_frame,
    read_number,
    read_numbers,
    write_headless_video,
    write_video,
)

from mvit_video.data import VideoError, ViewPlan, decode_views, open_reader, open_video
from mvit_video.data.video.pyav import PyavPass
from mvit_video.data.video.pyav_reader import PyavReader

FORMATS = [
    ("libx264", "mp4", {}),
    ("libx264", "mkv", {}),
    ("libx264", "ts", {}),
    ("libx264", "flv", {}),
    ("libx265", "mp4", {}),
    ("libvpx-vp9", "webm", {}),
    ("mpeg4", "avi", {}),  # with B-frames: where seeking decoders return other frames
    ("mpeg4", "mp4", {}),
    ("mpeg2video", "mpg", {}),
    ("libx264", "mp4", {"pix_fmt": "yuv444p"}),
    ("libx265", "mp4", {"pix_fmt": "yuv420p10le"}),
    ("libx264", "mp4", {"options": {"preset": "veryfast", "x264-params": "open-gop=1:bframes=3"}}),
    ("libx264", "mp4", {"options": {"preset": "veryfast", "intra-refresh": "1"}}),
    ("ffv1", "mkv", {"width": 31, "height": 17}),
    ("libx264", "mp4", {"width": 16, "height": 16}),
    ("libx264", "mp4", {"container_options": {"movflags": "frag_keyframe+empty_moov"}}),
]


@pytest.mark.parametrize(("codec", "suffix", "settings"), FORMATS)
def test_frames_are_exactly_those_asked_for(tmp_path, codec, suffix, settings):
    path = write_video(tmp_path / f"v.{suffix}", 60, codec=codec, **settings)
    with open_video(path) as video:
        assert read_numbers(video.frames([50, 3, 59, 3, 0, 17])) == [50, 3, 59, 3, 0, 17]
        assert read_numbers(video.frames(range(60))) == list(range(60))
        assert video.num_frames == 60
        assert video.fps == 30
        assert video.duration == pytest.approx(2)
        size = (settings.get("height", 64), settings.get("width", 64))
        assert (video.height, video.width) == size
        assert video.frames([1]).shape == (1, *size, 3)
        assert video.frames([1]).dtype == np.uint8


def test_pixels_are_those_of_the_plain_conversion(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    path = write_video(tmp_path / "v.mp4", 10, width=70, height=50, picture=lambda i: np.roll(noise, i, 1))
    with av.open(str(path)) as container:
        plain = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    with open_video(path) as video:
        np.testing.assert_array_equal(video.frames(range(10)), plain)
    with open_video(path, threads=2) as video:
        np.testing.assert_array_equal(video.frames(range(10)), plain)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_display_rotation_is_applied(tmp_path, rotation):
    path = write_video(tmp_path / "v.mp4", 5, width=96, height=64, rotation=rotation)
    with open_video(path) as video:
        size = (64, 96) if rotation == 180 else (96, 64)
        assert (video.height, video.width) == size
        frames = video.frames(range(5))
    assert frames.shape == (5, *size, 3)
    assert read_numbers(np.rot90(frame, -rotation // 90) for frame in frames) == list(range(5))


@pytest.mark.parametrize(("flip", "axis"), [("hflip", 1), ("vflip", 0)])
def test_display_mirroring_is_applied(tmp_path, flip, axis):
    with av.open(str(tmp_path / "v.mp4"), "w") as container:
        encode = add_video_stream(container, 3, width=64, height=64)
        container.streams[0].set_display_rotation(0, **{flip: True})
        encode()
    with open_video(tmp_path / "v.mp4") as video:
        assert read_numbers(np.flip(frame, axis) for frame in video.frames(range(3))) == [0, 1, 2]


def test_the_largest_video_stream_is_read(tmp_path):
    with av.open(str(tmp_path / "v.mp4"), "w") as container:
        small = add_video_stream(
            container, 20, width=32, height=32, picture=lambda i: numbered_frame(9, 32, 32)
        )
        large = add_video_stream(container, 12, width=64, height=48)
        small()
        large()
    with open_video(tmp_path / "v.mp4") as video:
        assert (video.width, video.height, video.num_frames) == (64, 48, 12)
        assert read_numbers(video.frames([11])) == [11]


def test_variable_rate_is_the_average_and_frames_are_counted(tmp_path):
    pts = [i * 40 + (i % 3) * 7 for i in range(60)]  # the container claims 30 frames a second
    for suffix in ("mkv", "mp4"):
        path = write_video(tmp_path / f"v.{suffix}", 60, pts=pts)
        with open_video(path) as video:
            assert video.fps == pytest.approx(59 / (pts[-1] / 1000), rel=1e-3)
            assert read_numbers(video.frames([59, 0, 31])) == [59, 0, 31]


@pytest.mark.parametrize("fps", [Fraction(30000, 1001), Fraction(24000, 1001), 25, Fraction(25, 2)])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_constant_rates_are_exact_despite_rounded_timestamps(tmp_path, fps, suffix):
    path = write_video(tmp_path / f"v.{suffix}", 30, fps=fps)
    with PyavReader(path) as video:
        assert float(video.frame_rate) == pytest.approx(float(fps), rel=1e-6)


def test_the_header_is_not_believed(tmp_path):
    path = write_video(tmp_path / "v.avi", 40, codec="mpeg4")
    data = bytearray(path.read_bytes())
    for chunk, field in ((b"avih", 16), (b"strh", 32)):  # where an AVI says how many frames it has
        place = data.index(chunk) + 8 + field
        assert int.from_bytes(data[place : place + 4], "little") == 40
        data[place : place + 4] = (500).to_bytes(4, "little")
    path.write_bytes(data)
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 500
    with open_video(path) as video:
        assert video.expected_frames == video.num_frames == 40
        with pytest.raises(VideoError, match="frame 40 was asked for, but the video has only 40 "):
            video.frames([40])


def test_frames_that_cannot_be_decoded_are_not_counted(tmp_path):
    path = write_headless_video(tmp_path / "v.mkv", 60, gop=12)
    with open_video(path) as video:
        assert video.expected_frames == 59
        assert read_numbers(video.frames([0, video.num_frames - 1])) == [12, 59]
        assert video.num_frames == 48


def test_files_and_bytes_are_read_like_paths(tmp_path):
    path = write_video(tmp_path / "v.mp4", 20)
    with path.open("rb") as file, open_video(file) as video:
        assert video.name == str(path)
        assert read_numbers(video.frames([19, 2])) == [19, 2]
    data = io.BytesIO(path.read_bytes())
    with open_video(data) as video:
        assert video.num_frames == 20
        assert read_numbers(video.frames([19, 2])) == [19, 2]
    assert not data.closed


def test_streams_side_by_side_do_not_disturb_each_other(tmp_path):
    data = io.BytesIO(write_video(tmp_path / "v.mp4", 30).read_bytes())
    with open_video(data) as video:
        first, second = video.stream(range(30)), video.stream(range(0, 30, 2))
        seen = [(next(first)[0], next(second)[0]) for _ in range(15)]
        assert seen == [(i, 2 * i) for i in range(15)]
        assert read_numbers(image for _, image in first) == list(range(15, 30))


def test_stream_repeats_and_stops_at_the_end_when_told(tmp_path):
    with open_video(write_video(tmp_path / "v.mp4", 10)) as video:
        shown = [(i, read_number(image)) for i, image in video.stream([2, 2, 7, 50, 60], until_end=True)]
        assert shown == [(2, 2), (2, 2), (7, 7), (9, 9)]
        with pytest.raises(VideoError, match="frame 3 was asked for after 5; sort the indices"):
            list(video.stream([5, 3]))
        assert video.frames([]).shape == (0, 64, 64, 3)


def test_pictures_are_freed_at_once(tmp_path):
    gc.collect()
    gc.disable()  # which frees what refers to itself
    try:
        with open_video(write_video(tmp_path / "v.mp4", 40, b_frames=0, rotation=90)) as video:
            list(video.stream(range(40)))
        assert sum(isinstance(thing, av.VideoFrame) for thing in gc.get_objects()) < 5
    finally:
        gc.enable()


def test_odd_names_are_only_names(tmp_path):
    for name in ("with space.mp4", "-dash.mp4", "http:x.mp4", "ünï %03d.mp4"):
        path = write_video(tmp_path / "plain.mp4", 5)
        shutil.move(path, tmp_path / name)
        with open_video(tmp_path / name) as video:
            assert read_numbers(video.frames([4])) == [4]


def test_nothing_stays_open_where_the_decoder_refuses_a_setting(tmp_path):
    path = write_video(tmp_path / "v.mp4", 10)
    before = len(os.listdir("/proc/self/fd"))
    errors = []
    for _ in range(5):
        with pytest.raises(OverflowError) as error:
            PyavReader(path, threads=1 << 40)
        errors.append(error)  # with its frames, and what they refer to
    assert len(os.listdir("/proc/self/fd")) == before


def test_nothing_stays_open(tmp_path):
    good = write_video(tmp_path / "v.mp4", 10)
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video" * 100)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        video = open_video(good)
        assert video.fps == 30
        unfinished = video.stream(range(10))
        next(unfinished)
        video.close()
        video.close()
        with pytest.raises(VideoError):
            open_video(bad)
    assert len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(VideoError, match="the video is closed; open it again"):
        video.frames([0])


def _cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def _noisy(number: int) -> np.ndarray:
    """A picture that takes some bytes to encode, so that damage hits pictures and not headers."""
    noise = np.random.default_rng(number % 7).integers(0, 60, (96, 96, 3), dtype=np.uint8)
    return numbered_frame(number, 96, 96) - 40 + noise


@pytest.fixture(scope="module")
def noisy_mp4(tmp_path_factory):
    path = tmp_path_factory.mktemp("noisy") / "v.mp4"
    options = {"movflags": "faststart"}
    return write_video(path, 100, width=96, height=96, picture=_noisy, container_options=options)


def test_a_file_cut_short_names_the_frame_it_ends_at(tmp_path, noisy_mp4):
    path = _cut(shutil.copy(noisy_mp4, tmp_path / "v.mp4"), 0.6)
    with open_video(path, on_damage="refuse") as video:
        assert read_numbers(video.frames([0, 20])) == [0, 20]
        with pytest.raises(VideoError, match=r"v\.mp4: damaged at frame [45]\d: ") as caught:
            _ = video.num_frames
    assert "\n" not in str(caught.value)


def test_a_zeroed_middle_names_the_frame(tmp_path, noisy_mp4):
    data = bytearray(noisy_mp4.read_bytes())
    middle, length = len(data) // 2, len(data) // 20
    data[middle : middle + length] = bytes(length)
    (tmp_path / "v.mp4").write_bytes(data)
    with (
        open_video(tmp_path / "v.mp4", on_damage="refuse") as video,
        pytest.raises(VideoError, match=r"damaged at frame [3-5]\d: "),
    ):
        video.frames([99])


def test_concealed_damage_is_damage(tmp_path, noisy_mp4):
    data = bytearray(noisy_mp4.read_bytes())
    for place in np.random.default_rng(0).integers(len(data) // 4, len(data), 40):
        data[place] ^= 0x10
    (tmp_path / "v.mp4").write_bytes(data)
    with (
        open_video(tmp_path / "v.mp4", on_damage="refuse") as video,
        pytest.raises(VideoError, match=r"damaged at frame \d+: "),
    ):
        video.frames([99])


def test_a_header_without_pictures_is_no_video(tmp_path, noisy_mp4):
    data = noisy_mp4.read_bytes()
    (tmp_path / "v.mp4").write_bytes(data[: data.index(b"mdat") + 4])
    with pytest.raises(VideoError, match=r"v\.mp4: .*(no frame could be decoded|damaged)"):
        open_video(tmp_path / "v.mp4")


def test_a_change_of_picture_size_is_refused(tmp_path):
    small = write_video(tmp_path / "a.ts", 20)
    large = write_video(tmp_path / "b.ts", 20, width=96, height=80)
    (tmp_path / "v.ts").write_bytes(small.read_bytes() + large.read_bytes())
    with open_video(tmp_path / "v.ts", on_damage="refuse") as video:
        assert read_numbers(video.frames([19])) == [19]
        with pytest.raises(
            VideoError, match="at frame 20: the picture size changes from 64x64 to 96x80; re-encode"
        ):
            video.frames([30])


def _audio(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))


def _picture(path: Path) -> None:
    frame = av.VideoFrame.from_ndarray(numbered_frame(5), format="rgb24").reformat(format="yuvj420p")
    codec = av.CodecContext.create("mjpeg", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = 64, 64, "yuvj420p", Fraction(1, 25)
    path.write_bytes(bytes(codec.encode(frame)[0]))


NO_VIDEOS = {
    "missing.mp4": (lambda path: None, "no such file"),
    "folder": (lambda path: path.mkdir(), "no images in this folder"),
    "empty.mp4": (lambda path: path.write_bytes(b""), r"the file is empty \(0 bytes\)"),
    "notes.txt": (lambda path: path.write_text("hello world\n" * 100), "is text, expected a video"),
    "text.mp4": (lambda path: path.write_text("hello\n" * 50), "not a video, or damaged: "),
    "zeros.mp4": (lambda path: path.write_bytes(bytes(5000)), "not a video, or damaged: "),
    "random.mp4": (
        lambda path: path.write_bytes(np.random.default_rng(0).bytes(50000)),
        "not a video, or damaged: ",
    ),
    "sound.wav": (_audio, "has no video stream, only audio"),
    "sub.srt": (
        lambda path: path.write_text("1\n00:00:01,000 --> 00:00:02,000\nhi\n"),
        "has no video stream, only subtitle",
    ),
    "picture.jpg": (_picture, "is a still image, expected a video"),
    "picture.mp4": (_picture, "is a still image, expected a video"),
}


@pytest.mark.parametrize("name", NO_VIDEOS)
def test_what_is_no_video_says_so_at_once(tmp_path, name):
    make, reason = NO_VIDEOS[name]
    make(tmp_path / name)
    with pytest.raises(VideoError, match=f"{name}: {reason}") as caught:
        open_video(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_pipe_is_refused_before_it_blocks(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(VideoError, match="is a pipe or a device, expected a video file"):
        open_video(tmp_path / "pipe.mp4")


def test_a_codec_nobody_knows_is_named_as_the_reason(tmp_path):
    path = write_video(tmp_path / "v.avi", 10, codec="mpeg4")
    path.write_bytes(path.read_bytes().replace(b"FMP4", b"QXZW"))
    with pytest.raises(VideoError, match=r"v\.avi: its codec is not known; re-encode it"):
        open_video(path)


def test_a_message_stays_on_one_line_whatever_the_file_is_called(tmp_path):
    path = tmp_path / "two\nlines\r.mp4"
    path.write_bytes(bytes(100))
    with pytest.raises(VideoError, match="not a video") as caught:
        open_video(path)
    assert r"two\nlines\r.mp4" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_file_objects_that_give_no_bytes_are_refused(tmp_path):
    path = write_video(tmp_path / "v.mp4", 5)
    closed = path.open("rb")
    closed.close()
    with (
        path.open(encoding="latin-1") as text,
        pytest.raises(VideoError, match="seekable binary file, found TextIOWrapper"),
    ):
        open_video(text)
    for file in (closed, io.StringIO("text")):
        with pytest.raises(VideoError, match="expected a path or an open, seekable binary file, found"):
            open_video(file)


@pytest.mark.parametrize(
    ("width", "height", "codec", "suffix", "pix_fmt"),
    [(2, 2, "libx264", ".mp4", "yuv420p"), (1, 1, "ffv1", ".mkv", "bgra"), (1, 1, "gif", ".gif", "rgb8")],
)
@pytest.mark.parametrize("num_frames", [1, 3])
def test_the_smallest_videos_are_videos(tmp_path, width, height, codec, suffix, pix_fmt, num_frames):
    red = np.full((height, width, 3), (200, 20, 20), np.uint8)
    path = tmp_path / f"v{suffix}"
    write_video(
        path, num_frames, width=width, height=height, codec=codec, pix_fmt=pix_fmt, picture=lambda _: red
    )
    plan = ViewPlan(4, 2, 2, 3, crop_size=16, short_side=18)
    with open_video(path) as video:
        assert (video.num_frames, video.width, video.height) == (num_frames, width, height)
        views = decode_views(video, plan).views
    assert views.shape == (6, 3, 4, 16, 16)
    assert np.abs(views.float().mean((0, 2, 3, 4)).numpy() - (200, 20, 20)).max() < 25


@pytest.mark.parametrize("size", [(2048, 32), (32, 2048)])
def test_very_long_pictures_give_views(tmp_path, size):
    path = write_video(tmp_path / "v.mp4", 3, width=size[0], height=size[1])
    with open_video(path) as video:
        assert decode_views(video, ViewPlan(4, 2, 1, 3, 16, 16)).views.shape == (3, 3, 4, 16, 16)


def test_a_movie_without_its_index_is_damaged(tmp_path):
    path = _cut(write_video(tmp_path / "v.mp4", 50, width=96, height=96, picture=_noisy), 0.5)
    with pytest.raises(VideoError, match="not a video, or damaged: "):
        open_video(path)


def test_what_cannot_be_asked_for(tmp_path):
    path = write_video(tmp_path / "v.mp4", 5)
    with open_video(path) as video:
        with pytest.raises(
            VideoError, match=r"v\.mp4: frame 20 was asked for, but the video has only 5 \(0 to 4\)"
        ):
            video.frames([2, 20])
        with pytest.raises(VideoError, match="frame -1 was asked for; frames are counted from 0"):
            video.frames([-1])
        with pytest.raises(TypeError):
            video.frames([1.5])
    with pytest.raises(
        ValueError, match="backend is 'torchvision', expected one of auto, pyav, decord, torchcodec"
    ):
        open_video(path, backend="torchvision")
    with pytest.raises(VideoError, match="expected a path or an open, seekable binary file, found int"):
        open_video(3)  # type: ignore[arg-type]


def _write_with_cover(path: Path, *, movie: bool) -> None:
    with av.open(str(path), "w") as container:
        encode = add_video_stream(container, 10, width=64, height=48) if movie else lambda: None
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 320, 240, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(numbered_frame(5, 320, 240)).reformat(format="yuvj420p")
        picture.pts = 0
        encode()
        container.mux(cover.encode(picture))
        container.mux(cover.encode(None))


def test_cover_pictures_are_no_video(tmp_path):
    _write_with_cover(tmp_path / "v.mp4", movie=True)
    with open_video(tmp_path / "v.mp4") as video:
        assert (video.width, video.height, video.num_frames) == (64, 48, 10)
    _write_with_cover(tmp_path / "song.mp4", movie=False)
    with pytest.raises(VideoError, match="has no video stream, only a cover picture"):
        open_video(tmp_path / "song.mp4")


@pytest.mark.parametrize("name", ["v.mp4", "v.ts"])
def test_whoever_interrupts_decoding_can_go_on(tmp_path, monkeypatch, name):
    """The pass that was broken off is not used again: its generator has ended."""
    path = write_video(tmp_path / name, 30)
    step, seen = PyavPass._before_damage, []

    def interrupted(run, frames):
        for frame in step(run, frames):
            seen.append(frame.pts)
            if len(seen) == 4:
                raise KeyboardInterrupt
            yield frame

    with open_reader(path) as video:
        expected_trust = video.is_trusted
        monkeypatch.setattr(PyavPass, "_before_damage", interrupted)
        with pytest.raises(KeyboardInterrupt):
            video.frames(range(21))
        assert read_numbers(video.frames([20, 29])) == [20, 29]
        assert (video.num_frames, video.is_trusted, video.damage) == (30, expected_trust, None)
