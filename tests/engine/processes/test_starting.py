"""Processes that nobody has started: how many, what they give back, and who hears of signals."""

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from kit import jobs
from kit.processes import KIT, SECONDS, TESTS, environment
from kit.tiny_runs import write_videos

from mvit_video.config import ConfigError, Problem, load_config
from mvit_video.engine.errors import RunError, Stopped
from mvit_video.engine.processes.starting import Raised, processes_to_start, run_together

pytestmark = pytest.mark.timeout(1200)  # of starting processes, mostly
CPU = load_config([], ["DEVICE", "cpu"])


@pytest.fixture
def gpus(monkeypatch):
    """Sets how many GPUs PyTorch sees."""
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("MVIT_VIDEO_RENDEZVOUS", raising=False)

    def see(count):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return see


@pytest.mark.parametrize(
    ("count", "words", "expected"),
    [
        (0, ["NUM_GPUS=8"], 1),
        (8, [], 1),
        (8, ["NUM_GPUS=8"], 8),
        (4, ["NUM_GPUS=8"], 4),
        (8, ["NUM_GPUS=2"], 2),
        (8, ["NUM_GPUS=8", "DEVICE=cpu"], 1),
        (3, ["NUM_GPUS=8", "TRAIN.ENABLE=False"], 3),
    ],
)
def test_one_for_each_gpu(gpus, count, words, expected):
    gpus(count)
    assert processes_to_start(load_config([], words)) == expected


def test_as_many_as_can_share_the_batch(gpus, caplog):
    gpus(3)
    assert processes_to_start(load_config([], ["NUM_GPUS=8", "TRAIN.BATCH_SIZE=16"])) == 2
    assert caplog.messages == ["TRAIN.BATCH_SIZE is 16, which 3 GPUs cannot share evenly: 2 of them work"]


@pytest.mark.parametrize(
    "error",
    [
        RunError("list.csv: does not exist"),
        Stopped(signal.SIGTERM, "after step 3", Path("out/checkpoint.pyth")),
        ConfigError([Problem(None, "one"), Problem(None, "two")]),
    ],
)
def test_errors_arrive_as_they_were(error):
    sent = pickle.dumps(Raised(type(error), error.args, error.__dict__))
    arrived = pickle.loads(sent).error()
    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert vars(arrived) == vars(error)


@pytest.mark.parametrize("variable", ["RANK", "MVIT_VIDEO_RENDEZVOUS"])
def test_none_where_somebody_starts_them(gpus, monkeypatch, variable):
    gpus(8)
    monkeypatch.setenv(variable, "0")
    assert processes_to_start(load_config([], ["NUM_GPUS=8"])) == 1


def test_none_in_one_of_several_tasks_of_slurm(gpus, monkeypatch):
    gpus(8)
    monkeypatch.setenv("SLURM_PROCID", "1")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")
    with pytest.raises(RunError, match=r"srun has started 2 tasks .* mvit-video submit"):
        processes_to_start(load_config([], ["NUM_GPUS=8"]))


@pytest.fixture
def own_imports(monkeypatch):
    """The processes can import what tests import, and compute with as many threads as they like."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.mark.slow
@pytest.mark.usefixtures("own_imports")
def test_the_first_gives_the_result():
    threads = str(max(len(os.sched_getaffinity(0)) // 2, 1))
    assert run_together(jobs.tell_ranks, CPU, 2) == [(0, 2, threads), (1, 2, threads)]


@pytest.mark.slow
@pytest.mark.usefixtures("own_imports")
def test_what_can_be_mended_is_raised_here(capfd):
    with pytest.raises(RunError, match=r"^list.csv: does not exist, correct it$"):
        run_together(jobs.fail, CPU, 2)
    assert "list.csv" not in "".join(capfd.readouterr())


@pytest.mark.slow
@pytest.mark.usefixtures("own_imports")
def test_a_fault_says_where_to_look(capfd):
    with pytest.raises(
        RunError, match=r"of the 2 processes of this run rank 0 .* rank 1 has exit status 1: see"
    ):
        run_together(jobs.break_one, CPU, 2)
    assert "TypeError: a fault of the program" in capfd.readouterr().err


def _start_training(folder):
    """A long run of two processes, and the pids of those; it has taken some steps."""
    videos = write_videos(folder / "videos")
    words = ("SOLVER.MAX_EPOCH", 5000, "TEST.ENABLE", False, "TRAIN.CHECKPOINT_PERIOD", 5000)
    process = subprocess.Popen(
        [sys.executable, KIT / "jobs.py", folder, videos, *map(str, words)],
        env=environment(), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    rows = folder / "out/train.jsonl"
    end = time.monotonic() + SECONDS
    while not (rows.exists() and rows.read_text().count("\n") > 2):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.1)
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:
        return process, [int(pid) for pid in file.read().split()]


def _is_gone(pid):
    """Whether a process has ended, whether or not somebody has asked how."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def _wait_until_gone(pids):
    end = time.monotonic() + SECONDS
    while not all(map(_is_gone, pids)):
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.slow
def test_a_signal_stops_all_of_them_in_good_order(tmp_path):
    process, pids = _start_training(tmp_path)
    assert len(pids) == 2
    process.send_signal(signal.SIGTERM)
    text, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 143
    assert text.count("stopped by SIGTERM after step") == 1
    _wait_until_gone(pids)
    assert len(list((tmp_path / "out/checkpoints").glob("*.pyth"))) == 1


@pytest.mark.slow
def test_they_do_not_outlive_the_process_that_started_them(tmp_path):
    process, pids = _start_training(tmp_path)
    process.kill()
    process.wait()
    _wait_until_gone(pids)
