import pickle

import numpy as np
import pytest
from kit.lists import write

from mvit_video.data import ListError, VideoList, VideoRecord, read_list


def test_labels_are_checked_against_the_classes(tmp_path):
    found = read_list(write(tmp_path, "a.mp4 0\nb.mp4 7\nc.mp4 9\n"))
    assert found.is_labelled
    assert found.num_classes == 10
    found.check_labels(10)
    with pytest.raises(
        ListError, match=r"list\.csv: b\.mp4 has label 7, expected 0 to 4 \(2 of 3 videos are wrong\)"
    ):
        found.check_labels(5)
    with pytest.raises(ListError, match=r"the list: a\.mp4 has no label, expected 0 to 4"):
        VideoList([VideoRecord("a.mp4")]).check_labels(5)


def test_a_list_is_a_flat_sequence(tmp_path):
    rows = [VideoRecord(f"class {i % 7}/ü {i}.mp4", i % 7, i + 1 if i % 2 else None) for i in range(10000)]
    found = VideoList(rows, tuple("abcdefg"), "here")
    assert list(found) == rows
    assert found[-1] == rows[-1]
    assert list(found[5:20:3]) == rows[5:20:3]
    assert found[5:20:3].class_names == tuple("abcdefg")
    with pytest.raises(IndexError):
        found[10000]
    assert repr(found) == "VideoList(10000 videos from here)"
    data = pickle.dumps(found)
    assert len(data) < 10000 * 40  # packed, not objects
    assert list(pickle.loads(data)) == rows


def test_columns_make_the_same_list_as_records():
    rows = [
        VideoRecord("ü/a.mp4", 3, 7),
        VideoRecord("b \udcff.mp4", None, None),
        VideoRecord("c.mp4", 0, None),
    ]
    paths, labels, num_frames = zip(*rows, strict=True)
    assert list(VideoList.from_columns(paths, labels, num_frames)) == rows
    assert list(VideoList.from_columns(paths, np.array([1, 2, 3]))) == [
        VideoRecord(path, label) for path, label in zip(paths, (1, 2, 3), strict=True)
    ]
    assert list(VideoList.from_columns(["a", "b"], class_names=["x"], source="s")) == [
        ("a", None, None),
        ("b", None, None),
    ]
    assert list(VideoList.from_columns([])) == list(VideoList([])) == []


def test_labels_can_count_in_other_names():
    videos = VideoList([VideoRecord("a", 2, 9), VideoRecord("b"), VideoRecord("c", 0)], ("x", "y", "z"), "s")
    other = videos.renumbered(["z", "w", "y", "x"])
    assert list(other) == [("a", 0, 9), ("b", None, None), ("c", 3, None)]
    assert (other.class_names, other.source) == (("z", "w", "y", "x"), "s")
    assert videos.labels.tolist() == [2, -1, 0]


def test_labels_are_one_array():
    videos = VideoList([VideoRecord("a", 2), VideoRecord("b"), VideoRecord("c", 0)])
    assert videos.labels.tolist() == [2, -1, 0]
    videos.labels[:] = 9
    assert videos[0].label == 2
