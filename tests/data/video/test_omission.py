"""What of trusted videos is not decoded: no frame that is asked for needs it, whatever was asked before."""

import random
from itertools import islice

import av
import numpy as np
import pytest
import torch
from kit.videos import moving_frame, write_video

from mvit_video.data import Decoding, open_reader, open_video
from mvit_video.data.video import reader
from mvit_video.data.video.omission import Omission


def x264(parameters):
    return {"options": {"preset": "veryfast", "x264-params": f"b-adapt=0:scenecut=0:{parameters}"}}


FILES = {
    "single.mp4": x264("keyint=12:bframes=2:b-pyramid=none"),
    "pyramid.mp4": x264("keyint=17:bframes=5:b-pyramid=normal:ref=4"),
    "short.mkv": x264("keyint=3:min-keyint=1:bframes=1"),
    "only_keys.mp4": x264("keyint=1"),
    "long.mp4": x264("keyint=250:bframes=3:b-pyramid=strict"),
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}, "gop": 9},
    "hidden.webm": {
        "codec": "libvpx-vp9",
        "options": {"cpu-used": "5", "auto-alt-ref": "1", "lag-in-frames": "16", "b": "100k"},
        "gop": 14,
    },
}
COUNT = 50


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The path of each, and what a plain decoder gives."""
    folder = tmp_path_factory.mktemp("files")
    made = {}
    for name, settings in FILES.items():
        path = write_video(folder / name, COUNT, picture=moving_frame, **settings)
        with av.open(str(path)) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        made[name] = path, np.stack(frames)
    return made


@pytest.mark.parametrize("look_ahead", [3, 8, 256])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", FILES)
def test_frames_are_the_same_whatever_was_asked_before(files, monkeypatch, name, threads, look_ahead):
    """Streams given up half-way, two at a time, forwards and back, and orders that nobody foresaw."""
    monkeypatch.setattr(reader, "_LOOK_AHEAD", look_ahead)
    path, expected = files[name]
    chance = random.Random(look_ahead)
    with open_reader(path, Decoding(threads=threads)) as video:
        for _ in range(25):
            first, last = sorted(chance.sample(range(COUNT + 1), 2))
            indices = sorted(chance.choices(range(first, last), k=chance.randint(1, 12)))
            if chance.random() < 0.2:
                indices.append(indices[0])  # does not ascend, so that nothing is foreseen
            ending = {"until_end": chance.random() < 0.5, "no_more": chance.random() < 0.5}
            stream = video.stream(indices, **ending)
            for index, image in islice(stream, chance.randint(1, len(set(indices)))):
                assert np.array_equal(image, expected[index]), (indices, index)
        assert video.is_trusted
        slow, fast = video.stream([1, 20, 33]), video.stream([0, 2, 4, 40])
        for (one, left), (other, right) in zip(slow, fast, strict=False):
            assert np.array_equal(left, expected[one])
            assert np.array_equal(right, expected[other])
        assert video.is_trusted


@pytest.fixture
def decoded(monkeypatch):
    """The frames whose packets are decoded, in this order."""
    found, omits = [], Omission.omits

    def note(omission, frame):
        is_left_out = omits(omission, frame)
        if not is_left_out:
            found.append(frame)
        return is_left_out

    monkeypatch.setattr(Omission, "omits", note)
    return found


def test_what_is_decoded(files, decoded):
    """Groups of 12: I, then each P before the two B that are shown before it; nothing refers to those."""
    with open_reader(files["single.mp4"][0]) as video:
        video.frames([49])
        for wanted, expected in {
            (4, 26): [0, 3, 6, 4, 24, 24, 27, 26],  # 24 drives 4 out, before it is sought for 26
            (9, 14): [0, 3, 6, 9, 12, 15, 14],  # the first group ends with 9; the second is near, not sought
            (24,): [24],
            (23,): [12, 15, 18, 21, 23],
        }.items():
            decoded.clear()
            video.frames(wanted)
            last = expected[-1]
            assert decoded[: len(expected)] == expected
            assert all(frame > last - 2 for frame in decoded[len(expected) :])  # what drives the last one out
            assert len(decoded) <= len(expected) + 2


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("step", [1, 7])
@pytest.mark.parametrize("name", ["single.mp4", "pyramid.mp4", "long.mp4", "vp9.webm"])
def test_calls_that_follow_each_other_decode_nothing_twice(files, decoded, name, step, threads):
    """As when clips are taken one after the other."""
    path, expected = files[name]
    with open_reader(path, Decoding(threads=threads)) as video:
        video.frames([49])
        decoded.clear()
        for first in range(0, COUNT - step, step):
            assert np.array_equal(video.frames(range(first, first + step)), expected[first : first + step])
    assert len(decoded) == len(set(decoded))


@pytest.mark.parametrize("name", ["single.mp4", "long.mp4"])
def test_clips_in_seconds_that_follow_each_other_decode_nothing_twice(files, decoded, name):
    """As PyTorchVideo's samplers take them, to the end."""
    path, expected = files[name]
    with open_video(path) as video:
        video.get_clip(49 / video.fps, 50 / video.fps)
        decoded.clear()
        clips = [video.get_clip(first / video.fps, (first + 5) / video.fps) for first in range(0, COUNT, 5)]
    found = torch.cat([clip["video"] for clip in clips], dim=1).permute(1, 2, 3, 0)
    assert np.array_equal(found.numpy(), expected)
    assert len(decoded) == len(set(decoded))


@pytest.mark.parametrize("look_ahead", [1, 4, 5, 256])
def test_nothing_is_decoded_twice_for_frames_that_follow(files, decoded, monkeypatch, look_ahead):
    """A stream that may go on is not cut short."""
    monkeypatch.setattr(reader, "_LOOK_AHEAD", look_ahead)
    with open_reader(files["single.mp4"][0]) as video:
        video.frames([49])
        decoded.clear()
        stream = video.stream(range(300), until_end=True)
        assert [index for index, _ in islice(stream, 24)] == list(range(24))
        group = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8, 11, 10]
        assert decoded[:24] == [*group, *(12 + frame for frame in group)]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    {
        (40, 46): [36, 39, 42, 40, 45, 47, 46],  # not 48, the next group, which would drive 46 out
        (36,): [36],
        (49,): [48, 49],
        (24,): [24, 27],  # the end is too far away to be gone to: 27 drives it out
    }.items(),
)
def test_near_the_end_nothing_is_decoded_after_the_last_frame(files, decoded, wanted, expected):
    """Of a stream after which no more is asked for; what is asked for all the same is found."""
    path, frames = files["single.mp4"]
    with open_reader(path) as video:
        video.frames([0])
        decoded.clear()
        for index, image in video.stream(wanted, no_more=True):
            assert np.array_equal(image, frames[index])
        assert decoded == expected
        for index in range(wanted[-1], COUNT):
            assert np.array_equal(video.frames([index])[0], frames[index])
        assert video.is_trusted


def test_all_keys_means_one_packet_for_each_frame(files, decoded):
    with open_reader(files["only_keys.mp4"][0]) as video:
        video.frames([49])
        decoded.clear()
        video.frames([3, 7, 11, 12])
        assert decoded == [3, 7, 11, 12]


@pytest.mark.parametrize("step", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("look_ahead", [1, 2])
def test_what_frames_to_come_may_refer_to_is_decoded_at_once(files, decoded, monkeypatch, look_ahead, step):
    """One group with B pictures that others refer to."""
    monkeypatch.setattr(reader, "_LOOK_AHEAD", look_ahead)
    with open_reader(files["long.mp4"][0]) as video:
        video.frames([49])
        decoded.clear()
        video.frames(range(0, COUNT, step))
    assert len(decoded) == len(set(decoded))
