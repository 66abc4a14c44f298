"""Damage: the good part comes before the first, whoever asks for what; or the video is refused."""

import re
import warnings

import av
import numpy as np
import pytest
from kit.videos import numbered_frame, read_number, read_numbers, write_video

from mvit_video.data import (
    Damage,
    DamagedVideoWarning,
    Decoding,
    IndexContradicted,
    VideoError,
    open_reader,
    open_video,
)

_NOISE = np.random.default_rng(0).integers(0, 60, (96, 96, 3), dtype=np.uint8)


def noisy(number):
    """A picture that takes some bytes to encode, so that damage hits pictures and not headers."""
    return numbered_frame(number, 96, 96) - 40 + np.roll(_NOISE, number, 0)


def write(path, **settings):
    return write_video(path, 60, width=96, height=96, picture=noisy, **settings)


def cut(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])


def zero(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 3000] = bytes(3000)
    path.write_bytes(data)


def flip(path):
    """In half of the pictures, far behind any header."""
    with av.open(str(path)) as container:
        places = [packet.pos + packet.size * 2 // 3 for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for number, place in enumerate(places):
        if number > 25:
            data[place - 3 : place] = np.random.default_rng(number).bytes(3)
    path.write_bytes(data)


def grow(path):
    """Another video behind, with larger pictures."""
    larger = write_video(path.with_suffix(".2.ts"), 20, width=128, height=96)
    path.write_bytes(path.read_bytes() + larger.read_bytes())


FASTSTART = {"container_options": {"movflags": "faststart"}}
CASES = {
    "cut.mp4": (cut, FASTSTART, "damaged at frame"),
    "zeroed.mp4": (zero, {}, "damaged at frame"),
    "zeroed.mkv": (zero, {"b_frames": 0}, "damaged at frame"),
    "flipped.mp4": (flip, {}, "marks the frame as corrupt|Invalid data"),
    "flipped.avi": (flip, {"codec": "mpeg4"}, "marks the frame as corrupt|Invalid data"),
    "grown.ts": (grow, {}, "picture size changes from 96x96 to 128x96; re-encode it to one size"),
}


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    """Each case's file, and how many frames of it are good."""
    found = {}

    def get(name):
        if name not in found:
            path = tmp_path_factory.mktemp("damage") / name
            damage, settings, _ = CASES[name]
            damage(write(path, **settings))
            found[name] = path, good_frames(path)
        return found[name]

    return get


def good_frames(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedVideoWarning)
        with open_reader(path) as video:
            shown = [read_number(image) for _, image in _walk(video)][:-1]  # the last comes twice
            assert shown == list(range(len(shown)))
            assert video.num_frames == len(shown)
            return len(shown)


def _walk(video):
    """All frames there are, from the first on; once more if the video changes its mind."""
    try:
        return list(video.stream(range(10**6), until_end=True))
    except IndexContradicted:
        assert not video.is_trusted
        return list(video.stream(range(10**6), until_end=True))


@pytest.mark.parametrize("name", CASES)
def test_the_good_part_is_kept(damaged, name):
    path, good = damaged(name)
    assert 10 < good < 60 or (name, good) == ("grown.ts", 60)
    with open_video(path) as video, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DamagedVideoWarning)
        numbers = [read_number(image) for _, image in _walk(video)]
        assert sorted(set(numbers)) == list(range(good))
        assert video.num_frames == good
        assert isinstance(video.damage, Damage)
        assert video.damage.frame == good
        assert not video.is_trusted
        assert read_numbers(video.frames([good - 1, 0, good - 1])) == [good - 1, 0, good - 1]
        with pytest.raises(VideoError, match=f"frame {good} was asked for, but the video has only {good} "):
            video.frames([good])
        assert [index for index, _ in video.stream([0, good + 5, good + 6], until_end=True)] == [0, good - 1]
    assert len(caught) == 1  # however often it is met
    assert re.search(CASES[name][2], str(caught[0].message))
    assert f"{name}: damaged at frame {good}: " in str(caught[0].message)
    assert str(caught[0].message).endswith("; the video ends before it")


@pytest.mark.parametrize("name", CASES)
def test_damage_is_refused_when_told(damaged, name):
    path, good = damaged(name)
    with open_video(path, on_damage="refuse") as video:
        assert read_numbers(video.frames([good - 4, 1])) == [good - 4, 1]
        for _ in range(2):
            with pytest.raises(VideoError, match=f"damaged at frame {good}: "):
                video.frames(range(good - 3, 60) if video.is_trusted else range(good + 1))
        with pytest.raises(VideoError, match=f"damaged at frame {good}: "):
            _ = video.num_frames


@pytest.mark.parametrize("name", ["cut.mp4", "flipped.avi", "grown.ts"])
def test_who_asks_first_changes_nothing(damaged, name):
    path, good = damaged(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedVideoWarning)
        for first in ([0], [good - 1], [good], [good + 20], list(range(good))):
            with open_reader(path) as video:
                try:
                    video.frames(first)
                except VideoError:
                    assert first[0] >= good
                assert video.num_frames == good
                assert read_numbers(video.frames([good - 1])) == [good - 1]


@pytest.mark.parametrize("threads", [0, 2, 4])
@pytest.mark.parametrize("name", ["cut.mp4", "zeroed.mp4", "flipped.mp4", "grown.ts"])
def test_the_place_is_the_same_for_any_number_of_threads(damaged, name, threads):
    path, good = damaged(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedVideoWarning)
        with open_reader(path, Decoding(threads=threads)) as video:
            _walk(video)
            assert (video.num_frames, video.damage.frame) == (good, good)


def test_pictures_that_refer_to_a_damaged_one_are_not_shown(tmp_path):
    """B pictures come out before the damaged picture they were made from, and look no better."""
    options = {"preset": "veryfast", "x264-params": "bframes=3:b-adapt=0:b-pyramid=none:scenecut=0"}
    path = write(tmp_path / "v.mp4", options=options, gop=60)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        order = np.argsort(np.argsort([packet.pts for packet in packets]))
    number = next(i for i in range(20, 40) if order[i] > i)  # a P picture: decoded early, shown late
    whole = path.read_bytes()
    for seed in range(20):
        data = bytearray(whole)
        place, length = packets[number].pos + 60, packets[number].size // 2
        data[place : place + length] = np.random.default_rng(seed).bytes(length)
        path.write_bytes(data)
        with av.open(str(path)) as container:
            marked = [i for i, frame in enumerate(container.decode(video=0)) if frame.is_corrupt]
        if marked and marked[0] == order[number]:
            break
    else:
        raise AssertionError("a decoder that notices nothing")
    assert good_frames(path) == order[number] - 3


def test_a_last_packet_that_is_cut_off_is_damage(tmp_path):
    path = write(tmp_path / "v.avi", codec="mjpeg", pix_fmt="yuvj420p", options={"q:v": "3"})
    with av.open(str(path)) as container:
        last = [packet for packet in container.demux(video=0) if packet.size][-1]
    path.write_bytes(path.read_bytes()[: last.pos + last.size // 2])
    assert good_frames(path) == 59
    with open_video(path) as video, pytest.warns(DamagedVideoWarning, match="the last packet is cut off"):
        assert video.num_frames == 59


def test_nothing_good_is_no_video(tmp_path):
    path = write(tmp_path / "v.mp4", **FASTSTART)
    with av.open(str(path)) as container:
        first = next(container.demux(video=0))
    for on_damage in ("keep", "refuse"):
        data = bytearray(path.read_bytes())
        data[first.pos : first.pos + 20000] = bytes(20000)
        (tmp_path / "w.mp4").write_bytes(data)
        with pytest.raises(VideoError, match=r"w\.mp4: .*(damaged at frame 0|no frame could be decoded)"):
            open_video(tmp_path / "w.mp4", on_damage=on_damage)


def test_what_to_do_about_damage_is_keep_or_refuse(tmp_path):
    path = write_video(tmp_path / "v.mp4", 3)
    with pytest.raises(ValueError, match="on_damage is 'skip', expected one of keep, refuse"):
        open_video(path, on_damage="skip")  # type: ignore[arg-type]
