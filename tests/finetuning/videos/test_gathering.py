"""Which videos there are, and of which classes; what is wrong is one line."""

import logging
import os

import pytest
from kit.lists import touch

from mvit_video.data import read_list
from mvit_video.finetuning.errors import FinetuneError
from mvit_video.finetuning.videos.gathering import check_sizes, describe, gather


@pytest.fixture
def clips(tmp_path):
    touch(tmp_path / "clips", "run/a.mp4", "run/b.mp4", "jump/c.mp4", "jump/deep/d.webm")
    return tmp_path / "clips"


def read(path, names=None):
    return read_list(path, class_names=names)


def listed(folder, *lines):
    (folder / "list.txt").write_text("".join(f"{line}\n" for line in lines))
    return str(folder / "list.txt")


def test_folders_are_classes(clips):
    videos = gather(str(clips), read)
    assert videos.class_names == ("jump", "run")
    assert [(os.path.relpath(path, clips), label) for path, label, _ in videos] == [
        ("jump/c.mp4", 0), ("jump/deep/d.webm", 0), ("run/a.mp4", 1), ("run/b.mp4", 1),
    ]  # fmt: skip


def test_paths_become_absolute_and_numbers_become_names(clips, monkeypatch):
    monkeypatch.chdir(clips)
    videos = gather(listed(clips, "run/a.mp4 0", "jump/c.mp4 3", "s3://far/e.mp4 3"), read)
    assert videos.class_names == ("0", "3")  # numbered anew, under their old names
    assert [(path, label) for path, label, _ in videos] == [
        (f"{clips}/run/a.mp4", 0), (f"{clips}/jump/c.mp4", 1), ("s3://far/e.mp4", 1),
    ]  # fmt: skip


def test_classes_without_videos_are_left_out(clips, caplog):
    (clips / "__MACOSX").mkdir()
    with caplog.at_level(logging.WARNING):
        videos = gather(str(clips), read)
    assert videos.class_names == ("jump", "run")
    assert "left out, as no video is of it: __MACOSX" in caplog.text


def test_a_list_beside_another_keeps_its_classes(clips, tmp_path):
    touch(tmp_path / "val", "run/z.mp4")
    videos = gather(str(tmp_path / "val"), read, ("jump", "run"))
    assert (videos.class_names, videos[0].label) == (("jump", "run"), 1)
    touch(tmp_path / "val", "dance/y.mp4")
    with pytest.raises(ValueError, match="folder 'dance' is none of the 2 known classes"):
        gather(str(tmp_path / "val"), read, ("jump", "run"))


def test_a_video_listed_twice_counts_once(clips, caplog):
    with caplog.at_level(logging.WARNING):
        videos = gather(listed(clips, "/v/a.mp4 0", "/v/b.mp4 1", "/v/a.mp4 0"), read)
    assert len(videos) == 2
    assert "1 videos are listed more than once" in caplog.text


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("/v/a.mp4 0", "/v/b.mp4 1", "/v/a.mp4 1"), "/v/a.mp4 is listed as '0' and as '1': keep one of"),
        (("/v/a.mp4", "/v/b.mp4"), "none of its 2 videos has a class: put them into one folder per class"),
        (("/v/a.mp4 2", "/v/b.mp4 2"), "has videos of only one class ('2'), expected two or more"),
    ],
)
def test_what_a_list_must_not_hold(tmp_path, lines, message):
    with pytest.raises(FinetuneError) as error:
        gather(listed(tmp_path, *lines), read)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_there_is_no_such_folder(tmp_path):
    with pytest.raises(ValueError, match="nowhere: no such list file or folder"):
        gather(str(tmp_path / "nowhere"), read)


def test_two_spellings_of_one_class(tmp_path):
    touch(tmp_path, "High_Jump/a.mp4", "high jump/b.mp4")
    with pytest.raises(FinetuneError, match="the classes 'High_Jump' and 'high jump' are one name"):
        gather(str(tmp_path), read)


def test_a_class_of_one_video(tmp_path):
    touch(tmp_path, "run/a.mp4", "run/b.mp4", "jump/c.mp4")
    videos = gather(str(tmp_path), read)
    with pytest.raises(FinetuneError, match="of jump there is one video, expected two or more"):
        check_sizes(videos, held_out_given=False)
    check_sizes(videos, held_out_given=True)


def test_names_in_a_sentence():
    assert describe(["a", "b"]) == "a, b"
    assert describe(list("abcdefgh")) == "a, b, c, d, e and 3 more"
