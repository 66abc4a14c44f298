"""What files, folders and lists stand for."""

import pytest

from mvit_video.data.lists.reading import ListError
from mvit_video.inference.videos import expand_inputs


def test_folders_are_searched_below_and_sorted_and_files_stay_as_they_are(tmp_path):
    for name in ("b.mp4", "a.MKV", "sub/deep/c.webm", "notes.md", "sub/list.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = expand_inputs(["odd name", str(tmp_path), "odd name"])
    assert found == [
        "odd name",
        *(str(tmp_path / name) for name in ("a.MKV", "b.mp4", "sub/deep/c.webm")),
        "odd name",
    ]


def test_a_folder_of_images_is_a_video_unless_there_are_videos(tmp_path):
    frames = tmp_path / "all" / "1234"
    for folder in (frames, tmp_path / "all" / "77"):
        folder.mkdir(parents=True)
        (folder / "000001.JPG").touch()
        (folder / "000002.jpg").touch()
    assert expand_inputs([str(frames)]) == [str(frames)]
    assert expand_inputs([str(tmp_path)]) == [str(frames), str(tmp_path / "all" / "77")]
    (frames / "clip.mp4").touch()  # its images are something else then
    assert expand_inputs([str(frames)]) == [str(frames / "clip.mp4")]


def test_a_list_stands_for_the_paths_in_it(tmp_path):
    (tmp_path / "list.csv").write_text("some clip.mp4 3\nother.mp4 0\n")
    (tmp_path / "list.TXT").write_text("one.mp4\ntwo words.mp4\n")
    found = expand_inputs([str(tmp_path / "list.csv"), str(tmp_path / "list.TXT")])
    assert found == ["some clip.mp4", "other.mp4", "one.mp4", "two words.mp4"]


def test_nothing_in_it_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no video files in this folder or below") as caught:
        expand_inputs([str(tmp_path)])
    assert str(tmp_path) in str(caught.value)
    with pytest.raises(ListError, match=r"missing\.csv"):
        expand_inputs([str(tmp_path / "missing.csv")])
