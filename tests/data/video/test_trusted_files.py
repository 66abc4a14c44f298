"""Real files: which are trusted, and that those give what decoding forward gives, to the last bit.

The reference is a plain loop over PyAV's decoder.
"""

import random
import warnings
from fractions import Fraction

import av
import numpy as np
import pytest
from kit.sequence_sets import write_without_usability
from kit.videos import moving_frame, write_video

from mvit_video.data import DamagedVideoWarning, Decoding, IndexContradicted, VideoError, open_reader
from mvit_video.data.video.looking import PacketLog, StreamKind
from mvit_video.data.video.seek_index import SeekIndex
from mvit_video.data.video.trust import why_untrusted


def x264(parameters):
    return {"options": {"preset": "veryfast", "x264-params": parameters}}


VP9 = {"codec": "libvpx-vp9", "fps": 12}
FAST = {"deadline": "realtime", "cpu-used": "8"}
HIDDEN = {"deadline": "good", "cpu-used": "5", "auto-alt-ref": "6", "lag-in-frames": "16", "b": "100k"}
WELL_BEHAVED = {
    "plain.mp4": {},
    "plain.mkv": {},
    "plain.mov": {},
    "faststart.mp4": {"container_options": {"movflags": "faststart"}},
    "fragmented.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "pyramid.mp4": x264("bframes=5:b-pyramid=normal:b-adapt=0"),
    "strict_pyramid.mkv": x264("bframes=3:b-pyramid=strict:b-adapt=0"),
    "many_references.mp4": {**x264("ref=8:bframes=8:b-adapt=2"), "gop": 250},
    "no_b_frames.mp4": {"b_frames": 0},
    "baseline.mp4": {"options": {"preset": "medium", "profile": "baseline"}},
    "keys_anywhere.mkv": x264("keyint=20:min-keyint=1:scenecut=80"),
    "only_keys.mp4": {"gop": 1},
    "slices.mp4": x264("slices=4"),
    "delimiters.mkv": x264("aud=1"),
    "repeated_headers.mp4": x264("repeat-headers=1"),
    "colour444.mp4": {"pix_fmt": "yuv444p"},
    "ntsc.mkv": {"fps": Fraction(30000, 1001)},
    "varying.mp4": {"pts": [i * 40 + (i % 3) * 7 for i in range(40)]},
    "vp9.webm": {**VP9, "options": FAST},
    "vp9_hidden.webm": {**VP9, "options": HIDDEN, "gop": 128},
    "vp9.mp4": {**VP9, "options": FAST},
}
OTHERS = {
    "open_gop.mp4": (x264("open-gop=1:bframes=3:scenecut=0"), "recovery points"),
    "open_gop.mkv": (x264("open-gop=1:bframes=3:scenecut=0"), "recovery points"),
    "intra_refresh.mp4": ({"options": {"preset": "veryfast", "intra-refresh": "1"}}, "recovery points"),
    "interlaced.mp4": (x264("tff=1"), "interlaced"),
    "interlaced.mkv": (x264("bff=1:bframes=3"), "interlaced"),
    "h264.ts": ({}, "mpegts"),
    "h264.avi": ({"b_frames": 0}, "avi"),
    "xvid.avi": ({"codec": "mpeg4"}, "avi"),
    "hevc.mp4": ({"codec": "libx265"}, "hevc"),
    "vp8.webm": ({"codec": "libvpx", "options": FAST}, "vp8"),
    "vp9_varying.webm": (
        {**VP9, "options": FAST, "pts": [i * 40 + (i % 3) * 7 for i in range(40)]},
        "times have gaps",
    ),
}


def forward(path):
    """What a plain decoder gives, up to the first frame that is damaged."""
    frames = []
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                if frame.is_corrupt:
                    break
                frames.append(frame.to_ndarray(format="rgb24"))
    except av.FFmpegError:
        pass
    return np.stack(frames)


def orders(count, seed=0):
    generator = random.Random(seed)
    some = [generator.randrange(count) for _ in range(5)]
    return [
        some,
        sorted(some),
        sorted(some, reverse=True),
        [count - 1, 0, count - 1],
        list(range(1, count, 7)),
    ]


def check(path, expected):
    """Every order, from a new reader and from one that has been elsewhere."""
    with open_reader(path) as used:
        assert used.num_frames == len(expected)
        for indices in orders(len(expected)):
            np.testing.assert_array_equal(used.frames(indices), expected[indices])
            with open_reader(path) as new:
                np.testing.assert_array_equal(new.frames(indices), expected[indices])
        assert used.damage is None


@pytest.mark.parametrize("name", WELL_BEHAVED)
def test_well_behaved_files_are_trusted_and_exact(tmp_path, name):
    path = write_video(tmp_path / name, 40, picture=moving_frame, **WELL_BEHAVED[name])
    with open_reader(path) as video:
        assert video.why_untrusted is None
        assert video.is_trusted
    check(path, forward(path))


@pytest.mark.parametrize("name", OTHERS)
def test_others_are_not_trusted_and_exact(tmp_path, name):
    settings, reason = OTHERS[name]
    path = write_video(tmp_path / name, 40, picture=moving_frame, **settings)
    with open_reader(path) as video:
        assert not video.is_trusted
        assert reason in video.why_untrusted
    check(path, forward(path))


NOT_TOLD = {
    "no_b_frames": ({"b_frames": 0}, None),
    "b_frames": ({}, "it does not say that 1 pictures are reordered"),
    "pyramid": (x264("bframes=16:b-pyramid=normal:b-adapt=0:ref=8"), "it does not say that 2 pictures"),
}


@pytest.mark.parametrize("name", NOT_TOLD)
def test_what_does_not_say_how_it_is_reordered_is_exact(tmp_path, name):
    """FFmpeg finds that out by decoding on opening; where there is nothing to find, we open without."""
    settings, reason = NOT_TOLD[name]
    told = write_video(tmp_path / "told.mp4", 40, picture=moving_frame, **settings)
    path = write_without_usability(told, tmp_path / "not_told.mp4")
    expected = forward(told)
    np.testing.assert_array_equal(forward(path), expected)
    with open_reader(path) as video:
        assert (video.why_untrusted or "").startswith(reason or "")
        assert video.is_trusted == (reason is None)
        assert video.frame_rate == 30
    check(path, expected)


def test_opening_decodes_no_more_than_it_needs(tmp_path):
    """Between the container and the pass: what is trusted is read as it was opened; the rest is probed."""
    told = write_video(tmp_path / "told.mp4", 20)
    opened = {
        "told.mp4": False,
        "no_b_frames.mp4": False,
        "b_frames.mp4": True,
        "told.mkv": True,
    }
    write_without_usability(told, tmp_path / "b_frames.mp4")
    plain = write_video(tmp_path / "plain.mp4", 20, b_frames=0)
    write_without_usability(plain, tmp_path / "no_b_frames.mp4")
    write_video(tmp_path / "told.mkv", 20)
    for name, is_probed in opened.items():
        with open_reader(tmp_path / name) as video:
            assert video.is_trusted == (name != "b_frames.mp4")
            assert video._idle.is_probed == is_probed, name


@pytest.mark.parametrize("threads", [0, 2, 4])
@pytest.mark.parametrize("name", ["plain.mp4", "pyramid.mp4", "vp9_hidden.webm", "open_gop.mkv"])
def test_threads_change_nothing(tmp_path, name, threads):
    settings = WELL_BEHAVED.get(name) or OTHERS[name][0] if name != "plain.mp4" else {}
    path = write_video(tmp_path / name, 40, picture=moving_frame, **settings)
    expected = forward(path)
    with open_reader(path, Decoding(threads=threads)) as video:
        assert video.num_frames == len(expected) == 40
        for indices in orders(40):
            np.testing.assert_array_equal(video.frames(indices), expected[indices])


def remux(source, target, keep):
    """Copies the packets whose number ``keep`` takes."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for number, packet in enumerate(old.demux(video=0)):
            if packet.size and keep(number):
                packet.stream = stream
                new.mux(packet)
    return target


DROPPED = {
    "pyramid": ("mp4", x264("bframes=3:b-pyramid=normal:b-adapt=0:keyint=8:scenecut=0"), "libx264"),
    "varying": ("mkv", {"pts": [i * 40 + (i % 3) * 7 for i in range(20)], "gop": 8}, "libx264"),
    "vp9": ("webm", {"options": FAST, "gop": 8}, "libvpx-vp9"),
}


@pytest.mark.parametrize("name", DROPPED)
def test_packets_that_are_missing_are_noticed_or_do_not_matter(tmp_path, name):
    """Whichever is missing: what is trusted counts as decoding counts, and gives the same pictures."""
    suffix, settings, codec = DROPPED[name]
    whole = write_video(tmp_path / f"whole.{suffix}", 20, codec=codec, picture=moving_frame, **settings)
    trusted = []
    for first in range(20):
        for count in (1, 2):
            path = remux(
                whole,
                tmp_path / f"v.{suffix}",
                lambda number, first=first, count=count: not first <= number < first + count,
            )
            try:
                video = open_reader(path)
            except VideoError:
                continue
            with video:
                if not video.is_trusted:
                    continue
                trusted.append((first, count))
                expected = forward(path)
                assert video.num_frames == len(expected)
                order = list(reversed(range(0, len(expected), 3)))
                np.testing.assert_array_equal(video.frames(order), expected[order])
                assert video.is_trusted
    assert all(first + count >= 19 for first, count in trusted)  # only ends that leave a whole video


def write_damaged(tmp_path, frame=30):
    """A trusted file, damaged in a picture where no header shows it; and what a plain decoder gives."""
    path = write_video(tmp_path / "v.mp4", 60, gop=12, picture=moving_frame, b_frames=0)
    with av.open(str(path)) as container:
        packet = next(p for number, p in enumerate(container.demux(video=0)) if number == frame)
    whole = path.read_bytes()
    for seed in range(20):  # not every damage is noticed
        data = bytearray(whole)
        length = packet.size // 2
        data[packet.pos + 60 : packet.pos + 60 + length] = np.random.default_rng(seed).bytes(length)
        path.write_bytes(data)
        expected = forward(path)
        if len(expected) == frame:
            return path, expected
    raise AssertionError("a decoder that notices nothing")


def test_a_file_that_decoding_contradicts_is_demoted(tmp_path):
    path, expected = write_damaged(tmp_path)
    with open_reader(path) as video:
        assert video.is_trusted
        assert video.num_frames == 60
        far = video.frames([50])  # behind the damage: nothing contradicts yet
        with pytest.raises(IndexContradicted):
            list(video.stream([25, 34]))
        assert not video.is_trusted
        assert "decoding contradicts the packets" in video.why_untrusted
        with pytest.warns(DamagedVideoWarning, match="damaged at frame 30"):
            assert [index for index, _ in video.stream([25, 34], until_end=True)] == [25, 29]
        assert (video.num_frames, video.damage.frame) == (30, 30)
        np.testing.assert_array_equal(video.frames([29, 3]), expected[[29, 3]])
        with pytest.raises(VideoError, match=r"the video has only 30 .*; damaged there"):
            video.frames([50])
    plain = write_video(tmp_path / "plain.mp4", 60, gop=12, picture=moving_frame, b_frames=0)
    np.testing.assert_array_equal(far[0], forward(plain)[50])


def test_frames_make_up_for_the_contradiction(tmp_path):
    path, expected = write_damaged(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedVideoWarning)
        with open_reader(path) as video, pytest.raises(VideoError, match="the video has only 30"):
            video.frames([3, 33])
    with open_reader(path) as video:
        np.testing.assert_array_equal(video.frames([29, 3]), expected[[29, 3]])
        assert video.is_trusted
    with open_reader(path, Decoding(on_damage="refuse")) as video:
        for _ in range(2):
            with pytest.raises(VideoError, match="damaged at frame 30: "):
                video.frames([3, 33])
        with pytest.raises(VideoError, match="damaged at frame 30: "):
            _ = video.num_frames


def test_one_stream_tells_the_others(tmp_path):
    path, _ = write_damaged(tmp_path)
    with open_reader(path) as video:
        slow = video.stream(range(60))
        assert next(slow)[0] == 0
        with pytest.raises(IndexContradicted):
            list(video.stream([33]))
        with pytest.raises(IndexContradicted):
            next(slow)
        assert [index for index, _ in video.stream(range(20))] == list(range(20))


def facts_of(keys, count=100):
    """The facts of an all-VP9 stream whose key packets are where they are said to be."""
    log = PacketLog(StreamKind("matroska,webm", "vp9", b"", 1, Fraction(1, 1000)), look_inside=False)
    for number in range(count):
        log.add(number * 40, None, is_key=number in keys, data=None, size=10)
    return log.finish()


def test_seeking_is_for_what_is_far():
    index = SeekIndex(facts_of({0, 30, 60}))
    assert index.find_shortcut(0, 29) is None  # the way there is the same
    assert index.find_shortcut(0, 30) == 30 * 40
    assert index.find_shortcut(0, 75) == 60 * 40
    assert index.find_shortcut(58, 75) is None  # nearly there
    assert index.find_shortcut(62, 75) is None
    assert index.find_shortcut(75, 62) == 60 * 40  # back
    assert index.find_shortcut(None, 5) == 0
    assert [index.frame_at(time) for time in (0, 40, 41, 3960, 4000, None)] == [0, 1, None, 99, None, None]
    assert [index.is_key(frame) for frame in (0, 29, 30, 99)] == [True, False, True, False]


def test_packets_nobody_looked_into_are_not_trusted():
    assert why_untrusted(facts_of({0})) == "nobody looked into its packets"
