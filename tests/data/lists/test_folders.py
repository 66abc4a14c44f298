import numpy as np
import PIL.Image
import pytest
from kit.lists import paths_in, touch
from pytorchvideo.data.labeled_video_paths import LabeledVideoPaths

from mvit_video.data import ListError, find_videos, read_list
from mvit_video.data.lists import files
from mvit_video.data.video.opening import open_reader


def test_a_folder_per_class(tmp_path):
    touch(
        tmp_path, "run/b.mp4", "run/deep/a.AVI", "run/notes.txt", "jump up/c.webm", ".hidden/x.mp4", "top.mp4"
    )
    (tmp_path / "empty class").mkdir()
    found = read_list(tmp_path)
    assert found.class_names == ("empty class", "jump up", "run")
    assert [(record.path.removeprefix(f"{tmp_path}/"), record.label) for record in found] == [
        ("jump up/c.webm", 1),
        ("run/b.mp4", 2),
        ("run/deep/a.AVI", 2),
    ]
    known = read_list(tmp_path, class_names=["run", "walk", "jump up", "empty class"])
    assert [record.label for record in known] == [2, 0, 0]
    assert known.num_classes == 4
    with pytest.raises(ListError, match="folder 'empty class' is none of the 2 known classes"):
        read_list(tmp_path, class_names=["run", "jump up"])


def test_a_folder_of_videos_is_a_list_without_labels(tmp_path):
    touch(tmp_path, "b.mp4", "a.mkv", "x.txt")
    found = read_list(tmp_path)
    assert [record.path for record in found] == [str(tmp_path / "a.mkv"), str(tmp_path / "b.mp4")]
    assert found.class_names is None
    assert not found.is_labelled
    touch(tmp_path, "deep/c.mp4")
    assert len(read_list(tmp_path, list_format="path")) == 3
    assert find_videos(tmp_path)[-1].endswith("deep/c.mp4")


@pytest.mark.parametrize(
    ("list_format", "message"),
    [
        ("auto", "no videos; video files end in .3gp"),
        ("folders", r"no folder with videos in it \(one folder per class\); video files end in"),
        ("path_label", "is a folder, but a list file of format path_label is expected"),
    ],
)
def test_a_folder_without_videos(tmp_path, list_format, message):
    touch(tmp_path, "class/notes.txt")
    with pytest.raises(ListError, match=message):
        read_list(tmp_path, list_format=list_format)


def test_pytorchvideo_finds_the_same(tmp_path):
    touch(tmp_path, "run/b.mp4", "run/a.avi", "jump up/c.mp4", "Zumba/d.mp4")
    theirs = {path: info["label"] for path, info in LabeledVideoPaths.from_directory(str(tmp_path))}
    assert {record.path: record.label for record in read_list(tmp_path)} == theirs


def test_folders_of_frames_are_videos_where_there_are_no_video_files(tmp_path):
    for place in ("run/1", "run/deep/2", "jump/7"):
        (tmp_path / place).mkdir(parents=True)
        for number in range(3):
            PIL.Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / place / f"{number}.png")
    found = read_list(tmp_path)
    assert found.class_names == ("jump", "run")
    assert paths_in(tmp_path, found) == ["jump/7", "run/1", "run/deep/2"]
    assert [record.label for record in found] == [0, 1, 1]
    assert [open_reader(record.path).num_frames for record in found] == [3, 3, 3]
    assert paths_in(tmp_path / "run", read_list(tmp_path / "run", list_format="path")) == ["1", "deep/2"]
    touch(tmp_path, "run/film.mp4")  # then the images are something else: thumbnails, say
    assert paths_in(tmp_path, read_list(tmp_path)) == ["run/film.mp4"]


def test_a_folder_of_videos_as_folders_of_frames_has_no_labels(tmp_path):
    touch(tmp_path, "b/000001.jpg", "b/000002.jpg", "a/000001.jpg")
    found = read_list(tmp_path)
    assert paths_in(tmp_path, found) == ["a", "b"]
    assert not found.is_labelled


def test_links_are_followed_once(tmp_path):
    touch(tmp_path / "store", "a.mp4")
    touch(tmp_path / "data", "run/b.mp4")
    (tmp_path / "data" / "run" / "more").symlink_to(tmp_path / "store")
    (tmp_path / "data" / "run" / "again").symlink_to(tmp_path / "data" / "run")  # a circle
    assert paths_in(tmp_path / "data", read_list(tmp_path / "data")) == ["run/b.mp4", "run/more/a.mp4"]


def test_a_folder_that_cannot_be_looked_into(tmp_path, monkeypatch):
    touch(tmp_path, "run/deep/b.mp4")

    def scandir(folder, scandir=files.os.scandir):  # to root, who may be running this, nothing is closed
        if str(folder).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(files.os, "scandir", scandir)
    with pytest.raises(ListError, match=r"run/deep: cannot be looked into: Permission denied"):
        read_list(tmp_path)
