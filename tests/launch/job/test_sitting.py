"""How processes leave, each a real one: what they tell, ask of Slurm, and end with."""

import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta

import pytest

from mvit_video.launch.job.deadline import seconds_to_end

LEAVE = """
import sys
from pathlib import Path
from mvit_video.engine.errors import Stopped
from mvit_video.launch.job.sitting import Sitting, Task, failures_told, log_to_stderr
from mvit_video.launch.submission import Submission
submission = Submission(Path(sys.argv[1]))
sitting = Sitting(submission, submission.request(), Task.here())
with log_to_stderr(), failures_told(sitting):
    sitting.begin("a.pyth")
    sitting.leave(Stopped(int(sys.argv[2]), "after step 3"), sys.argv[3])
"""
FAIL = """
import sys
from pathlib import Path
from mvit_video.launch.job.sitting import Sitting, Task, failures_told, log_to_stderr
from mvit_video.launch.submission import Submission
submission = Submission(Path(sys.argv[1]))
with log_to_stderr(), failures_told(Sitting(submission, submission.request(), Task.here())):
    raise eval(sys.argv[2])
"""


def run(code, submission, *words, restart=0, rank=0, array=()):
    names = ("SLURM_JOB_ID", "SLURM_PROCID", "SLURM_RESTART_COUNT", "SLURM_JOB_NODELIST")
    env = dict(zip(names, ("12", str(rank), str(restart), "n[1-2]"), strict=True))
    env |= dict(zip(("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"), array, strict=False))
    return subprocess.run(
        [sys.executable, "-c", code, str(submission.folder), *map(str, words)],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
    )


def told(submission):
    return [row["event"] for row in submission.events()]


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_the_signal_that_was_asked_for_queues_the_job_again(make_submission, commands, number):
    commands.add("scontrol")
    submission = make_submission()
    done = run(LEAVE, submission, int(number), "b.pyth")
    assert done.returncode == 0
    assert commands.calls == ["scontrol requeue 12"]
    assert told(submission) == ["started", "stopped", "requeued"]
    assert submission.events()[1]["saved"] == "b.pyth"
    assert submission.events()[0]["nodes"] == "n[1-2]"
    assert "job 12 is queued again" in done.stderr


def test_a_task_of_an_array_queues_itself_again(make_submission, commands):
    commands.add("scontrol")
    run(LEAVE, make_submission(), int(signal.SIGUSR2), "b.pyth", array=("10", "3"))
    assert commands.calls == ["scontrol requeue 10_3"]


def test_other_processes_leave_in_silence(make_submission, commands):
    submission = make_submission()
    done = run(LEAVE, submission, int(signal.SIGUSR2), "b.pyth", rank=3)
    assert (done.returncode, commands.calls, told(submission)) == (0, [], [])


@pytest.mark.parametrize("state", ["CANCELLED", "COMPLETING", "PENDING", "PREEMPTED"])
def test_a_job_that_slurm_has_ended_or_requeued_leaves(make_submission, commands, state):
    commands.add("scontrol", says=f"JobId=12 JobName=x\n   JobState={state} Reason=None\n")
    submission = make_submission()
    done = run(LEAVE, submission, int(signal.SIGTERM), "b.pyth")
    assert done.returncode == 128 + signal.SIGTERM
    assert commands.calls == ["scontrol show job 12"]
    assert told(submission) == ["started", "stopped"]


def test_a_job_that_slurm_takes_for_running_would_not_come_back_by_itself(make_submission, commands):
    commands.add("scontrol", says="JobId=12 JobName=x\n   JobState=RUNNING Reason=None\n")
    submission = make_submission()
    assert run(LEAVE, submission, int(signal.SIGTERM), "b.pyth").returncode == 0
    assert commands.calls == ["scontrol show job 12", "scontrol requeue 12"]
    assert told(submission) == ["started", "stopped", "requeued"]


def test_a_refusal_is_said(make_submission, commands):
    commands.add("scontrol", complains="Requested operation is presently disabled", status=1)
    submission = make_submission()
    done = run(LEAVE, submission, int(signal.SIGUSR2), "b.pyth")
    assert done.returncode == 2
    assert "Slurm refuses to queue job 12 again (Requested operation is presently disabled)" in done.stderr
    assert "--retry goes on where it stopped" in done.stderr
    assert told(submission) == ["started", "stopped", "failed"]


def test_starts_that_leave_nothing_are_bounded(make_submission, commands):
    """Three starts are allowed here; the third does not ask for a fourth."""
    commands.add("scontrol")
    submission = make_submission(restarts=3)
    for restart in range(2):
        assert run(LEAVE, submission, int(signal.SIGUSR2), "a.pyth", restart=restart).returncode == 0
    done = run(LEAVE, submission, int(signal.SIGUSR2), "a.pyth", restart=2)
    assert done.returncode == 2
    assert "3 starts in a row left nothing new (newest checkpoint: a.pyth)" in done.stderr
    assert commands.calls == ["scontrol requeue 12"] * 2


def test_a_job_that_somebody_else_requeues_for_ever_is_bounded_too(make_submission, commands):
    submission = make_submission(restarts=2)
    for restart in range(2):
        submission.tell("started", job="12", restart=restart, saved="a.pyth", nodes="n1")
    done = run(LEAVE, submission, int(signal.SIGTERM), "a.pyth", restart=2)
    assert done.returncode == 2
    assert told(submission) == ["started", "started", "failed"]


@pytest.mark.parametrize(
    ("error", "status", "mendable"),
    [
        ("ValueError('one\\ntwo')", 2, True),
        ("OSError(28, 'full', 'x')", 2, True),
        ("FileNotFoundError(2, 'none', 'x')", 2, True),
        ("OSError(116, 'Stale file handle', 'x')", 75, False),
        ("__import__('mvit_video.engine.errors').engine.errors.PassingError('nobody came')", 75, False),
        ("RuntimeError('bug')", 1, False),
    ],
)
def test_failures_are_told_in_a_line(make_submission, error, status, mendable):
    submission = make_submission()
    done = run(FAIL, submission, error, rank=1)
    assert done.returncode == status
    (row,) = submission.events()
    assert (row["event"], row["rank"], row["mendable"]) == ("failed", 1, mendable)
    assert "\n" not in row["error"]
    assert ("Traceback" in done.stderr) == (status == 1)


def aftermath(submission, restart=0):
    code = "import sys; from mvit_video.launch.job.aftermath import main; main(sys.argv[1:])"
    return run(code, submission, 137, restart=restart)


RUNNING = "JobId=12 JobState=RUNNING Reason=None\n"


def start(submission, restart=0, **details):
    submission.tell("started", job="12", restart=restart, saved=None, nodes="n1", **details)


def test_processes_that_are_gone_without_a_word_come_back(make_submission, commands):
    commands.add("scontrol", says=RUNNING)
    submission = make_submission()
    start(submission)
    assert aftermath(submission).returncode == 0
    assert commands.calls == ["scontrol show job 12", "scontrol requeue 12"]
    assert told(submission) == ["started", "crashed", "requeued"]


def test_a_crash_in_every_start_comes_to_an_end(make_submission, commands):
    commands.add("scontrol", says=RUNNING)
    submission = make_submission(restarts=2)
    for restart in range(2):
        start(submission, restart)
        aftermath(submission, restart)
    assert told(submission) == ["started", "crashed", "requeued", "started", "crashed", "failed"]
    assert "2 starts in a row left nothing new" in submission.events()[-1]["error"]


def test_starts_that_could_not_even_say_so_are_counted(make_submission, commands):
    commands.add("scontrol", says=RUNNING)
    submission = make_submission(restarts=2)
    for restart in range(2):
        aftermath(submission, restart)
    assert told(submission) == ["started", "crashed", "requeued", "started", "crashed", "failed"]


@pytest.mark.parametrize("event", ["requeued", "done"])
def test_what_is_settled_is_left_alone(make_submission, commands, event):
    commands.add("scontrol", says=RUNNING)
    submission = make_submission()
    start(submission)
    submission.tell(event, job="12", restart=0)
    aftermath(submission)
    assert commands.calls == []


def test_what_may_pass_by_itself_comes_back(make_submission, commands):
    commands.add("scontrol", says=RUNNING)
    submission = make_submission()
    start(submission)
    assert run(FAIL, submission, "ConnectionResetError(104, 'reset')").returncode == 75
    aftermath(submission)
    assert told(submission) == ["started", "failed", "crashed", "requeued"]


def test_what_somebody_has_to_mend_does_not_come_back(make_submission, commands):
    commands.add("scontrol", says=RUNNING)
    submission = make_submission()
    start(submission)
    submission.tell("failed", job="12", restart=0, rank=0, error="no such list", mendable=True)
    aftermath(submission)
    assert commands.calls == []
    start(submission, restart=1)  # mended, and submitted again
    aftermath(submission, restart=1)
    assert commands.calls == ["scontrol show job 12", "scontrol requeue 12"]


def test_a_run_that_hangs_is_queued_again_before_the_time_limit(make_submission, commands):
    """The script's other program waits for the time that ``scontrol`` gives; here a limit in two seconds."""
    end = datetime.now() + timedelta(seconds=62)
    commands.add("scontrol", says=f"JobId=12 JobState=RUNNING EndTime={end:%Y-%m-%dT%H:%M:%S}\n")
    submission = make_submission()
    start(submission)
    code = "import sys; from mvit_video.launch.job import deadline; deadline._LEFT_SECONDS = 60.0\n"
    done = run(code + "deadline.main(sys.argv[1:])", submission)
    assert (done.returncode, commands.calls[-1]) == (0, "scontrol requeue 12")
    assert datetime.now() >= end - timedelta(seconds=61)
    assert [row.get("why") for row in submission.events()][1] == "at work 60 seconds before the time limit"


def test_silence_is_no_missing_time_limit(make_submission, commands):
    """``scontrol`` answers the second time alone, and by then the limit is near."""
    end = datetime.now() + timedelta(seconds=30)
    answer = f"JobId=12 JobState=RUNNING EndTime={end:%Y-%m-%dT%H:%M:%S}"
    asked = commands.folder / "asked"
    script = commands.folder / "scontrol"
    script.write_text(f"#!/bin/sh\n[ -e {asked} ] || {{ touch {asked}; exit 1; }}\necho {answer}\n")
    submission = make_submission()
    start(submission)
    code = (
        "import sys; from mvit_video.launch.job import deadline\n"
        "deadline._LEFT_SECONDS, deadline._ASK_AGAIN_SECONDS = 60.0, 0.1\n"
    )
    assert run(code + "deadline.main(sys.argv[1:])", submission).returncode == 0
    assert told(submission) == ["started", "crashed", "requeued"]


@pytest.mark.parametrize("job", [{}, {"EndTime": "Unknown"}])
def test_without_a_time_limit_there_is_nothing_to_watch(job):
    assert seconds_to_end(job) == float("inf")


def test_processes_that_leave_late_do_not_queue_the_job_twice(make_submission, commands):
    submission = make_submission()
    submission.tell("requeued", job="12", restart=0)
    assert run(LEAVE, submission, int(signal.SIGUSR2), "b.pyth").returncode == 0
    assert commands.calls == []


def test_a_job_that_was_cancelled_stays_so(make_submission, commands):
    commands.add("scontrol", says="JobId=12 JobState=CANCELLED Reason=None\n")
    submission = make_submission()
    start(submission)
    aftermath(submission)
    assert commands.calls == ["scontrol show job 12"]
    assert told(submission) == ["started"]
