"""Runs that are killed or asked to leave end with the numbers of one that never was."""

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from kit.processes import SECONDS, environment
from kit.sittings import Sittings
from kit.tiny_runs import tiny_config, write_videos

from mvit_video.engine import train
from mvit_video.engine.checkpoints.files import checkpoint_path, list_checkpoints, read_resumable
from mvit_video.engine.checkpoints.keeping import best_path
from mvit_video.engine.records.logs import read_rows

pytestmark = pytest.mark.timeout(1200)  # however busy the machine is

EPOCHS = 4  # of 4 steps each: 16 videos, 4 at a time
WORDS = ("SOLVER.MAX_EPOCH", EPOCHS, "TRAIN.EVAL_PERIOD", 2, "TRAIN.CHECKPOINT_PERIOD", 2, "LOG_PERIOD", 3)
EVERY_STEP = ("TRAIN.CHECKPOINT_MINUTES", 1e-9)
ALL_ROWS = 14  # of training, of evaluations, and of videos that could not be read
TIMES = {"step_seconds", "data_seconds", "clips_per_second", "memory_gb"}


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Sixteen, one of which cannot be read, so that there are troubles to carry over too."""
    folder = write_videos(tmp_path_factory.mktemp("videos"), videos_per_class=8)
    (folder / "class_0/3.mp4").write_bytes(b"nothing")
    return folder


def _config(folder, videos, *words):
    words = (*WORDS, "DATA.VAL_LIST", videos / "list.csv", "TRAIN.EMA_DECAY", 0.9, *words)
    return tiny_config(folder, *words, videos=videos)


def _words(folder, videos, *words):
    """The command line of that run."""
    _config(folder, videos)
    listing = videos / "list.csv"
    own = ("DATA.TRAIN_LIST", listing, "DATA.VAL_LIST", listing, "OUTPUT_DIR", folder / "out")
    return ("train", "--cfg", folder / "tiny.yaml", *own, *WORDS, "TRAIN.EMA_DECAY", 0.9, *words)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, videos):
    """The folder of a run that nothing disturbs."""
    folder = tmp_path_factory.mktemp("whole")
    train(_config(folder, videos))
    return folder / "out"


@pytest.fixture(scope="module")
def sittings():
    with Sittings() as sittings:
        yield sittings


def _numbers(rows):
    return [{name: value for name, value in row.items() if name not in TIMES} for row in rows]


def _curves(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    names = [name for name in events.Tags()["scalars"] if name.split("/")[1] not in TIMES]
    # Files that were begun in the same second are read in the order of their processes' numbers.
    return {name: sorted((event.step, event.value) for event in events.Scalars(name)) for name in names}


def _assert_same_run(folder, whole):
    """Bitwise the same losses and weights, every step once, and nothing left lying about."""
    assert _numbers(read_rows(folder / "train.jsonl")) == _numbers(read_rows(whole / "train.jsonl"))
    assert _curves(folder) == _curves(whole)
    ends = [read_resumable(checkpoint_path(out, EPOCHS)) for out in (folder, whole)]
    for name in ("model_state", "ema_state"):
        one, other = (end[name].get("weights", end[name]) for end in ends)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)
    names = [sorted(path.name for path in (out / "checkpoints").iterdir()) for out in (folder, whole)]
    assert names[0] == names[1]
    assert read_resumable(best_path(folder))["step"] == read_resumable(best_path(whole))["step"]


def test_the_undisturbed_run_has_what_the_others_are_compared_with(whole):
    rows = read_rows(whole / "train.jsonl")
    assert [row["step"] for row in rows if row["kind"] == "train"] == [3, 4, 7, 8, 11, 12, 15, 16]
    assert [row["step"] for row in rows if row["kind"] == "val"] == [8, 16]
    assert all(row["bad"] == 1 for row in rows if row["kind"] == "train" and row["step"] % 4 == 0)
    assert len(_curves(whole)["train/loss"]) == 8
    assert len(rows) == ALL_ROWS


@pytest.mark.parametrize(
    ("harm", "when", "newest"),
    [
        # the checkpoint being written is that of step 6; 3 of the first epoch are before it, and its end
        pytest.param("kill_before_rename", 6, 5, marks=pytest.mark.slow),
        ("kill_half_written", 6, 5),
        pytest.param("kill_after_rename", 6, 6, marks=pytest.mark.slow),
        # rows of steps 3 and 4, videos, and now 7
        pytest.param("kill_between_row_and_curve", 4, 6, marks=pytest.mark.slow),
        ("kill_before_best", 1, 8),
    ],
)
def test_killed_while_it_writes(tmp_path, videos, whole, sittings, harm, when, newest):
    words = _words(tmp_path, videos, *EVERY_STEP)
    status, _ = sittings.run(*words, harm=harm, when=when)
    assert status == -signal.SIGKILL
    found = list_checkpoints(tmp_path / "out")
    assert read_resumable(found[0])["step"] == newest
    assert sittings.run(*words)[0] == 0
    _assert_same_run(tmp_path / "out", whole)


def _num_rows(folder):
    log = folder / "train.jsonl"
    return log.read_bytes().count(b"\n") if log.exists() else 0


def _wait_for_rows(folder, count):
    deadline = time.monotonic() + SECONDS
    while _num_rows(folder) < count:
        assert time.monotonic() < deadline
        time.sleep(0.002)


def _killed_at_random(tmp_path, videos, sittings, seed, sittings_most):
    """Each sitting is killed within 0.1 s of its beginning, or of one of its next three rows."""
    words = _words(tmp_path, videos, *EVERY_STEP)
    dice = random.Random(seed)
    kills = 0
    for _ in range(sittings_most):
        rows = _num_rows(tmp_path / "out")
        pid = sittings.start(*words)
        _wait_for_rows(tmp_path / "out", min(rows + dice.randint(0, 3), ALL_ROWS))
        time.sleep(dice.uniform(0, 0.1))
        with contextlib.suppress(ProcessLookupError):  # it is done already
            os.kill(pid, signal.SIGKILL)
        status = sittings.wait()[0]
        assert status in (0, -signal.SIGKILL)
        kills += status != 0
    assert sittings.run(*words)[0] == 0
    return kills


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_random_moments(tmp_path, videos, whole, sittings, seed):
    assert _killed_at_random(tmp_path, videos, sittings, seed, 8) > 0
    _assert_same_run(tmp_path / "out", whole)


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGUSR2,
        *(
            pytest.param(number, marks=pytest.mark.slow)
            for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
        ),
    ],
)
def test_a_signal_inside_the_optimisers_step(tmp_path, videos, whole, sittings, number):
    words = _words(tmp_path, videos)
    status, said = sittings.run(*words, harm="signal_in_step", when=(6, number))
    assert status == 128 + number
    # the step it came in, and the one in whose exchange it was seen
    saved = checkpoint_path(tmp_path / "out", 1, 7)
    last = said.strip().splitlines()[-1]
    assert last == (
        f"mvit-video: stopped by {signal.Signals(number).name} after step 7, saved to {saved}; "
        "the same command goes on"
    )
    assert list_checkpoints(tmp_path / "out") == [saved]
    assert sittings.run(*words)[0] == 0
    _assert_same_run(tmp_path / "out", whole)


@pytest.mark.parametrize(
    ("harm", "when", "steps", "where"),
    [
        # the last step of an epoch whose checkpoint stays, of one without, and of all
        pytest.param("signal_in_step", 7, 8, "after step 8", marks=pytest.mark.slow),
        pytest.param("signal_in_step", 3, 4, "after step 4", marks=pytest.mark.slow),
        pytest.param("signal_in_step", 16, 16, "while evaluating after step 16", marks=pytest.mark.slow),
        ("signal_in_evaluation", 2, 8, "while evaluating after step 8"),
        pytest.param("signal_in_saving", 1, 8, "while evaluating after step 8", marks=pytest.mark.slow),
    ],
)
def test_a_signal_at_the_end_of_an_epoch(tmp_path, videos, whole, sittings, harm, when, steps, where):
    words = _words(tmp_path, videos)
    status, said = sittings.run(*words, harm=harm, when=(when, signal.SIGTERM))
    assert status == 128 + signal.SIGTERM
    assert f"stopped by SIGTERM {where}, saved to " in said.strip().splitlines()[-1]
    newest = list_checkpoints(tmp_path / "out")[0]
    assert read_resumable(newest)["step"] == steps
    assert ("_step_" in newest.name) == (steps == 4)
    assert sittings.run(*words)[0] == 0
    _assert_same_run(tmp_path / "out", whole)


@pytest.mark.slow
def test_a_second_ctrl_c_interrupts_but_not_within_a_file(tmp_path, videos, whole, sittings):
    words = _words(tmp_path, videos, *EVERY_STEP)
    status, said = sittings.run(*words, harm="two_interrupts_in_saving", when=6)
    assert status == 130
    lines = said.strip().splitlines()
    saved = checkpoint_path(tmp_path / "out", 1, 6)
    assert lines[-2:] == [
        f"stopped in epoch 2 at step 6; the same command goes on from {saved}",
        "mvit-video: interrupted",
    ]
    assert sittings.run(*words)[0] == 0
    _assert_same_run(tmp_path / "out", whole)


def test_a_full_disk_ends_the_run_with_the_last_good_state(tmp_path, videos, whole, sittings):
    words = _words(tmp_path, videos, *EVERY_STEP)
    status, said = sittings.run(*words, harm="file_size_limit", when=6)
    assert status == 2
    last = said.strip().splitlines()[-1]
    assert last.startswith("mvit-video: error: ")
    assert "checkpoint_epoch_00001_step_00000006.pyth: the checkpoint could not be written" in last
    assert last.endswith("File too large): check the disk; checkpoints before it stay as they were")
    folder = tmp_path / "out/checkpoints"
    assert [path.name for path in folder.iterdir()] == ["checkpoint_epoch_00001_step_00000005.pyth"]
    assert sittings.run(*words)[0] == 0
    _assert_same_run(tmp_path / "out", whole)


def test_a_list_that_is_gone_is_named_and_the_state_stays(tmp_path, videos, sittings):
    copies = tmp_path / "videos"
    shutil.copytree(videos, copies)
    words = _words(tmp_path, copies)
    sittings.run(*words, harm="signal_in_step", when=(6, signal.SIGTERM))
    (copies / "list.csv").unlink()
    status, said = sittings.run(*words)
    assert status == 2
    assert said.strip().splitlines()[-1].startswith(f"mvit-video: error: {copies}/list.csv: does not exist")
    assert read_resumable(list_checkpoints(tmp_path / "out")[0])["step"] == 7


def _flip_a_bit(path):
    """In the middle of the largest tensor, where torch.load looks at nothing."""
    with open(path, "r+b") as file:
        file.seek(os.path.getsize(path) // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))


def _cut_off(path):
    os.truncate(path, 5000)


@pytest.mark.parametrize("harm", [_flip_a_bit, pytest.param(_cut_off, marks=pytest.mark.slow)])
def test_a_damaged_newest_checkpoint_is_passed_over(tmp_path, videos, whole, sittings, harm):
    words = _words(tmp_path, videos)
    sittings.run(*words, harm="signal_in_step", when=(9, signal.SIGTERM))
    newest, before_it = list_checkpoints(tmp_path / "out")
    harm(newest)
    status, said = sittings.run(*words)
    assert status == 0
    assert f"{newest}: cannot be read" in said
    assert f"going on from {before_it}: 2 epochs done" in said
    _assert_same_run(tmp_path / "out", whole)


def test_a_test_that_is_stopped_says_how_far_it_was(tmp_path, videos, whole, sittings):
    _config(tmp_path, videos)
    own = ("DATA.TEST_LIST", videos / "list.csv", "OUTPUT_DIR", tmp_path / "out")
    words = ("test", "--cfg", tmp_path / "tiny.yaml", *own, "TEST.CHECKPOINT_FILE_PATH", best_path(whole))
    status, said = sittings.run(*words, harm="signal_in_evaluation", when=(4, signal.SIGUSR1))
    assert status == 128 + signal.SIGUSR1
    assert re.fullmatch(
        r"mvit-video: stopped by SIGUSR1 after \d+ of 16 videos, the same command begins this part again",
        said.strip().splitlines()[-1],
    )
    assert not (tmp_path / "out/test_results.csv").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_all_processes_of_a_job_with_data_workers(tmp_path, videos, whole, number):
    words = [str(word) for word in (*_words(tmp_path, videos, *EVERY_STEP), "DATA_LOADER.NUM_WORKERS", 2)]
    command = [sys.executable, "-m", "mvit_video", *words]
    process = subprocess.Popen(
        command, env=environment(), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while not list_checkpoints(tmp_path / "out"):
        time.sleep(0.02)
        assert process.poll() is None, process.stderr.read()
    os.killpg(process.pid, number)
    _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 128 + number, said
    assert [line for line in said.splitlines() if "worker" in line or "Traceback" in line] == []
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    _assert_same_run(tmp_path / "out", whole)
