"""Reports as other programs read them."""

import csv
import io
import json
import os

import pytest

from mvit_video.inference import ClassScore, ClipPrediction, Prediction
from mvit_video.inference.reports import CSV_COLUMNS, open_report

NASTY = 'say "hi", [bold]\nnew'
TOP = (ClassScore(NASTY, 3, 0.75), ClassScore("class 0", 0, 0.25))
CLIP = ClipPrediction(0.4, 1.0 / 3 + 1, TOP)


def write(report_format, path, clips=True):
    with open_report(report_format, path) as report:
        report.start("a b.mp4")
        for _ in range(2 if clips else 0):
            report.clip(CLIP)
        report.finish(Prediction("a b.mp4", TOP, (), 6))
        report.start("bad.mp4")
        report.fail("bad.mp4: empty file")
    return path.read_text()


def test_json_is_a_list_of_objects_with_the_documented_fields(tmp_path):
    good, bad = json.loads(write("json", tmp_path / "o.json"))
    top = [{"name": NASTY, "index": 3, "score": 0.75}, {"name": "class 0", "index": 0, "score": 0.25}]
    clip = {"start_seconds": 0.4, "end_seconds": 1.333333, "top": top}
    rest = {"top": top, "num_views": 6, "error": None, "damage": None}
    assert good == {"path": "a b.mp4", "clips": [clip, clip], **rest}
    rest = {"top": [], "num_views": 0, "error": "bad.mp4: empty file", "damage": None}
    assert bad == {"path": "bad.mp4", "clips": [], **rest}


def test_damage_stands_beside_the_answer(tmp_path):
    texts = {}
    for report_format in ("json", "csv", "table"):
        path = tmp_path / report_format
        with open_report(report_format, path) as report:
            report.start("cut.mp4")
            report.finish(Prediction("cut.mp4", TOP, (), 6, "good up to frame 7, then nothing\nmore"))
        texts[report_format] = path.read_text()
    assert json.loads(texts["json"])[0]["damage"] == "good up to frame 7, then nothing\nmore"
    assert json.loads(texts["json"])[0]["error"] is None
    rows = list(csv.DictReader(io.StringIO(texts["csv"])))
    assert [(row["error"], row["damage"][:20]) for row in rows] == [("", "good up to frame 7, ")] * 2
    assert "  damaged: good up to frame 7, then nothing" in texts["table"]


def test_json_stays_json_when_a_video_fails_half_way_and_when_there_is_none(tmp_path):
    with open_report("json", tmp_path / "half.json") as report:
        report.start("half.mp4")
        report.clip(CLIP)
        report.fail("cut off")
    (half,) = json.loads((tmp_path / "half.json").read_text())
    assert half["error"] == "cut off"
    assert len(half["clips"]) == 1
    with open_report("json", tmp_path / "none.json"):
        pass
    assert json.loads((tmp_path / "none.json").read_text()) == []


@pytest.mark.parametrize("report_format", ["table", "json", "csv"])
def test_file_names_that_are_no_utf8_or_break_lines_are_written(tmp_path, report_format):
    name = os.fsdecode(b"raw\xff\n.mp4")
    with open_report(report_format, tmp_path / "out") as report:
        report.start(name)
        report.fail(f"{name}: empty file")
    text = (tmp_path / "out").read_text(encoding="utf-8")
    if report_format == "json":
        assert json.loads(text)[0]["path"] == name
    elif report_format == "csv":
        assert next(csv.DictReader(io.StringIO(text)))["path"] == "raw\\udcff\n.mp4"
    else:
        assert text.splitlines()[0] == r"raw\udcff\n.mp4"


def test_csv_has_one_row_per_clip_or_video_and_class(tmp_path):
    rows = list(csv.DictReader(io.StringIO(write("csv", tmp_path / "o.csv"))))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert len(rows) == 2 * 2 + 2 + 1
    assert rows[0] | {"end_seconds": ""} == {
        "path": "a b.mp4", "start_seconds": "0.400", "end_seconds": "", "rank": "1", "name": NASTY,
        "index": "3", "score": "0.750000", "error": "",
        "damage": "",
    }  # fmt: skip
    assert [rows[4][key] for key in ("start_seconds", "rank", "index")] == ["", "1", "3"]
    assert rows[6]["error"] == "bad.mp4: empty file"
    assert rows[6]["name"] == ""


def test_the_table_shows_percent_and_plain_names(tmp_path, capsys):
    text = write("table", tmp_path / "o.txt", clips=False)
    assert text.splitlines()[:2] == ["a b.mp4", '   75.0 %  say "hi", [bold]']
    assert "   25.0 %  class 0" in text
    assert "  not readable: bad.mp4: empty file" in text
    assert "all of it" not in text
    assert "    0.40 -     1.33 s   75.0 %" in write("table", tmp_path / "clips.txt")
    assert capsys.readouterr().out == ""


def test_without_a_file_it_goes_to_standard_output(capsys):
    with open_report("csv") as report:
        report.start("x.mp4")
        report.fail("why")
    assert capsys.readouterr().out.splitlines()[1] == "x.mp4,,,,,,,why,"


def test_a_file_gets_its_name_only_when_it_is_complete(tmp_path):
    path = tmp_path / "o.json"
    path.write_text("old")

    def stop_half_way():
        with open_report("json", path) as report:
            report.start("a.mp4")
            report.clip(CLIP)
            assert path.read_text() == "old"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop_half_way()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["o.json"]


def test_the_file_is_as_readable_as_any_other(tmp_path):
    write("csv", tmp_path / "o.csv")
    (tmp_path / "other").touch()
    assert (tmp_path / "o.csv").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_folder_that_is_not_there_is_said_at_once(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match="there is no such folder to write to; make it first"),
        open_report("json", tmp_path / "no" / "o.json"),
    ):
        pass
