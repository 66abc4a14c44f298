"""What Slurm's commands print, as it was recorded, and commands that are missing or refuse."""

from pathlib import Path

import pytest

from mvit_video.launch import slurm
from mvit_video.launch.slurm import JobState

GOLDEN = Path(__file__).parents[1] / "golden" / "slurm"


def test_accounting():
    found = slurm.parse_accounting((GOLDEN / "sacct.txt").read_text())
    assert [(job.job, job.state) for job in found] == [
        ("9", "REQUEUED"),
        ("9", "CANCELLED"),
        ("23_0", "COMPLETED"),
        ("23_1", "COMPLETED"),
        ("23_2", "COMPLETED"),
        ("30", "REQUEUED"),
        ("30", "REQUEUED"),
        ("30", "CANCELLED"),
    ]
    assert found[0].nodes == "n[1-5]"
    assert (found[0].start, found[0].end) == ("2026-11-23T02:14:24", "2026-11-23T02:14:31")


def test_queue():
    found = slurm.parse_queue((GOLDEN / "squeue.txt").read_text())
    assert found[0] == JobState("30", "CANCELLED", "", "n1", "2026-11-23T02:38:49")
    assert found[0].has_ended
    assert [job.job for job in found if job.state == "PENDING"] == [f"33_{task}" for task in range(8)]
    assert found[-1].reason == "JobHeldUser"
    assert not found[-1].has_ended


def test_ranges_of_an_array_are_spread_out():
    found = slurm.parse_queue((GOLDEN / "squeue_ranges.txt").read_text())
    assert [job.job for job in found] == [f"33_{task}" for task in range(8)]
    assert slurm.expand_job("7_[0-2,5%4]") == ["7_0", "7_1", "7_2", "7_5"]
    assert slurm.expand_job("7_3") == ["7_3"]


def test_show_job():
    found = slurm.parse_show_job((GOLDEN / "scontrol_cancelled.txt").read_text())
    assert (found["JobId"], found["JobState"], found["Restarts"], found["NodeList"]) == (
        "30",
        "CANCELLED",
        "2",
        "n1",
    )


def test_commands_are_asked_for_these_jobs(commands):
    commands.add("squeue", says=(GOLDEN / "squeue.txt").read_text())
    commands.add("sacct", says=(GOLDEN / "sacct.txt").read_text())
    assert len(slurm.queue(["30"])) == 12
    assert len(slurm.accounting(["9", "30"])) == 8
    assert slurm.accounting([]) == []
    assert "--jobs=30" in commands.calls[0]
    assert "--jobs=9,30" in commands.calls[1]


def test_a_job_that_is_forgotten_is_no_job(commands):
    commands.add("squeue", complains="slurm_load_jobs error: Invalid job id specified\n", status=1)
    assert slurm.queue(["12"]) == []


def test_silence_is_told_from_nothing(commands, monkeypatch):
    commands.add("squeue", complains="slurm_load_jobs error: Unable to contact slurm controller\n", status=1)
    commands.add("sacct", complains="Slurm accounting storage is disabled\n", status=1)
    assert slurm.queue(["12"]) is None
    assert slurm.accounting(["12"]) is None
    monkeypatch.setenv("PATH", "/nowhere")
    assert slurm.queue(["12"]) is None
    assert slurm.show_job("12") is None


@pytest.mark.parametrize(("status", "why"), [(0, None), (1, "Requested operation is presently disabled")])
def test_requeue(commands, status, why):
    commands.add("scontrol", complains=why or "", status=status)
    assert slurm.requeue("12_3") == why
    assert commands.calls == ["scontrol requeue 12_3"]


def test_requeue_without_slurm(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert "scontrol" in slurm.requeue("12")
