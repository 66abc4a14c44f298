"""Runs of two processes, disturbed in one of them: both leave, and go on as two or as one."""

import json
import shutil
import signal

import pytest
import torch
from kit.processes import KIT, messages, start_ranks, wait_for
from kit.tiny_runs import tiny_config, write_videos

from mvit_video.engine import train
from mvit_video.engine.checkpoints.files import checkpoint_path, list_checkpoints, read_resumable
from mvit_video.engine.records.logs import read_rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]  # of starting processes, mostly
WORDS = (
    "SOLVER.MAX_EPOCH", 3, "TRAIN.EVAL_PERIOD", 3, "TRAIN.CHECKPOINT_PERIOD", 3, "LOG_PERIOD", 3,
    "TRAIN.EMA_DECAY", 0.9, "TRAIN.MICRO_BATCH_SIZE", 2,
    "MIXUP.ENABLE", True, "MODEL.LOSS_FUNC", "soft_cross_entropy",
)  # fmt: skip


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return write_videos(tmp_path_factory.mktemp("videos"), videos_per_class=8)


def _run(folder, videos, *words, harm="", when=None, rank=1):
    """A run of two processes into ``folder/out``, harmed in one: their exit statuses and what they said."""
    tiny_config(folder)
    listing = videos / "list.csv"
    own = ("DATA.TRAIN_LIST", listing, "DATA.VAL_LIST", listing, "OUTPUT_DIR", folder / "out")
    words = ("train", "--cfg", folder / "tiny.yaml", *own, *WORDS, *words)
    meeting = folder / f"meeting{len(list(folder.glob('meeting*')))}"
    ranks = start_ranks(meeting, KIT / "harmed_run.py", harm, json.dumps(when), rank, *words)
    return wait_for(ranks), [messages(meeting, number) for number in range(2)]


def _losses(folder):
    names = ("step", "epoch", "loss", "lr", "skipped")
    rows = read_rows(folder / "out/train.jsonl")
    return [[row[name] for name in names] for row in rows if row["kind"] == "train"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, videos):
    folder = tmp_path_factory.mktemp("whole")
    statuses, said = _run(folder, videos, "DISTRIBUTED.STRATEGY", "fsdp")
    assert statuses == [0, 0], said
    return folder


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, videos):
    """One of two processes that share a sharded model got a signal inside its optimiser's sixth step."""
    folder = tmp_path_factory.mktemp("stopped")
    words = ("DISTRIBUTED.STRATEGY", "fsdp")
    statuses, said = _run(folder, videos, *words, harm="signal_in_step", when=(6, int(signal.SIGUSR2)))
    assert statuses == [128 + signal.SIGUSR2] * 2, said
    assert "stopped by SIGUSR2 after step 7, saved to " in said[0]
    assert list_checkpoints(folder / "out") == [checkpoint_path(folder / "out", 1, 7)]
    return folder


def test_as_two_again_it_is_bitwise_the_run_that_was_left_alone(tmp_path, videos, whole, stopped):
    shutil.copytree(stopped / "out", tmp_path / "out")
    statuses, said = _run(tmp_path, videos, "DISTRIBUTED.STRATEGY", "fsdp")
    assert statuses == [0, 0], said
    assert _losses(tmp_path) == _losses(whole)
    ends = [read_resumable(checkpoint_path(folder / "out", 3)) for folder in (tmp_path, whole)]
    for name, tensor in ends[0]["model_state"].items():
        assert torch.equal(tensor, ends[1]["model_state"][name])
    for name, tensor in ends[0]["ema_state"]["weights"].items():
        assert torch.equal(tensor, ends[1]["ema_state"]["weights"][name])


def test_as_two_copies_and_as_one_process_it_is_the_same_training(tmp_path, videos, whole, stopped):
    expected = [pytest.approx(row, rel=1e-4) for row in _losses(whole)]
    shutil.copytree(stopped / "out", tmp_path / "copies/out")
    statuses, said = _run(tmp_path / "copies", videos, "DISTRIBUTED.STRATEGY", "ddp")
    assert statuses == [0, 0], said
    assert _losses(tmp_path / "copies") == expected
    shutil.copytree(stopped / "out", tmp_path / "one/out")
    train(tiny_config(tmp_path / "one", "DATA.VAL_LIST", videos / "list.csv", *WORDS, videos=videos))
    assert _losses(tmp_path / "one") == expected


def test_a_loss_that_is_no_number_in_one_process_is_skipped_by_both(tmp_path, videos):
    words = ("TRAIN.SKIPPED_STEPS_LIMIT", 1, "SOLVER.MAX_EPOCH", 1, "TRAIN.EVAL_PERIOD", 1)
    statuses, said = _run(tmp_path, videos, *words, harm="no_number", when=2)
    assert statuses == [0, 0], said
    assert "step skipped, 1 of at most 1" in said[0]
    assert [row[-1] for row in _losses(tmp_path)] == [1, 1]
    skipped = sorted(path.name for path in (tmp_path / "out/skipped").iterdir())
    assert skipped == ["step_00000001_rank_0.pt", "step_00000001_rank_1.pt"]
    noted = [torch.load(tmp_path / "out/skipped" / name) for name in skipped]
    assert [batch["part"] for each in noted for batch in each["batches"]] == [0, 1]
    assert torch.isfinite(torch.tensor([each["loss"] for each in noted])).tolist() == [True, False]


def test_a_disk_that_is_full_ends_both(tmp_path, videos):
    words = ("TRAIN.CHECKPOINT_MINUTES", 1e-9)
    statuses, said = _run(tmp_path, videos, *words, harm="file_size_limit", when=6, rank=0)
    assert statuses == [2, 2], said
    assert "checkpoint_epoch_00001_step_00000006.pyth: the checkpoint could not be written" in said[0]
    assert list_checkpoints(tmp_path / "out") == [checkpoint_path(tmp_path / "out", 1, 5)]
