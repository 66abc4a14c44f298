"""What is written is read again as it was."""

import os
import stat

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from kit.lists import write

from mvit_video.data import ListError, VideoList, VideoRecord, read_list
from mvit_video.data.lists.writing import can_be_written, check_output, write_lines, write_list

PIECES = st.sampled_from([*"ab1 2,;|:\"'\t\r[{}]+-./\u2028\ufeffü", ".mp4", " 7", '"id"', "youtube_id"])
HARD = st.lists(PIECES, min_size=1).map("".join)
PATHS = (HARD | st.text(min_size=1)).filter(lambda path: can_be_written(path) and path.strip() != "")


@given(st.lists(st.tuples(PATHS, st.integers(0, 400)), min_size=1, max_size=5))
def test_labelled_lists_come_back(tmp_path_factory, rows):
    videos = VideoList([VideoRecord(path, label) for path, label in rows])
    file = tmp_path_factory.mktemp("lists") / "a.list"
    write_list(file, videos)
    assert list(read_list(file)) == list(videos)


@example(['"\r'])
@given(st.lists(PATHS, min_size=1, max_size=5))
def test_lists_without_labels_come_back(tmp_path_factory, paths):
    videos = VideoList([VideoRecord(path) for path in paths])
    file = tmp_path_factory.mktemp("lists") / "a.list"
    write_list(file, videos)
    assert list(read_list(file)) == list(videos)


def test_plain_paths_are_written_plainly(tmp_path):
    """So that SlowFast, PyTorchVideo and mmaction2 can read them too."""
    records = [VideoRecord("/data/a b/c.mp4", 3), VideoRecord("d,e.webm", 0), VideoRecord("/frames/78687", 7)]
    write_list(tmp_path / "a.list", VideoList(records))
    assert (tmp_path / "a.list").read_bytes() == b"/data/a b/c.mp4 3\nd,e.webm 0\n/frames/78687 7\n"


def test_paths_may_be_relative(tmp_path):
    records = [VideoRecord(f"{tmp_path}/run/a.mp4", 3), VideoRecord(f"{tmp_path}/b.mp4", 0)]
    write_list(tmp_path / "a.list", VideoList(records), relative_to=tmp_path)
    assert (tmp_path / "a.list").read_text() == "run/a.mp4 3\nb.mp4 0\n"
    assert list(read_list(tmp_path / "a.list", path_prefix=str(tmp_path))) == records


def test_labels_for_some_are_refused(tmp_path):
    videos = VideoList([VideoRecord("a", 1), VideoRecord("b")], source="mine.csv")
    with pytest.raises(ListError, match=r"mine\.csv: some videos have a label and some have none; label"):
        write_list(tmp_path / "a.list", videos)
    assert list(tmp_path.iterdir()) == []


def test_what_a_line_cannot_hold():
    assert can_be_written("ü 視\u2028.mp4")
    assert not can_be_written("a\nb.mp4")
    assert not can_be_written(os.fsdecode(b"\xff.mp4"))


def test_a_file_appears_when_it_is_complete(tmp_path):
    def lines():
        yield "new"
        assert (tmp_path / "a.txt").read_text() == "old\n"
        raise OSError("the disk is full")

    write(tmp_path, "old\n", "a.txt")
    with pytest.raises(OSError, match="disk is full"):
        write_lines(tmp_path / "a.txt", lines())
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old\n"
    write_lines(tmp_path / "a.txt", ["new"])
    assert (tmp_path / "a.txt").read_text() == "new\n"


def test_a_file_is_as_readable_as_any_other(tmp_path):
    write_lines(tmp_path / "a.txt", ["new"])
    (tmp_path / "b.txt").write_text("new\n")
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == stat.S_IMODE(
        (tmp_path / "b.txt").stat().st_mode
    )


def test_outputs_are_checked_first(tmp_path):
    check_output(tmp_path / "new.list")
    with pytest.raises(ListError, match=r"old\.list: is there already; choose another name, or rep"):
        check_output(write(tmp_path, "", "old.list"))
    check_output(tmp_path / "old.list", force=True)
    with pytest.raises(ListError, match="is a folder; choose another name"):
        check_output(tmp_path, force=True)
    with pytest.raises(ListError, match="nowhere: there is no such folder to write to; make it first"):
        check_output(tmp_path / "nowhere" / "a.list")


def test_a_folder_that_is_not_writable(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # to root, everything is writable
    with pytest.raises(ListError, match="this folder is not writable; choose another"):
        check_output(tmp_path / "a.list")
