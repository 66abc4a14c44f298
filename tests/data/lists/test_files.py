import pytest
from kit.lists import touch

from mvit_video.data.lists.files import join_prefix, scan_for


@pytest.mark.parametrize(
    ("prefix", "path", "expected"),
    [
        ("", "a.mp4", "a.mp4"),
        ("/data", "a.mp4", "/data/a.mp4"),
        ("/data/", "b/a.mp4", "/data/b/a.mp4"),
        ("data", "/b/a.mp4", "/b/a.mp4"),
        ("/data", "s3://bucket/a.mp4", "s3://bucket/a.mp4"),
        ("s3://bucket", "a.mp4", "s3://bucket/a.mp4"),
    ],
)
def test_prefixes_go_before_relative_paths(prefix, path, expected):
    assert join_prefix(prefix, path) == expected


def scan(folder, *wanted):
    found = scan_for(folder, lambda stem: stem if stem in wanted else None)
    return {
        name: sorted(path.removeprefix(f"{folder}/") for path in paths) for name, paths in found.found.items()
    }, found.num_files


def test_files_and_folders_of_frames_are_found_at_any_depth(tmp_path):
    touch(
        tmp_path,
        "1.webm",
        "a/b/c/2.MP4",
        "deep/3/1.jpg",
        "4/1.png",
        "1.jpg",
        "2.txt",
        ".hidden/5.webm",
        "x.mkv",
    )
    assert scan(tmp_path, *"12345") == (
        {"1": ["1.webm"], "2": ["a/b/c/2.MP4"], "3": ["deep/3"], "4": ["4"]}, 5
    )  # fmt: skip


def test_a_folder_of_videos_may_be_named_like_a_video(tmp_path):
    """Data sets parted into numbered folders, whose videos are named by numbers too."""
    touch(tmp_path, "1/1.webm", "1/2.webm", "2/3.webm", "4/deep/5.webm")
    assert scan(tmp_path, *"12345") == (
        {"1": ["1/1.webm"], "2": ["1/2.webm"], "3": ["2/3.webm"], "5": ["4/deep/5.webm"]}, 4
    )  # fmt: skip


def test_an_empty_folder_of_frames_is_one_nevertheless(tmp_path):
    (tmp_path / "1").mkdir()
    touch(tmp_path, "2/1.jpg")
    assert scan(tmp_path, *"12") == ({"1": ["1"], "2": ["2"]}, 2)


def test_links_are_followed_and_broken_ones_are_not_there(tmp_path):
    touch(tmp_path / "store", "1.mp4", "videos/2.mp4")
    folder = touch(tmp_path / "classes", "run/.keep")
    (folder / "run" / "1.mp4").symlink_to(tmp_path / "store" / "1.mp4")
    (folder / "run" / "3.mp4").symlink_to(tmp_path / "nowhere.mp4")
    (folder / "walk").symlink_to(tmp_path / "store" / "videos")
    (folder / "again").symlink_to(folder)  # a circle
    assert scan(folder, *"123") == ({"1": ["run/1.mp4"], "2": ["walk/2.mp4"]}, 2)


def test_copies_are_all_told(tmp_path):
    touch(tmp_path, "a/1.mp4", "b/1.webm")
    assert scan(tmp_path, "1") == ({"1": ["a/1.mp4", "b/1.webm"]}, 2)
