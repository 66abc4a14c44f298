"""Sample tables against what FFmpeg's demuxer makes of the same files."""

import io
from fractions import Fraction

import av
import numpy as np
import pytest
from kit.videos import add_video_stream, write_video

from mvit_video.data import open_reader
from mvit_video.data.video.movie_table import read_movie_table

SETTINGS = {
    "b_frames": {},
    "no_b_frames": {"b_frames": 0},
    "only_keys": {"gop": 1},
    "rate": {"fps": Fraction(30000, 1001)},
    "varying": {"pts": [i * 40 + (i % 3) * 7 for i in range(40)]},
    "in_front": {"container_options": {"movflags": "faststart"}},
    "below_zero": {"container_options": {"movflags": "negative_cts_offsets"}},
    "no_edit_list": {"container_options": {"use_editlist": "0"}},
}


def demuxed(path, stream=0):
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(container.streams.video[stream]) if packet.size]
        return container.streams.video[stream].id, [
            (packet.pts, packet.dts, packet.size, packet.is_keyframe, packet.pos) for packet in packets
        ]


def tabled(path, track):
    with open(path, "rb") as file:
        found = read_movie_table(file, track)
    table = found.packets
    assert table.problem is None
    return list(zip(table.pts, table.dts, table.sizes, table.is_key, found.places, strict=True))


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
@pytest.mark.parametrize("name", SETTINGS)
def test_packets_are_those_of_the_demuxer(tmp_path, suffix, name):
    path = write_video(tmp_path / f"v.{suffix}", 40, **SETTINGS[name])
    track, expected = demuxed(path)
    found = tabled(path, track)
    assert len(found) == len(expected) == 40
    shift = expected[0][0] - found[0][0]  # what the edit list says
    assert [(pts + shift, dts + shift, *rest) for pts, dts, *rest in found] == expected


def test_the_track_is_found_among_others(tmp_path):
    with av.open(str(tmp_path / "v.mp4"), "w") as container:
        sound = container.add_stream("aac", rate=16000)
        small = add_video_stream(container, 10, width=32, height=32)
        large = add_video_stream(container, 30, width=64, height=64)
        for start in range(0, 16000, 1024):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.rate, frame.pts = 16000, start
            container.mux(sound.encode(frame))
        large()
        small()
    for stream, count in ((0, 10), (1, 30)):
        track, expected = demuxed(tmp_path / "v.mp4", stream)
        found = tabled(tmp_path / "v.mp4", track)
        assert [row[2:] for row in found] == [row[2:] for row in expected]
        assert len(found) == count
    with open(tmp_path / "v.mp4", "rb") as file:
        assert read_movie_table(file, 77) is None


@pytest.mark.parametrize(
    "flags", ["frag_keyframe+empty_moov", "frag_every_frame", "default_base_moof+frag_keyframe"]
)
def test_fragments_are_left_to_the_demuxer(tmp_path, flags):
    path = write_video(tmp_path / "v.mp4", 30, container_options={"movflags": flags})
    with open(path, "rb") as file:
        assert read_movie_table(file, 1) is None


def test_a_file_cut_off_says_so(tmp_path):
    path = write_video(tmp_path / "v.mp4", 30, container_options={"movflags": "faststart"})
    data = path.read_bytes()
    assert read_movie_table(io.BytesIO(data), 1).packets.problem is None
    assert read_movie_table(io.BytesIO(data[:-1]), 1).packets.problem == "the file is cut off"


def test_damaged_tables_are_no_tables(tmp_path):
    data = write_video(tmp_path / "v.mp4", 30).read_bytes()
    start = data.index(b"moov")
    generator = np.random.default_rng(0)
    for place in generator.integers(start, len(data), 400).tolist():
        broken = bytearray(data)
        broken[place] ^= 1 << int(generator.integers(8))
        found = read_movie_table(io.BytesIO(bytes(broken)), 1)
        assert found is None or len(found.places) == len(found.packets)
    for stop in range(start, len(data), 50):
        assert read_movie_table(io.BytesIO(data[:stop]), 1) is None


def test_edit_lists_that_leave_frames_out_are_seen(tmp_path):
    data = bytearray(write_video(tmp_path / "v.mp4", 30).read_bytes())
    place = data.index(b"elst") + 12  # behind version, flags and count: one entry
    duration, start = (int.from_bytes(data[place + 4 * i : place + 4 * i + 4], "big") for i in range(2))
    for field, value in ((0, duration // 2), (1, start + 3 * 512), (1, 2**32 - 1), (2, 2 << 16)):
        changed = bytearray(data)
        changed[place + 4 * field : place + 4 * field + 4] = value.to_bytes(4, "big")
        assert "edit list" in read_movie_table(io.BytesIO(bytes(changed)), 1).packets.problem


@pytest.mark.parametrize("box", [b"mvhd", b"mdhd"])
def test_a_time_scale_of_0_is_no_plain_movie(tmp_path, box):
    data = bytearray(write_video(tmp_path / "v.mp4", 10).read_bytes())
    place = data.index(box) + 4 + 12  # version and flags, two times
    data[place : place + 4] = bytes(4)
    assert read_movie_table(io.BytesIO(data), 1) is None


def test_frames_where_the_movie_has_no_time_scale(tmp_path):
    """FFmpeg does without."""
    data = bytearray(write_video(tmp_path / "v.mp4", 10).read_bytes())
    place = data.index(b"mvhd") + 4 + 12
    data[place : place + 4] = bytes(4)
    with open_reader(bytes(data)) as video:
        assert len(video.frames(range(10))) == video.num_frames == 10
