"""Result files: one row per video, whatever became of it."""

import csv
import json

import pytest
import torch

from mvit_video.engine.errors import RunError
from mvit_video.engine.testing.results import TestResult, VideoResult, check_results_path, write_results

NAMES = ("cat", 'dog, "big"', "élan")
ROWS = (
    VideoResult("a b.mp4", 1, torch.tensor([0.25, 0.5, 0.25]), 10),
    VideoResult("broken.mp4", 0, None, 0, "broken.mp4: not a video"),
    VideoResult(
        "c.mp4", None, torch.tensor([0.0, 0.125, 0.875]), 9, damage="good up to frame 7, then no more"
    ),
)
RESULT = TestResult(100.0, 100.0, 2, 19, (("broken.mp4", "broken.mp4: not a video"),), ROWS)


def test_csv(tmp_path):
    path = tmp_path / "made/results.csv"
    write_results(path, RESULT, NAMES)
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == ["a b.mp4", "broken.mp4", "c.mp4"]
    first, broken, last = rows
    assert (first["label"], first["label_name"]) == ("1", NAMES[1])
    assert (first["num_views"], first["error"]) == ("10", "")
    assert (first["top1_index"], first["top1_name"], first["top1_score"]) == ("1", NAMES[1], "0.500000")
    assert [first[f"top{place}_name"] for place in (2, 3, 4)] == ["cat", "élan", ""]
    assert (broken["error"], broken["num_views"]) == ("broken.mp4: not a video", "0")
    assert broken["top1_index"] == ""
    assert (last["label"], last["label_name"], last["top1_name"]) == ("", "", "élan")
    assert [row["damage"] for row in rows] == ["", "", "good up to frame 7, then no more"]


def test_json(tmp_path):
    path = tmp_path / "results.json"
    write_results(path, RESULT, NAMES)
    report = json.loads(path.read_text(encoding="utf-8"))
    assert (report["top1"], report["num_videos"], report["num_views"]) == (100.0, 2, 19)
    assert report["unreadable"] == [{"path": "broken.mp4", "error": "broken.mp4: not a video"}]
    assert report["class_names"] == list(NAMES)
    first, broken, last = report["videos"]
    assert first["top"][0] == {"index": 1, "name": NAMES[1], "score": 0.5}
    assert first["scores"] == [0.25, 0.5, 0.25]
    assert (broken["scores"], broken["top"]) == (None, [])
    assert (last["label"], last["label_name"]) == (None, "")
    assert (first["damage"], last["damage"]) == (None, "good up to frame 7, then no more")


def test_without_names_the_fields_are_empty(tmp_path):
    write_results(tmp_path / "results.csv", RESULT)
    with open(tmp_path / "results.csv", newline="") as file:
        first = next(csv.DictReader(file))
    assert (first["top1_index"], first["top1_name"], first["label_name"]) == ("1", "", "")


def test_other_endings_are_refused(tmp_path):
    with pytest.raises(RunError, match=r"TEST.SAVE_RESULTS_PATH is 'out.pkl', expected .* \.csv or \.json"):
        check_results_path("out.pkl")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(RunError, match="results could not be written"):
        write_results(tmp_path / "folder.csv", RESULT)
    assert [file.name for file in tmp_path.iterdir()] == ["folder.csv"]


def test_the_summary_says_what_the_accuracy_stands_on():
    assert str(RESULT) == "top-1 100.00 %, top-5 100.00 %; 2 videos, 19 views, 1 unreadable, 1 damaged"
    unlabelled = TestResult(None, None, 2, 4, (), ())
    assert str(unlabelled) == "no labels, so no accuracy; 2 videos, 4 views, 0 unreadable"


def test_nothing_read_is_not_called_a_lack_of_labels():
    nothing = TestResult(None, None, 0, 0, (("a.mp4", "a.mp4: no such file"),), ())
    assert str(nothing) == "no video could be read, so no accuracy; 0 videos, 0 views, 1 unreadable"
