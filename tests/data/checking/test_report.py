import csv
import json

import pytest

from mvit_video.data import ClipSpec, ListError, VideoList, VideoRecord, read_list
from mvit_video.data.checking.facts import FileState, VideoFacts
from mvit_video.data.checking.report import KINDS, make_report, without
from mvit_video.data.checking.writing import check_report_path, write_report


def facts(path, **changes):
    usual = {
        "state": FileState(1000, 1), "num_frames": 300, "fps": 30.0,
        "width": 340, "height": 256, "digest": path,
    }  # fmt: skip
    return VideoFacts(path, **{**usual, **changes})


def report(rows, *, class_names=None, clip=None, num_classes=None):
    """Of (facts, label)."""
    videos = VideoList([VideoRecord(one.path, label) for one, label in rows], class_names, "x.list")
    known = {one.path: one for one, _ in rows}
    return videos, make_report(videos, known, clip=clip, num_classes=num_classes)


def found(made, kind):
    return [(finding.path, finding.detail) for finding in made.of_kind(kind)]


def unreadable(path, reason="no such file"):
    return facts(
        path, status="unreadable", reason=reason, num_frames=0, fps=0.0, width=0, height=0, digest=""
    )


def test_nothing_is_wrong():
    _, made = report([(facts(f"{i}.mp4"), i) for i in range(3)], clip=ClipSpec(16, 4), num_classes=3)
    assert made.findings == ()
    assert (made.num_videos, made.num_frames, made.num_bytes) == (3, 900, 3000)
    assert made.hours == pytest.approx(30 / 3600)
    assert made.rates == ((30.0, 3),)
    assert made.sizes == (("340x256", 3),)
    assert dict(made.classes) == {0: 1, 1: 1, 2: 1}


def test_what_cannot_be_read_and_what_is_damaged():
    rows = [
        (unreadable("a.mp4"), 0),
        (facts("b.mp4", status="damaged", reason="good up to frame 50, then x", num_frames=50), 0),
        (facts("c.mp4", status="crashed", reason="killed by SIGSEGV", num_frames=0), 0),
    ]
    _, made = report(rows)
    assert found(made, "unreadable") == [("a.mp4", "no such file"), ("c.mp4", "killed by SIGSEGV")]
    assert found(made, "damaged") == [("b.mp4", "good up to frame 50, then x")]
    assert made.num_frames == 50
    assert [finding.row for finding in made.findings] == [0, 2, 1]


@pytest.mark.parametrize(
    ("frames", "fps", "is_short"),
    [(64, 30, False), (63, 30, True), (53, 25, False), (52, 25, True), (64, 29.97, False), (127, 60, True)],
)
def test_short_means_shorter_than_a_clip_lasts(frames, fps, is_short):
    _, made = report([(facts("a.mp4", num_frames=frames, fps=fps), 0)], clip=ClipSpec(16, 4))
    assert bool(made.of_kind("short")) is is_short
    assert report([(facts("a.mp4", num_frames=1), 0)])[1].findings == ()  # nobody asked


def test_duplicates_are_named_after_the_first():
    rows = [
        (facts("a.mp4"), 0),
        (facts("b.mp4", digest="a.mp4"), 0),
        (facts("c.mp4", digest="a.mp4"), 1),
        (facts("a.mp4"), 0),
        (unreadable("d.mp4"), 0),
        (unreadable("e.mp4"), 0),
        (unreadable("d.mp4"), 2),
    ]
    videos, made = report(rows)
    assert found(made, "duplicate") == [
        ("b.mp4", "the same bytes as a.mp4"),
        ("c.mp4", "the same bytes as a.mp4, which has label 0"),
        ("a.mp4", "listed before"),
        ("d.mp4", "listed before, which has label 0"),
    ]
    assert made.num_frames == 900  # a.mp4 counts once
    assert [record.path for record in without(videos, made, {"duplicate"})] == ["a.mp4", "d.mp4", "e.mp4"]
    assert [record.path for record in without(videos, made, {"duplicate", "unreadable"})] == ["a.mp4"]


def test_labels_must_be_there_and_in_range():
    rows = [(facts("a.mp4"), 0), (facts("b.mp4"), 3), (facts("c.mp4"), None)]
    expected = [("b.mp4", "label 3, expected 0 to 2"), ("c.mp4", "has no label")]
    assert found(report(rows, num_classes=3)[1], "label") == expected
    assert found(report(rows, class_names=("x", "y", "z"))[1], "label") == expected
    assert found(report(rows)[1], "label") == expected[1:]
    assert found(report(rows[2:])[1], "label") == []
    assert found(report(rows[2:], num_classes=3)[1], "label") == expected[1:]


def test_odd_is_what_differs_from_nearly_all():
    usual = [(facts(f"{i}.mp4"), 0) for i in range(19)]
    other = (facts("odd.mp4", fps=25.0, width=320), 0)
    _, made = report([*usual, other])
    assert found(made, "odd") == [
        (
            "odd.mp4",
            "25.00 frames per second, and 95.0% of the videos have 30.00 frames per second; "
            "320x256, and 95.0% of the videos have 340x256",
        )
    ]
    mixed = [(facts(f"m{i}.mp4", width=320 + i), 0) for i in range(5)]
    assert found(report([*usual, *mixed])[1], "odd") == []
    assert made.rates == ((30.0, 19), (25.0, 1))


def test_reports_as_files(tmp_path):
    rows = [
        (facts("a.mp4"), 0),
        (unreadable("b,\udcff.mp4", 'no "video"'), 1),
        (facts("c.mp4", num_frames=3), 5),
    ]
    _, made = report(rows, class_names=("cat", "dog", "cow"), clip=ClipSpec(4, 2))
    write_report(tmp_path / "r.json", made)
    written = json.loads((tmp_path / "r.json").read_text())
    assert written["counts"] == dict.fromkeys(KINDS, 0) | {"unreadable": 1, "short": 1, "label": 1}
    assert written["findings"][0] == {
        "kind": "unreadable", "path": "b,\udcff.mp4", "label": 1, "detail": 'no "video"'
    }  # fmt: skip
    assert written["classes"] == [
        {"label": 0, "videos": 1, "name": "cat"},
        {"label": 1, "videos": 1, "name": "dog"},
        {"label": 2, "videos": 0, "name": "cow"},
        {"label": 5, "videos": 1},
    ]
    assert (written["videos"], written["frames"], written["bytes"]) == (3, 303, 3000)
    write_report(tmp_path / "r.csv", made)
    with open(tmp_path / "r.csv", newline="") as file:
        table = list(csv.reader(file))
    assert table[:2] == [
        ["kind", "path", "label", "detail"],
        ["unreadable", "b,\\udcff.mp4", "1", 'no "video"'],
    ]
    assert len(table) == 4
    for name in ("r.json", "r.csv"):
        check_report_path(tmp_path / name)  # a report may be replaced
    (tmp_path / "mine.csv").write_text("something else\n")
    with pytest.raises(ListError, match=r"mine\.csv: is there already; choose another name, or replace it"):
        check_report_path(tmp_path / "mine.csv")
    check_report_path(tmp_path / "mine.csv", force=True)
    with pytest.raises(ListError, match=r"r\.txt: a report's name ends in \.json or \.csv"):
        check_report_path(tmp_path / "r.txt")


def test_a_clean_list_can_be_read(tmp_path):
    from mvit_video.data.lists.writing import write_list

    videos, made = report([(facts("a.mp4"), 0), (unreadable("b.mp4"), 1), (facts("c.mp4"), 1)])
    write_list(tmp_path / "clean.list", without(videos, made, {"unreadable"}))
    assert [(row.path, row.label) for row in read_list(tmp_path / "clean.list")] == [
        ("a.mp4", 0),
        ("c.mp4", 1),
    ]
