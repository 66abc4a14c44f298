"""How a run stands: by its events and by what Slurm says, either of which may be missing."""

import json

import pytest

from mvit_video.launch.errors import LaunchError
from mvit_video.launch.looking import logs
from mvit_video.launch.looking.describing import describe
from mvit_video.launch.looking.logs import follow_logs, show_logs
from mvit_video.launch.looking.state import judge, last_rows, look
from mvit_video.launch.queueing.submitting import submit_again
from mvit_video.launch.slurm import JobState


def event(name, **details):
    return {"event": name, "time": 1.0, **details}


SUBMITTED, STARTED = event("submitted", job="7"), event("started", saved=None, nodes="n1", restart=0, job="7")
FAILED = event("failed", error="no such list", mendable=True, rank=0)


@pytest.mark.parametrize(
    ("events", "jobs", "silent", "state", "reason"),
    [
        ([SUBMITTED], ["PENDING"], False, "waiting", "Resources"),
        ([SUBMITTED, STARTED], ["RUNNING"], False, "running", ""),
        ([SUBMITTED, STARTED, event("requeued")], ["COMPLETING"], False, "running", ""),
        ([SUBMITTED, STARTED, event("requeued")], ["PENDING"], False, "waiting", "Resources"),
        ([SUBMITTED, STARTED], ["CANCELLED"], False, "cancelled", ""),
        ([SUBMITTED, STARTED], ["TIMEOUT"], False, "failed", "Slurm says TIMEOUT"),
        ([SUBMITTED, STARTED], ["PREEMPTED"], False, "failed", "Slurm says PREEMPTED"),
        ([SUBMITTED, STARTED, FAILED], ["FAILED"], False, "failed", "no such list"),
        ([SUBMITTED, STARTED, FAILED, SUBMITTED], ["FAILED"], False, "failed", "Slurm says FAILED"),
        ([SUBMITTED, STARTED, event("done", status=0)], ["RUNNING"], False, "done", ""),
        ([SUBMITTED, STARTED, event("done", status=0)], [], True, "done", ""),
        ([SUBMITTED, STARTED], [], True, "unknown", "neither squeue nor sacct answers here"),
        ([SUBMITTED, STARTED, FAILED], [], True, "failed", "no such list"),
        ([SUBMITTED, STARTED], [], False, "gone", "Slurm knows nothing of the job any more"),
        ([SUBMITTED], ["COMPLETED", "RUNNING", "PENDING"], False, "running", ""),
        ([SUBMITTED], ["COMPLETED", "FAILED"], False, "failed", "Slurm says COMPLETED, FAILED"),
    ],
)
def test_the_state_in_a_word(events, jobs, silent, state, reason):
    found = [JobState(f"7_{task}", job, "Resources") for task, job in enumerate(jobs)]
    assert judge(events, found, silent=silent) == (state, reason)


@pytest.fixture
def training(make_submission):
    """A run that was queued again once, in its third of five epochs."""
    submission = make_submission()
    submission.config_path.write_text("SOLVER: {MAX_EPOCH: 5}\n")
    submission.tell("submitted", job="30")
    submission.tell("started", job="30", restart=0, saved=None, nodes="n1")
    submission.tell("stopped", job="30", restart=0, signal="SIGUSR2", saved="checkpoint_epoch_00001.pyth")
    submission.tell("requeued", job="30", restart=0)
    submission.tell("started", job="30", restart=1, saved="checkpoint_epoch_00001.pyth", nodes="n3")
    rows = [
        {"kind": "train", "step": step, "epoch": step / 100, "loss": 2.5, "lr": 1e-4, "step_seconds": 3.0}
        for step in range(10, 251, 10)
    ]
    rows.insert(-1, {"kind": "val", "step": 200, "epoch": 2.0, "top1": 51.25, "top5": 80.0})
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (submission.run_folder / "train.jsonl").write_text(text + '{"kind": "train", "st')
    return submission


def test_a_run_in_words(training, commands):
    commands.add("squeue", says="30|RUNNING|None|n3|2026-11-23T02:38:05\n")
    commands.add("sacct", says="30|REQUEUED|None|n1|a|b|0:0\n30|RUNNING|None|n3|c|Unknown|0:0\n")
    found = look(training.run_folder)
    assert found.state == "running"
    assert found.progress.seconds_left == pytest.approx(250 * 3.0)  # 2.5 epochs of 100 steps
    text = describe(found)
    assert f"{training.run_folder}: running (job 30, on n3, queued again 1 time by itself)\n" in text
    assert "step 250 of 500, epoch 2.50 of 5; 12 min left" in text
    assert "loss 2.5, learning rate 0.0001" in text
    assert "evaluated after epoch 2: top1 51.25 %, top5 80 %" in text
    assert "stopped by SIGUSR2, saved checkpoint_epoch_00001.pyth" in text
    assert "started on n3, from checkpoint_epoch_00001.pyth" in text
    assert "Slurm's accounts: 1 x REQUEUED" in text
    assert str(training.logs) in text


def test_without_slurm_the_records_speak(training, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    found = look(training.run_folder)
    assert found.state == "unknown"
    assert "step 250 of 500, epoch 2.50 of 5\n" in describe(found)


def test_accounts_speak_where_the_queue_has_forgotten(training, commands):
    commands.add("squeue", complains="slurm_load_jobs error: Invalid job id specified", status=1)
    commands.add("sacct", says="30|REQUEUED|None|n1|a|b|0:0\n30|TIMEOUT|None|n3|c|d|0:0\n")
    found = look(training.run_folder)
    assert (found.state, found.reason) == ("failed", "Slurm says TIMEOUT")
    assert "--retry submits what is not done" in describe(found)


def test_the_queue_knows_better_than_accounts_that_a_preempted_job_waits_again(training, commands):
    commands.add("squeue", says="30|PENDING|BeginTime||N/A\n")
    commands.add("sacct", says="30|PREEMPTED|None|n1|a|b|0:0\n")
    assert look(training.run_folder).state == "waiting"
    commands.add("squeue", says="30|PREEMPTED|None|n1|a\n")
    found = look(training.run_folder)
    assert (found.state, found.jobs[0].has_ended) == ("failed", True)


def test_parts_in_words(make_submission, commands, tmp_path):
    commands.add("squeue", says="9_0|COMPLETED|None|n1|a\n9_1|RUNNING|None|n1|a\n9_2|PENDING|Priority||N/A\n")
    submission = make_submission("test", parts=3, output=str(tmp_path / "all.csv"))
    submission.parts.mkdir()
    (submission.parts / "00000.pt").touch()
    submission.tell("submitted", job="9")
    submission.tell("part_failed", job="9_1", part=1, attempt=1, why="killed by SIGKILL")
    text = describe(look(submission.run_folder))
    assert "1 of 3 parts done; 1 pending, 1 running" in text
    assert "part 1 failed: killed by SIGKILL (try 1)" in text


def test_a_folder_from_which_nothing_was_submitted_is_named(tmp_path):
    with pytest.raises(LaunchError, match=r"nothing was submitted from here .* give the OUTPUT_DIR of a run"):
        look(tmp_path)


def test_only_the_end_of_a_long_log_is_read(tmp_path):
    with open(tmp_path / "train.jsonl", "w") as file:
        file.writelines(json.dumps({"kind": "train", "step": step}) + "\n" for step in range(100_000))
    rows = last_rows(tmp_path / "train.jsonl")
    assert rows[-1]["step"] == 99_999
    assert len(rows) < 20_000
    assert last_rows(tmp_path / "none.jsonl") == []


def test_what_is_under_way_or_done_is_not_submitted_again(training, commands):
    for name in ("sbatch", "srun"):
        commands.add(name)
    commands.add("squeue", says="30|RUNNING|None|n3|2026-11-23T02:38:05\n")
    with pytest.raises(
        LaunchError, match=r"job 30 of this run is RUNNING: wait for it, end it \(scancel 30\)"
    ):
        submit_again(training.run_folder)
    commands.add("squeue", says="30|COMPLETED|None|n3|2026-11-23T02:38:05\n")
    training.tell("done", job="30", restart=1, status=0)
    with pytest.raises(LaunchError, match="is done; submit it anew"):
        submit_again(training.run_folder)


def test_what_failed_is_submitted_again_into_the_same_folder(training, commands):
    commands.add("srun")
    commands.add("sbatch", says="Submitted batch job 31\n")
    commands.add("squeue", says="30|FAILED|None|n3|2026-11-23T02:38:05\n")
    submission, job, parts = submit_again(training.run_folder)
    assert (submission, job, parts) == (training, "31", [])
    assert training.job_ids() == ["30", "31"]


def test_only_parts_that_are_missing_are_submitted_again(make_submission, commands, tmp_path):
    commands.add("srun")
    commands.add("sbatch", says="Submitted batch job 31\n")
    submission = make_submission("test", parts=4, output=str(tmp_path / "all.csv"))
    submission.parts.mkdir()
    for part in (0, 2):
        (submission.parts / f"{part:05d}.pt").touch()
    assert submit_again(submission.run_folder)[2] == [1, 3]
    assert submission.events()[-1] == submission.events()[-1] | {"job": "31", "num_jobs": 2}
    for part in (1, 3):
        (submission.parts / f"{part:05d}.pt").touch()
    with pytest.raises(LaunchError, match="all 4 parts are done: --merge joins them"):
        submit_again(submission.run_folder)


def test_logs_of_the_newest_job_are_shown_and_followed(training, monkeypatch):
    monkeypatch.setattr(logs, "_ASK_SECONDS", 0.0)
    for job, task in (("12", 0), ("30", 0), ("30", 10), ("30", 2)):
        (training.logs / f"{job}_{task}_log.err").write_text(f"{job} {task} first\n{job} {task} second\n")
    (training.logs / "30_0_log.out").touch()
    shown = []
    show_logs(training, 1, shown.append)
    lines = "".join(shown).split()
    assert [line for line in lines if line.isdecimal()] == ["30", "0", "30", "2", "30", "10"]
    assert "first" not in lines
    followed, looks = [], iter([True, False])

    def goes_on():
        with open(training.logs / "30_2_log.err", "a") as file:
            file.write("added\n")
        return next(looks)

    follow_logs(training, followed.append, goes_on)
    assert followed == [f"==> {training.logs}/30_2_log.err\nadded\n"]


def test_logs_are_looked_at_more_often_than_somebody_is_asked(training, monkeypatch):
    """Each piece that is seen makes the next one; it is asked again when it has been long enough."""
    path = training.logs / "30_0_log.err"
    path.write_text("before\n")
    monkeypatch.setattr(logs, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(logs, "_ASK_SECONDS", 1000.0)
    asked, seen = [], []

    def goes_on():
        asked.append(len(seen))
        path.write_text("before\n1\n")
        return len(asked) == 1

    def write(text):
        seen.append(text)
        if len(seen) == 5:
            monkeypatch.setattr(logs, "_ASK_SECONDS", 0.0)
        with open(path, "a") as file:
            file.write(f"{len(seen) + 1}\n")

    follow_logs(training, write, goes_on)
    assert asked == [0, 5]
