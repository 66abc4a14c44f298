"""The files that say what came of it."""

import csv
import json

import pytest
import torch
from PIL import Image

from mvit_video.engine.testing.evaluation import summarise
from mvit_video.engine.testing.results import VideoResult
from mvit_video.finetuning.reporting.files import make_report, predict_line, write_report

NAMES = ("run, fast", "jump", "swim", "fly", "crawl", "roll")
FACTS = {
    "model": "mvitv2_s_16x4.k400",
    "videos": "clips",
    "is_shared": True,
    "words": ["10 videos of 6 classes"],
    "warnings": ["classes of few sources: jump (2)"],
}


def scores(given):
    return torch.nn.functional.one_hot(torch.tensor(given), 6) * 0.9


@pytest.fixture
def written(tmp_path):
    answers = [(0, 0), (0, 0), (0, 1), (1, 1), (2, 1), (3, 3)]
    rows = [VideoResult(f"{n}.mp4", label, scores(given), 5) for n, (label, given) in enumerate(answers)]
    rows.append(VideoResult("bad.mp4", 4, None, 0, "no frames"))
    report = make_report(summarise(rows), NAMES, FACTS, "runs/my mine")
    write_report(tmp_path, report)
    return tmp_path, report


def test_the_report_for_programs(written):
    folder, _ = written
    content = json.loads((folder / "report.json").read_text())
    accuracy = content["accuracy"]
    assert (accuracy["top1"], accuracy["correct"], accuracy["videos"], accuracy["unreadable"]) == (
        66.67,
        4,
        6,
        1,
    )
    assert accuracy["interval_95"] == pytest.approx([30.0, 90.32], abs=0.01)
    assert accuracy["mean_of_classes"] == pytest.approx((200 / 3 + 100 + 0 + 100) / 4, abs=0.01)
    assert "the same videos chose the best weights" in accuracy["caveat"]
    assert content["classes"][0] == {"name": "run, fast", "correct": 2, "videos": 3}
    assert content["facts"] == FACTS


def test_the_tables(written):
    folder, _ = written
    with open(folder / "per_class.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {
        "class": "run, fast", "correct": "2", "videos": "3", "accuracy": "66.67",
        "from": "20.77", "to": "93.85", "most_often_taken_for": "jump", "times": "1",
    }  # fmt: skip
    with open(folder / "confusion.csv", newline="") as file:
        table = list(csv.reader(file))
    assert table[0] == ["", *NAMES]
    assert table[1] == ["run, fast", "2", "1", "0", "0", "0", "0"]
    assert len(table) == 7


def test_the_report_to_read(written):
    folder, _ = written
    text = (folder / "report.md").read_text()
    assert text.startswith("# mvitv2_s_16x4.k400, fine-tuned on clips\n")
    assert "**Accuracy 66.7 % (4 of 6; 95 % interval 30.0 to 90.3)**, top-5" in text
    assert "Mind: classes of few sources: jump (2)." in text
    assert "mvit-video predict VIDEO --cfg 'runs/my mine/config.yaml'" in text
    assert "- 1 videos that should have been measured could not be read" in text
    assert "| swim | 0 of 1 | 0 to 79 | jump (1) |" in text
    with Image.open(folder / "confusion.png") as picture:
        assert picture.format == "PNG"
    assert not list(folder.glob("*.tmp"))


def test_with_videos_of_its_own_the_report_has_no_caveat(written):
    _, report = written
    assert make_report(summarise([]), NAMES, {**FACTS, "is_shared": False}, "out").caveat == ""
    assert report.caveat


def test_the_line_that_uses_the_model():
    assert predict_line("runs/mine") == "mvit-video predict VIDEO --cfg runs/mine/config.yaml"
