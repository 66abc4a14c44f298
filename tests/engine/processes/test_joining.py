"""How processes find each other, and how they leave."""

import errno
import re

import pytest
from kit.processes import KIT, messages, start_ranks, wait_for

from mvit_video.config import load_config
from mvit_video.engine.errors import PassingError, RunError, Stopped
from mvit_video.engine.processes.group import ALONE, Group
from mvit_video.engine.processes.joining import exit_status, find_group, joined

pytestmark = pytest.mark.timeout(1200)  # of starting processes, mostly
TORCHRUN = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
SLURM = {"SLURM_PROCID": "3", "SLURM_NTASKS": "4", "SLURM_LOCALID": "1", "SLURM_NTASKS_PER_NODE": "2"}
MEETING = {"MVIT_VIDEO_RENDEZVOUS": "/shared"}


@pytest.mark.parametrize(
    ("environment", "group"),
    [
        ({}, ALONE),
        (TORCHRUN, Group(5, 8, 1, 4)),
        (TORCHRUN | SLURM | MEETING, Group(5, 8, 1, 4)),
        (SLURM | MEETING, Group(3, 4, 1, 2)),
        (SLURM, ALONE),  # a batch script, say, which no submission of ours has started as a task
        (SLURM | MEETING | {"SLURM_NTASKS": "1"}, ALONE),
        ({"RANK": "0", "WORLD_SIZE": "1"}, ALONE),
        (SLURM | {"SLURM_STEP_NUM_TASKS": "1"}, ALONE),  # srun --pty bash, in a job for four
        ({"SLURM_STEP_NUM_TASKS": "4"}, ALONE),  # what a shell outside of tasks inherited
        (TORCHRUN | SLURM | {"SLURM_STEP_NUM_TASKS": "2"}, Group(5, 8, 1, 4)),  # a torchrun per node
        (SLURM | MEETING | {"SLURM_STEP_NUM_TASKS": "4"}, Group(3, 4, 1, 2)),
    ],
)
def test_the_environment_says_which_process_this_is(environment, group):
    assert find_group(environment) == group


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        (TORCHRUN | {"WORLD_SIZE": "many"}, "the environment says RANK 5, WORLD_SIZE many, LOCAL_RANK 1"),
        (TORCHRUN | {"RANK": "8"}, "RANK is 8 of WORLD_SIZE 8: start the processes by torchrun"),
        (SLURM | MEETING | {"SLURM_PROCID": ""}, "expected numbers: start the tasks by mvit-video submit"),
        (
            SLURM | {"SLURM_STEP_NUM_TASKS": "4"},
            "srun has started 4 tasks (SLURM_STEP_NUM_TASKS) that do not",
        ),
    ],
)
def test_an_environment_that_makes_no_sense(environment, text):
    with pytest.raises(RunError, match=re.escape(text)):
        find_group(environment)


def _set(monkeypatch, **variables):
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MVIT_VIDEO_RENDEZVOUS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))


def test_alone(monkeypatch):
    _set(monkeypatch)
    with joined(load_config([])) as group, joined(load_config([])) as same:
        assert group == same == ALONE
    assert group.is_main
    assert group.sum([1, 2.5]) == [1, 2.5]
    assert group.gather("x") == ["x"]
    assert group.broadcast("x") == "x"
    assert group.any(True)
    group.barrier()


def test_nowhere_to_meet(monkeypatch):
    _set(monkeypatch, RANK=0, WORLD_SIZE=2)
    with (
        pytest.raises(RunError, match=r"MASTER_ADDR is not: start the processes by torchrun"),
        joined(load_config([], ["DEVICE", "cpu"])),
    ):
        pass


def test_nobody_there(monkeypatch, tmp_path):
    for name in ("JOB_ID", "ARRAY_TASK_ID", "RESTART_COUNT", "STEP_ID"):
        monkeypatch.delenv(f"SLURM_{name}", raising=False)
    _set(monkeypatch, RANK=1, WORLD_SIZE=2, MVIT_VIDEO_RENDEZVOUS=tmp_path)
    config = load_config([], ["DEVICE", "cpu", "DISTRIBUTED.TIMEOUT_SECONDS", "0.3"])
    text = r"meeting-0-0-0-0: the first process has not written it in 0.3 s; do all nodes see this folder\?$"
    with pytest.raises(PassingError, match=text), joined(config):
        pass


def test_exit_statuses():
    errors = [RunError("x"), FileNotFoundError("x"), Stopped(15, "here"), KeyboardInterrupt()]
    assert [exit_status(error) for error in errors] == [2, 2, 143, 130]
    passing = [PassingError("x"), ConnectionResetError("x"), OSError(errno.ESTALE, "x")]
    assert [exit_status(error) for error in passing] == [75] * 3
    assert exit_status(OSError(errno.ENOSPC, "x")) == 2
    assert exit_status(RuntimeError("x")) is None


@pytest.mark.slow
def test_jobs_that_start_at_the_same_time_do_not_meet(tmp_path):
    """Two jobs of two Slurm tasks each, on one machine and with one folder; nobody has said which port."""
    jobs = {number: _tasks(tmp_path / f"job{number}", number, tmp_path / "meeting") for number in (7, 8)}
    for number, processes in jobs.items():
        folder = tmp_path / f"job{number}"
        assert wait_for(processes) == [0, 0], messages(folder, 0) + messages(folder, 1)
        assert all(f"jobs ['{number}', '{number}']" in messages(folder, rank) for rank in range(2))


def _tasks(folder, job, meeting):
    return start_ranks(
        folder, KIT / "failing_rank.py", "", 60,
        variables=lambda rank: {
            "MVIT_VIDEO_RENDEZVOUS": meeting, "SLURM_JOB_ID": job, "SLURM_PROCID": rank, "SLURM_NTASKS": 2,
            "SLURM_LOCALID": 0, "SLURM_NTASKS_PER_NODE": 1,
        },
    )  # fmt: skip
