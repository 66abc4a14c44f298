"""The folder of a submission."""

import json
import subprocess
import sys

import pytest

from mvit_video.launch.errors import LaunchError
from mvit_video.launch.resources import Resources
from mvit_video.launch.submission import Request, Submission, last_submission, new_submission


def test_each_submission_has_a_folder_of_its_own(tmp_path):
    assert last_submission(tmp_path / "out") is None
    first, second = new_submission(tmp_path / "out"), new_submission(tmp_path / "out")
    assert [path.name for path in (first.folder, second.folder)] == ["001", "002"]
    (tmp_path / "out" / "launch" / "notes").mkdir()
    (tmp_path / "out" / "launch" / "010").mkdir()
    assert last_submission(tmp_path / "out").folder.name == "010"
    assert first.run_folder == tmp_path / "out"
    assert first.logs.is_dir()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(
        LaunchError, match=r"out/launch: cannot be made or written .* choose another OUTPUT_DIR"
    ):
        new_submission(tmp_path / "out")


def test_what_was_asked_for_survives(tmp_path):
    request = Request(
        "predict",
        Resources(minutes=5),
        "/here",
        5,
        parts=3,
        retries=1,
        output="/a.json",
        words=("--top-k", "3"),
    )
    submission = new_submission(tmp_path)
    submission.write(request, {"command": "mvit-video submit"})
    assert submission.request() == request
    assert submission.read()["command"] == "mvit-video submit"


def test_a_damaged_record_is_named(tmp_path):
    submission = new_submission(tmp_path)
    (submission.folder / "submission.json").write_text("{")
    with pytest.raises(LaunchError, match=r"submission.json: cannot be read .* submit the run again"):
        submission.request()


def test_events_are_kept_and_a_line_that_was_cut_off_is_passed_over(tmp_path):
    submission = new_submission(tmp_path)
    submission.tell("submitted", job="7")
    with open(submission.folder / "events.jsonl", "a") as file:
        file.write('{"event": "sta\n')
    submission.tell("submitted", job="8")
    assert [row["event"] for row in submission.events()] == ["submitted", "submitted"]
    assert submission.job_ids() == ["7", "8"]
    assert submission.events()[0]["time"] <= submission.events()[1]["time"]


def test_tasks_that_tell_at_once_do_not_mix_their_lines(tmp_path):
    submission = new_submission(tmp_path)
    code = (
        "import sys\nfrom pathlib import Path\nfrom mvit_video.launch.submission import Submission\n"
        "for n in range(200): Submission(Path(sys.argv[1])).tell('part_done', part=n, text=sys.argv[2] * 300)"
    )
    tasks = [subprocess.Popen([sys.executable, "-c", code, str(submission.folder), text]) for text in "abc"]
    assert [task.wait() for task in tasks] == [0, 0, 0]
    lines = (submission.folder / "events.jsonl").read_text().splitlines()
    found = [(row["text"][0], row["part"]) for row in map(json.loads, lines)]
    assert sorted(found) == sorted((text, part) for text in "abc" for part in range(200))


def test_a_submission_is_its_folder(tmp_path):
    assert Submission(tmp_path / "out/launch/001").config_path == tmp_path / "out/launch/001/config.yaml"
