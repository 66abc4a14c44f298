"""Copies are found again: encoded anew, smaller, mirrored; other videos are not."""

import json
import os
from pathlib import Path

import av
import numpy as np
import pytest
from kit.videos import write_video

from mvit_video.data import Decoding, VideoList, VideoRecord
from mvit_video.finetuning.videos.fingerprints import take_fingerprints
from mvit_video.finetuning.videos.near_duplicates import copies, find_pairs, join_copies
from mvit_video.finetuning.videos.sources import Sources


def scene(seed):
    """Pictures of a blotchy background over which a bright square moves; from a number, 64 x 96 pixels."""
    rng = np.random.default_rng(seed)
    blotches = np.kron(rng.integers(0, 200, (8, 12, 3)), np.ones((8, 8, 1))).astype(np.uint8)

    def picture(number):
        frame = blotches.copy()
        left = (seed * 7 + 3 * number) % 80
        frame[20:36, left : left + 16] = 255
        return frame

    return picture


def write(path, seed, *, width=96, height=64, quality="23", change=lambda frame: frame):
    """A video of a scene; of another size where that is asked for."""
    path.parent.mkdir(parents=True, exist_ok=True)

    def picture(number):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(change(scene(seed)(number))), format="rgb24")
        return frame.reformat(width, height).to_ndarray(format="rgb24")

    write_video(
        path, 24, picture=picture, width=width, height=height, options={"crf": quality, "preset": "veryfast"}
    )
    return VideoRecord(str(path))


def look(records, folder, **more):
    words = {"decoding": Decoding(), "num_workers": 0, "timeout_seconds": 60.0, **more}
    return take_fingerprints(records, folder / "fingerprints.jsonl", **words)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    return folder, [write(folder / f"{seed}.mp4", seed) for seed in range(8)]


def test_copies_are_found_and_others_are_not(scenes, tmp_path):
    folder, learned = scenes
    again = write(tmp_path / "again.mp4", 2, width=48, height=32, quality="36")
    mirrored = write(tmp_path / "mirrored.mp4", 5, quality="30", change=lambda frame: frame[:, ::-1])
    other = write(tmp_path / "other.mp4", 99)
    pairs = find_pairs(look([again, mirrored, other], tmp_path), look(learned, folder))
    assert [(pair.path, pair.other, pair.kind) for pair in pairs] == [
        (again.path, learned[2].path, "the same pictures"),
        (mirrored.path, learned[5].path, "mirrored"),
    ]
    assert all(0.8 <= pair.likeness <= 1 for pair in pairs)


def test_plain_pictures_tell_nothing(tmp_path):
    plain = [
        VideoRecord(
            str(write_video(tmp_path / f"{n}.mp4", 8, picture=lambda _: np.full((64, 64, 3), 90, np.uint8)))
        )
        for n in range(2)
    ]
    prints = look(plain, tmp_path)
    assert all(print_.error == "" for print_ in prints)
    assert find_pairs(prints[:1], prints[1:]) == []


def test_known_fingerprints_are_not_taken_again(scenes, tmp_path):
    _, learned = scenes
    record = write(tmp_path / "a.mp4", 1)
    first = look([record, learned[0]], tmp_path)
    lines = (tmp_path / "fingerprints.jsonl").read_text().splitlines()
    assert [json.loads(line)["path"] for line in lines] == [record.path, learned[0].path]
    with open(tmp_path / "fingerprints.jsonl", "a") as file:
        file.write('{"format": 1, "path": "cut o')  # a sitting that was killed
        file.write("\n")
    again = look([record, learned[0]], tmp_path)
    assert len((tmp_path / "fingerprints.jsonl").read_text().splitlines()) == 3
    assert all(np.array_equal(one.marks, other.marks) for one, other in zip(first, again, strict=True))
    assert all(np.array_equal(one.mirrored, other.mirrored) for one, other in zip(first, again, strict=True))
    write(tmp_path / "a.mp4", 3)  # another video under the old name
    changed = look([record, learned[0]], tmp_path)
    assert not np.array_equal(changed[0].marks, first[0].marks)


def test_a_video_that_cannot_be_read_says_why(scenes, tmp_path):
    _, learned = scenes
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    records = [VideoRecord(str(tmp_path / "bad.mp4")), learned[0], VideoRecord(str(tmp_path / "gone.mp4"))]
    for _ in range(2):
        bad, good, gone = look(records, tmp_path)
        assert (bad.marks, gone.marks, good.error) == (None, None, "")
        assert "bad.mp4" in bad.error
        assert "gone.mp4" in gone.error
    assert find_pairs([bad, gone], [good]) == []


def test_a_read_error_that_passes_is_forgotten(scenes, tmp_path):
    _, learned = scenes
    path = tmp_path / "there.mp4"
    content = Path(learned[0].path).read_bytes()
    record, seconds = VideoRecord(str(path)), (1_700_000_000, 1_700_000_000)
    path.write_bytes(bytes(len(content)))  # a disk that gives nothing but zeros, for now
    os.utime(path, seconds)
    (bad,) = look([record], tmp_path)
    assert "there.mp4" in bad.error
    path.write_bytes(content)  # of the same size and date
    os.utime(path, seconds)
    (good,) = look([record], tmp_path)
    assert good.error == ""
    assert np.array_equal(good.marks, look([learned[0]], tmp_path)[0].marks)


def test_a_line_that_was_cut_off_spoils_no_other(scenes, tmp_path):
    _, learned = scenes
    cache = tmp_path / "fingerprints.jsonl"
    look(learned[:2], tmp_path)
    cache.write_bytes(cache.read_bytes()[:-30])  # killed while it wrote the second
    look(learned[:3], tmp_path)
    paths = [json.loads(line)["path"] for line in cache.read_text().splitlines()]
    assert paths == [record.path for record in learned[:3]]


@pytest.mark.slow
def test_workers_see_the_same(scenes, tmp_path):
    _, learned = scenes
    here = look(learned[:3], tmp_path)
    (tmp_path / "fingerprints.jsonl").unlink()
    there = look(learned[:3], tmp_path, num_workers=1)
    assert all(np.array_equal(one.marks, other.marks) for one, other in zip(here, there, strict=True))


def test_equal_files_are_one_source(tmp_path):
    for name, content in (("a", b"one"), ("b", b"two"), ("c", b"one"), ("d", b"other"), ("e", b"two")):
        (tmp_path / f"{name}.mp4").write_bytes(content)
    paths = [str(tmp_path / f"{name}.mp4") for name in "abcde"]
    assert copies(paths) == [[paths[0], paths[2]], [paths[1], paths[4]]]
    videos = VideoList.from_columns(paths, [0, 0, 1, 1, 1], class_names=("x", "y"))
    joined, num_copies = join_copies(videos, Sources(("k1", "k2", "k3", "k1", "k5"), "names"))
    assert num_copies == 2
    a, b, c, d, e = joined.keys
    assert a == c == d
    assert b == e != a
