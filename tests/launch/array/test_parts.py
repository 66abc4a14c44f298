"""Work in parts: who does what, and real processes that fail."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvit_video.data.lists.reading import read_list
from mvit_video.engine.errors import Stopped
from mvit_video.engine.stopping import signals_noted
from mvit_video.launch.array.parts import (
    _first_to_join,
    cut_videos,
    missing_parts,
    part_command,
    result_path,
    share,
    work,
)
from mvit_video.launch.errors import LaunchError
from mvit_video.launch.job.sitting import Sitting, Task
from mvit_video.launch.looking import waiting
from mvit_video.launch.looking.describing import describe
from mvit_video.launch.looking.state import look

FAILS_TWICE = """
import os, pathlib, signal, sys
tries, result = map(pathlib.Path, sys.argv[1:])
tries.write_text(tries.read_text() + "x" if tries.exists() else "x")
count = len(tries.read_text())
if count == 1: raise RuntimeError("no luck")
if count == 2: os.kill(os.getpid(), signal.SIGKILL)
result.write_text("done")
"""


@given(st.integers(0, 500), st.integers(1, 60))
def test_every_video_is_in_one_part_in_order_and_parts_are_alike(num_videos, num_parts):
    parts = [share(num_videos, num_parts, part) for part in range(num_parts)]
    assert [index for part in parts for index in part] == list(range(num_videos))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.fixture
def sitting(make_submission, tmp_path):
    submission = make_submission("predict", parts=2, retries=2, output=str(tmp_path / "answers.json"))
    return Sitting(submission, submission.request(), Task("7_1"), part=1)


def test_lists_of_parts_are_read_as_the_same_paths(sitting):
    videos = ["a b 3.mp4", "c.mp4 7", '"quoted".mp4', "é.mp4", " blank.mp4"]
    cut_videos(sitting.submission, videos, 2)
    found = [
        record.path
        for part in range(2)
        for record in read_list(sitting.submission.parts / f"{part:05d}.list")
    ]
    assert found == videos


def test_a_path_that_no_list_can_hold_is_named(sitting):
    with pytest.raises(LaunchError, match=r"'a\\nb.mp4': has a line break or is no UTF-8.*rename it"):
        cut_videos(sitting.submission, ["a\nb.mp4"], 1)


def test_what_is_done_is_known_by_its_result(sitting):
    sitting.submission.parts.mkdir()
    assert missing_parts(sitting.submission, 2) == [0, 1]
    result_path(sitting.submission, 0).write_text("")
    assert missing_parts(sitting.submission, 2) == [1]


def test_a_part_of_a_prediction_is_the_command_itself(sitting):
    command = part_command(sitting.submission, sitting.request, 1)
    parts = sitting.submission.parts
    written = f"{parts}/00001.json", "--force"  # over what an earlier try may have written
    assert command[3:] == ["mvit_video", "predict", f"{parts}/00001.list", "--output", *written]


def test_an_exception_and_a_kill_cost_a_try_each(sitting, tmp_path):
    result = tmp_path / "result"
    work(sitting, [sys.executable, "-c", FAILS_TWICE, str(tmp_path / "tries"), str(result)], result)
    assert result.read_text() == "done"
    failures = [row for row in sitting.submission.events() if row["event"] == "part_failed"]
    assert [(row["attempt"], row["why"], row["part"]) for row in failures] == [
        (1, "exit status 1", 1),
        (2, "killed by SIGKILL", 1),
    ]


def test_tries_are_bounded(sitting, tmp_path):
    with pytest.raises(LaunchError, match=r"part 1 failed 3 times, the last time: exit status 7; .* --retry"):
        work(sitting, [sys.executable, "-c", "raise SystemExit(7)"], tmp_path / "result")


def test_a_program_that_ends_well_without_a_result_has_failed(sitting, tmp_path):
    with pytest.raises(LaunchError, match="the last time: exit status 0"):
        work(sitting, [sys.executable, "-c", ""], tmp_path / "result")


def test_a_signal_ends_the_program_and_then_stops_the_part(sitting, tmp_path):
    code = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"
    me = subprocess.Popen(  # signals this process as soon as the program is there
        [
            sys.executable,
            "-c",
            "import os, pathlib, signal, sys, time\n"
            "while not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.05)\n"
            "os.kill(int(sys.argv[2]), signal.SIGUSR2)",
            str(tmp_path / "pid"),
            str(os.getpid()),
        ]
    )
    with signals_noted(), pytest.raises(Stopped) as stopped:
        work(sitting, [sys.executable, "-c", code, str(tmp_path / "pid")], tmp_path / "result")
    assert me.wait() == 0
    assert stopped.value.signal_number == signal.SIGUSR2
    assert (tmp_path / "pid").exists()
    assert subprocess.run(["pgrep", "-f", str(tmp_path / "pid")], capture_output=True).stdout == b""
    assert sitting.submission.events() == []


def test_one_task_joins_and_again_in_a_later_start_if_it_was_killed(sitting):
    def first(job, restart):
        return _first_to_join(replace(sitting, task=Task(job, restart=restart)))

    assert first("7_1", 0)
    assert not first("7_0", 0)
    assert not first("7_0", 1)  # queued again for a reason of its own: 7_1 is at it
    assert not first("7_1", 0)
    assert first("7_1", 1)
    assert not first("7_1", 1)
    assert first("8_0", 0)  # submitted again, so that nothing of job 7 runs
    (sitting.submission.folder / "joining-9").touch()  # killed before it wrote its name
    assert not first("9_0", 1)


@pytest.fixture
def all_done(sitting, monkeypatch):
    """Task 7_1 finds that its own part, and the other, are there."""
    sitting.submission.parts.mkdir()
    for part in range(2):
        result_path(sitting.submission, part).write_text('[\n{"error": null}\n]\n')
    for name, value in {
        "JOB_ID": "8",
        "ARRAY_JOB_ID": "7",
        "ARRAY_TASK_ID": "1",
        "RESTART_COUNT": "0",
    }.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    return sitting.submission


def test_a_join_that_fails_keeps_no_lock(all_done):
    result_path(all_done, 0).write_text("broken")
    code = "import sys; from mvit_video.launch.array.parts import PartJob; PartJob(sys.argv[1], 1)()"
    done = subprocess.run([sys.executable, "-c", code, str(all_done.folder)], capture_output=True, text=True)
    assert done.returncode == 2
    assert "00000.json: is no report" in done.stderr
    assert not list(all_done.folder.glob("joining*"))


def test_who_waits_joins_what_nobody_joined(all_done, commands, monkeypatch):
    all_done.tell("submitted", job="7")
    commands.add("squeue", says="7_0|COMPLETED|None|n1|a\n7_1|NODE_FAIL|None|n1|a\n")
    text = describe(look(all_done.run_folder))
    assert "all parts are done: mvit-video status" in text
    commands.add("squeue", says="7_0|COMPLETED|None|n1|a\n7_1|RUNNING|None|n1|a\n")
    assert "all parts are done" not in describe(look(all_done.run_folder))
    commands.add("squeue", says="7_0|COMPLETED|None|n1|a\n7_1|NODE_FAIL|None|n1|a\n")
    monkeypatch.setattr(waiting, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(waiting, "_SURE_SECONDS", 0.02)
    assert waiting.wait(all_done.run_folder).state == "done"
    assert Path(all_done.request().output).exists()


@pytest.mark.parametrize(
    ("module", "job", "status"),
    [("job.tasks", "RunJob(sys.argv[1])", 2), ("array.parts", "PartJob(sys.argv[1], 1)", 0)],
)
def test_a_signal_is_noted_from_the_first_line_on(sitting, module, job, status):
    """It comes while the record is read, which waits here; the run ends as it lacks a configuration."""
    submission = sitting.submission
    submission.parts.mkdir()
    result_path(submission, 1).touch()
    record = submission.folder / "submission.json"
    kept = record.rename(record.with_suffix(".kept"))
    os.mkfifo(record)
    code = f"import sys; from mvit_video.launch.{module} import *; {job}()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(submission.folder)], stderr=subprocess.DEVNULL
    )
    with open(record, "w") as stream:  # waits for the reader
        process.send_signal(signal.SIGUSR2)
        stream.write(kept.read_text())
        kept.rename(record)
    assert process.wait() == status
