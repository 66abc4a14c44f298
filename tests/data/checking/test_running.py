import dataclasses
import hashlib
import json
import os
import shutil

import numpy as np
import pytest
from kit.videos import write_video
from PIL import Image

from mvit_video.data import Decoding
from mvit_video.data.checking.facts import FileState, VideoChecker, VideoFacts
from mvit_video.data.checking.journal import Journal
from mvit_video.data.checking.running import check_videos, left_to_check

DECODING = Decoding()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checked")
    write_video(folder / "good.mp4", 40, width=80, height=64, fps=25)
    write_video(folder / "other.mkv", 20)
    (folder / "text.mp4").write_bytes(b"no video" * 100)
    return folder


def check(paths, journal, num_workers=1):
    return list(check_videos(paths, journal, decoding=DECODING, num_workers=num_workers))


def test_the_facts_of_a_video(folder):
    path = folder / "good.mp4"
    state = path.stat()
    assert VideoChecker(DECODING)(str(path)) == VideoFacts(
        str(path), FileState(state.st_size, state.st_mtime_ns), "good", "", 40, 25.0, 64, 80,
        hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest(),
    )  # fmt: skip


@pytest.mark.filterwarnings("error")
def test_every_frame_is_decoded(tmp_path):
    """The packets of this file are all there, and one of them is not what it says."""
    path = write_video(
        tmp_path / "v.mp4", 60, b_frames=0, options={"x264-params": "keyint=60:scenecut=0:cabac=0"},
        picture=lambda number: np.random.default_rng(number).integers(0, 255, (64, 64, 3), np.uint8),
    )  # fmt: skip
    data = bytearray(path.read_bytes())
    middle = len(data) * 2 // 3
    data[middle : middle + 3000] = bytes(3000)
    path.write_bytes(data)
    found = VideoChecker(DECODING)(str(path))
    assert found.status == "damaged"
    assert 20 < found.num_frames < 58
    assert found.reason.startswith(f"good up to frame {found.num_frames}, then ")


def test_folders_of_frames(tmp_path):
    for number in range(5):
        Image.new("RGB", (40, 30), (number, 0, 0)).save(tmp_path / f"img_{number:05d}.png")
    found = VideoChecker(DECODING)(str(tmp_path))
    assert (found.status, found.num_frames, found.width, found.height) == ("good", 5, 40, 30)
    assert found.state.is_known
    shutil.copytree(tmp_path, tmp_path / "copy", ignore=shutil.ignore_patterns("copy"))
    assert VideoChecker(DECODING)(str(tmp_path / "copy")).digest == found.digest
    (tmp_path / "img_00003.png").write_bytes(b"x")
    changed = VideoChecker(DECODING)(str(tmp_path))
    assert changed.state != found.state
    assert changed.digest != found.digest
    assert (changed.status, changed.num_frames) == ("damaged", 3)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_all_facts_come_in_order_and_are_noted(folder, tmp_path, num_workers):
    paths = [str(folder / name) for name in ("good.mp4", "text.mp4", "other.mkv", "none.mp4")]
    with Journal(tmp_path / "j.jsonl", DECODING) as journal:
        found = check(paths, journal, num_workers)
        assert [one.path for one in found] == paths
        assert [one.status for one in found] == ["good", "unreadable", "good", "unreadable"]
        assert [one.num_frames for one in found] == [40, 0, 20, 0]
        assert found[1].reason.startswith("not a video")
        assert found[1].digest
        assert found[3].reason == "no such file"
        assert journal.facts == {one.path: one for one in found}
    with Journal(tmp_path / "j.jsonl", DECODING) as journal:
        assert journal.facts == {one.path: one for one in found}
        # What is not there now may be there later.
        assert left_to_check([*paths, paths[0], paths[3]], journal) == [paths[3]]


def test_a_file_that_has_changed_is_checked_again(folder, tmp_path):
    path = tmp_path / "v.mp4"
    shutil.copy(folder / "good.mp4", path)
    with Journal(tmp_path / "j.jsonl", DECODING) as journal:
        check([str(path)], journal, 0)
        assert left_to_check([str(path)], journal) == []
        os.utime(path, (1, 1))
        assert left_to_check([str(path)], journal) == [str(path)]
        shutil.copy(folder / "other.mkv", path)
        assert left_to_check([str(path)], journal) == [str(path)]
        check([str(path)], journal, 0)
        assert journal.facts[str(path)].num_frames == 20
    with Journal(tmp_path / "j.jsonl", DECODING) as journal:
        assert left_to_check([str(path)], journal) == []
        assert journal.facts[str(path)].num_frames == 20


def test_what_was_cut_off_is_dropped_and_the_rest_goes_on(folder, tmp_path):
    paths = [str(folder / name) for name in ("good.mp4", "other.mkv", "text.mp4")]
    place = tmp_path / "j.jsonl"
    with Journal(place, DECODING) as journal:
        check(paths, journal, 0)
    whole = place.read_bytes()
    for cut in (1, 30, len(whole.split(b"\n")[-2])):
        place.write_bytes(whole[:-cut])
        with Journal(place, DECODING) as journal:
            assert left_to_check(paths, journal) == paths[2:]
            check(paths[2:], journal, 0)
        assert place.read_bytes() == whole
    place.write_bytes(whole.replace(b'"good"', b'"good', 1))  # nothing after a broken line is believed
    with Journal(place, DECODING) as journal:
        assert left_to_check(paths, journal) == paths


def test_other_decoders_and_other_files_count_for_nothing(folder, tmp_path):
    paths, place = [str(folder / "good.mp4")], tmp_path / "j.jsonl"
    with Journal(place, DECODING) as journal:
        check(paths, journal, 0)
    for again in (Journal(place, Decoding("pyav")), Journal(place, DECODING, fresh=True)):
        with again:
            assert left_to_check(paths, again) == paths
        assert len(place.read_text().split("\n")) == 2
    place.write_text("something else\n")
    with Journal(place, DECODING) as journal:
        assert journal.facts == {}
    assert json.loads(place.read_text())["backend"] == "auto"


def test_a_crash_is_tried_again(folder, tmp_path):
    path = str(folder / "good.mp4")
    with Journal(tmp_path / "j.jsonl", DECODING) as journal:
        (good,) = check([path], journal, 0)
        journal.add(dataclasses.replace(good, status="crashed", reason="killed by SIGSEGV"))
        assert left_to_check([path], journal) == [path]
