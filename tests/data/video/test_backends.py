"""decord and torchcodec, where installed: right where the docs say, refused where that can be seen."""

import io
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from kit.media import ALL, BY_NAME
from kit.media_outcomes import installed_backends, outcome

from mvit_video.data import VideoError
from mvit_video.data.video.errors import DamagedVideoWarning
from mvit_video.data.video.opening import Decoding, open_reader

DOCS = Path(__file__).resolve().parents[3] / "docs" / "decoders.md"
INSTALLED = installed_backends()
GROUPS = list(dict.fromkeys(file.group for file in ALL))


def documented() -> dict[str, dict[str, str]]:
    """Per group of files what docs/decoders.md says: {"number": ..., backend: ...}."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in DOCS.read_text().splitlines()
        if line.startswith("| ")
    ]
    header = next(row for row in rows if row[0] == "files")
    return {row[0]: dict(zip(header[1:], row[1:], strict=True)) for row in rows if row[0] in GROUPS}


def test_the_documented_table_has_every_file():
    found = {group: int(row["number"]) for group, row in documented().items()}
    assert found == {group: sum(file.group == group for file in ALL) for group in GROUPS}


def test_what_the_docs_call_right_is_right(media):
    """One file of every other group; all files are a slow test, and for the default backend the matrix."""
    for backend in set(INSTALLED) - {"pyav"}:
        claimed = [group for group, row in documented().items() if row[backend] == "right"]
        assert len(claimed) > len(GROUPS) // 2
        for file in (next(file for file in ALL if file.group == group) for group in claimed[::2]):
            assert (file.name, outcome(media.path(file), file, backend)) == (file.name, "right")


@pytest.mark.slow
@pytest.mark.parametrize("backend", INSTALLED)
@pytest.mark.parametrize("group", GROUPS)
def test_the_whole_documented_table_is_true(media, backend, group):
    files = [file for file in ALL if file.group == group]
    found = [outcome(media.path(file), file, backend) for file in files]
    if documented()[group][backend] == "right":
        assert found == ["right"] * len(files)


@pytest.mark.parametrize("backend", INSTALLED)
def test_rates_and_sizes_are_those_of_the_default_backend(media, backend):
    for name in ("h264.mp4", "vp9.webm", "mpeg4.avi", "turned_90.mp4", "varying.mp4", "mpeg2.mkv"):
        with (
            open_reader(media.path(name)) as expected,
            open_reader(media.path(name), Decoding(backend)) as video,
        ):
            assert (video.width, video.height) == (expected.width, expected.height)
            assert video.fps == pytest.approx(expected.fps, rel=0.03)
            assert video.expected_frames == expected.num_frames
            assert not (backend != "pyav" and video.is_trusted)


@pytest.mark.parametrize("backend", INSTALLED)
def test_bytes_and_file_objects_are_read_like_paths(media, backend, tmp_path, monkeypatch):
    file = BY_NAME["h264.mp4"]
    path = media.path(file)
    with path.open("rb") as opened:
        for source in (path.read_bytes(), io.BytesIO(path.read_bytes()), opened):
            with open_reader(source, Decoding(backend)) as video:
                assert [file.says(frame) for frame in video.frames([39, 3, 3, 20])] == [39, 3, 3, 20]
        assert not opened.closed
    (tmp_path / "http:x.mp4").write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    with open_reader("http:x.mp4", Decoding(backend)) as video:
        assert video.num_frames == 40


@pytest.mark.parametrize("backend", INSTALLED)
def test_several_streams_do_not_disturb_each_other(media, backend):
    file = BY_NAME["h264.mp4"]
    with open_reader(media.path(file), Decoding(backend)) as video:
        one, other = video.stream(range(40)), video.stream(range(0, 40, 2))
        for step in range(20):
            assert [file.says(next(stream)[1]) for stream in (one, other)] == [step, 2 * step]


@pytest.mark.parametrize("backend", INSTALLED)
@pytest.mark.parametrize("name", ["missing.mp4", "empty.mp4", "random.mp4", "text.mp4", "sound.wav"])
def test_what_is_no_video_is_one_line_with_its_name(media, backend, name):
    with pytest.raises(VideoError) as caught:
        open_reader(media.path(name), Decoding(backend))
    assert name in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


# What a backend is known to get wrong and can be seen to: (backend, file, what the refusal says).
GUARDS = [
    ("decord", "h264.ts", "is a transport stream, which decord reads wrongly; take backend auto"),
    ("decord", "h264.m2ts", "is a transport stream, which decord reads wrongly; take backend auto"),
    ("decord", "no_first_key_frame.mkv", "does not begin with a key frame, so decord counts"),
    ("decord", "h264_16x16.mp4", r"decord gives pictures of shape \(16, 16, 6\), expected \(H, W, 3\)"),
    ("decord", "av1.mp4", "decord cannot read it: cannot find video stream"),
    ("decord", "h264_raw.h264", "decord cannot read it: .*broken metadata.*; take backend auto"),
    ("torchcodec", "h264.ts", "its timestamps do not say where its frames are"),
    ("torchcodec", "mpeg4_b_frames.avi", "its timestamps do not say where its frames are"),
    ("torchcodec", "picture.mp4", "is text or a still image"),
    ("torchcodec", "h264_raw.h264", "torchcodec cannot read it: .*; take backend auto"),
]


def test_files_that_a_backend_would_read_wrongly_are_refused(media):
    for backend, name, reason in GUARDS:
        if backend in INSTALLED:
            with pytest.raises(VideoError, match=f"{name}: .*{reason}"):
                open_reader(media.path(name), Decoding(backend))


@pytest.mark.parametrize("backend", INSTALLED)
def test_a_cut_file_ends_at_the_cut_or_is_refused(media, backend):
    file = BY_NAME["cut_fragmented.mp4"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedVideoWarning)
        assert outcome(media.path(file), file, backend) in ("right", "refused")
    with (
        pytest.raises(VideoError, match=file.name),
        open_reader(media.path(file), Decoding(backend, on_damage="refuse")) as video,
    ):
        video.frames([40])


@pytest.mark.parametrize("backend", INSTALLED)
def test_an_edit_list_ends_the_video_where_it_says(media, backend):
    """decord counts the packets, and would show the last frame again for what is cut off."""
    file = BY_NAME["trimmed_at_key_frame.mov"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedVideoWarning)
        with open_reader(media.path(file), Decoding(backend)) as video:
            assert video.num_frames == 20
            assert file.says(video.frames([19])[0]) == 31
            with pytest.raises(VideoError, match="the video has only 20 "):
                video.frames([20])


@pytest.mark.parametrize("backend", INSTALLED)
def test_frames_are_the_same_picture_in_every_backend(media, backend):
    for file in (BY_NAME["h264_341x255.mp4"], BY_NAME["colours_bt709.mp4"]):
        with (
            open_reader(media.path(file)) as expected,
            open_reader(media.path(file), Decoding(backend)) as video,
        ):
            frames = video.frames(range(10))
            assert frames.dtype == np.uint8
            assert np.abs(frames.astype(int) - expected.frames(range(10))).mean() < 2


def test_a_backend_that_is_not_installed_says_what_to_install(media):
    """Hidden in a process of its own, so that both are missing wherever the tests run."""
    script = """
import sys
from mvit_video.data.video.opening import Decoding, open_reader
for backend, package in (("decord", "decord"), ("torchcodec", "torchcodec")):
    sys.modules[package] = None
    try:
        open_reader(sys.argv[1], Decoding(backend))
    except ValueError as error:
        print(type(error).__name__, error)
"""
    path = media.path("h264.mp4")
    command = [sys.executable, "-c", script, str(path)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(lines) == 2
    for backend, line in zip(("decord", "torchcodec"), lines, strict=True):
        assert line.startswith(f"VideoError {path}: ")
        assert f"pip install {backend}, or take backend 'auto'" in line
