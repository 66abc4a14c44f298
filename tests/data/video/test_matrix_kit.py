"""The files of the kit are what their names say, so that the matrix tests what it seems to test."""

import av
import numpy as np
import pytest
from kit.media import ALL, BY_NAME
from kit.media_colours import Colours


def packets(path):
    with av.open(f"file:{path}") as container:
        return [packet for packet in container.demux(video=0) if packet.size]


def kinds(path) -> str:
    with av.open(f"file:{path}") as container:
        return "".join("?IPBSsib"[frame.pict_type] for frame in container.decode(video=0))


def times(path) -> list[int]:
    return [packet.pts for packet in packets(path)]


def leading(path) -> int:
    """Packets that follow a later key packet and are shown before it."""
    found, key = 0, None
    for packet in packets(path):
        key = packet.pts if packet.is_keyframe else key
        found += key is not None and packet.pts < key
    return found


@pytest.mark.parametrize("name", ["h264_open_gop.mp4", "hevc_open_gop.mkv", "mpeg2.mkv"])
def test_open_gops_are_open(media, name):
    assert leading(media.path(name)) >= 4


@pytest.mark.parametrize("name", ["h264.mp4", "h264_b_pyramid.mp4", "hevc.mkv", "vp9.webm"])
def test_closed_gops_are_closed(media, name):
    assert leading(media.path(name)) == 0
    assert sum(packet.is_keyframe for packet in packets(media.path(name))) >= 2


def test_pictures_are_of_the_kinds_asked_for(media):
    assert "BBBBBBBB" in kinds(media.path("h264_b_pyramid.mp4"))
    assert "BBP" in kinds(media.path("h264.mp4"))
    assert kinds(media.path("h264_one_key_frame.mp4")).count("I") == 1
    assert set(kinds(media.path("h264_only_key_frames.mp4"))) == {"I"}
    assert "B" not in kinds(media.path("h264_no_b_frames.mp4"))
    assert kinds(media.path("mpeg4_b_frames.avi")).count("BBP") > 5
    # Intra refresh: packets that call themselves key packets, and a single I picture.
    assert kinds(media.path("h264_intra_refresh.mp4")).count("I") == 1
    assert sum(packet.is_keyframe for packet in packets(media.path("h264_intra_refresh.mp4"))) > 2


def test_packets_are_not_frames_where_they_should_not_be(media):
    assert len(packets(media.path("vp8_hidden.webm"))) == 40 > len(BY_NAME["vp8_hidden.webm"].numbers)
    assert sum(packet.is_discard for packet in packets(media.path("trimmed.mp4"))) == 20
    assert len(packets(media.path("repeated.mp4"))) > 40 > len(BY_NAME["repeated.mp4"].numbers)
    sizes = [packet.size for packet in packets(media.path("mpeg4_packed.avi"))]
    assert sum(size < 10 for size in sizes) > 20  # the places of the pictures that are packed elsewhere
    assert b"DivX503b1393p" in media.path("mpeg4_packed.avi").read_bytes()
    first_key = next(
        i for i, packet in enumerate(packets(media.path("no_first_key_frame.mkv"))) if packet.is_keyframe
    )
    assert first_key == 11


def test_times_vary_start_late_and_jump(media):
    steps = np.diff(sorted(times(media.path("varying.mp4"))))
    assert steps.max() > 50 * steps.min()
    assert min(times(media.path("starts_late.mp4"))) > 0
    assert times(media.path("offset.ts"))[0] >= 26000 * 90000
    around = times(media.path("wraps_around.ts"))
    assert min(around) < 0 < max(around)  # as FFmpeg counts: the counter of 33 bits passes its end
    assert np.diff(times(media.path("joined.ts"))).min() < -10000


def test_streams_lie_in_the_order_said(media):
    with av.open(str(media.path("sound_first.mp4"))) as container:
        assert [stream.type for stream in container.streams] == ["audio", "video"]
    with av.open(str(media.path("large_second.mkv"))) as container:
        assert [stream.width for stream in container.streams.video] == [32, 64]
    with av.open(str(media.path("cover_first.mp4"))) as container:
        assert any(stream.disposition & av.stream.Disposition.attached_pic for stream in container.streams)


def test_pixels_and_colours_are_tagged_as_said(media):
    formats = {
        "h264_10_bit.mp4": "yuv420p10le",
        "h264_444.mp4": "yuv444p",
        "h264_rgb.mp4": "gbrp",
        "hevc_gray.mp4": "gray",
        "qtrle_alpha.mov": "argb",
        "colours_bt709_full.mp4": "yuvj420p",
        "colours_bt2020_10_bit.mp4": "yuv420p10le",
    }
    for name, pix_fmt in formats.items():
        with av.open(str(media.path(name))) as container:
            assert container.streams.video[0].codec_context.pix_fmt == pix_fmt
    with av.open(str(media.path("colours_bt709.mp4"))) as container:
        assert int(next(container.decode(video=0)).colorspace) == 1
    with av.open(str(media.path("turned_90.mp4"))) as container:
        assert next(container.decode(video=0)).rotation == 90


def test_wrong_colours_are_seen(media):
    for name in (
        "colours_bt601.mp4",
        "colours_bt709.mp4",
        "colours_bt709_full.mp4",
        "colours_bt2020_10_bit.mp4",
    ):
        with av.open(str(media.path(name))) as container:
            picture = next(container.decode(video=0)).to_ndarray(format="rgb24")
        read_by = {
            (matrix, full)
            for matrix in ("bt601", "bt709", "bt2020")
            for full in (False, True)
            if is_read(Colours(matrix, full), picture)
        }
        assert len(read_by) == 1, name


def is_read(colours, picture) -> bool:
    try:
        return colours.reader()(picture) == 0
    except AssertionError:
        return False


def test_every_file_has_one_truth():
    assert all(bool(file.numbers) != bool(file.refused) for file in ALL)
    assert len({file.name for file in ALL}) == len(ALL)
