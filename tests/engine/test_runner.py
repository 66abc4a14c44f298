"""Whole runs by several processes, beside the same run by one."""

import json

import pytest
import torch
from kit.processes import RUN_NET, torchrun
from kit.tiny_runs import tiny_config, write_videos

from mvit_video.config import dump_config
from mvit_video.engine import RunError, run

pytestmark = pytest.mark.timeout(1200)  # of starting processes, mostly

# 9 videos to train on, in 2 steps of 4; 9 to evaluate, one of them unreadable: one process has 5, one 4.
RECIPE = (
    "MVIT.DROPPATH_RATE", 0.0, "MODEL.DROPOUT_RATE", 0.0, "TRAIN.BATCH_SIZE", 4, "TRAIN.EVAL_PERIOD", 1,
    "SOLVER.MAX_EPOCH", 2, "MIXUP.ENABLE", True, "MODEL.LOSS_FUNC", "soft_cross_entropy", "AUG.ENABLE", True,
    "AUG.NUM_SAMPLE", 2, "SOLVER.CLIP_GRAD_L2NORM", 1.0, "TRAIN.EMA_DECAY", 0.9, "TEST.PRECISION", "fp32",
    "TEST.SAVE_RESULTS_PATH", "results.json",
)  # fmt: skip


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = write_videos(tmp_path_factory.mktemp("videos"))
    lines = (folder / "list.csv").read_text().splitlines()
    broken = folder / "broken.mp4"
    broken.write_bytes(b"no video")
    (folder / "list.csv").write_text("\n".join([*lines, lines[0]]) + "\n")
    (folder / "test.csv").write_text("\n".join([*lines[:3], f"{broken} 1", *lines[3:]]) + "\n")
    return folder


def _config(folder, videos, *more):
    listing = videos / "test.csv"
    return tiny_config(
        folder, *RECIPE, "DATA.VAL_LIST", listing, "DATA.TEST_LIST", listing, *more, videos=videos
    )


@pytest.fixture(scope="module")
def alone(tmp_path_factory, videos):
    folder = tmp_path_factory.mktemp("alone")
    return run(_config(folder, videos)), json.loads((folder / "out/results.json").read_text())


def _rows(folder, kind):
    rows = map(json.loads, (folder / "out/train.jsonl").read_text().splitlines())
    return [row for row in rows if row["kind"] == kind]


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("TRAIN.MICRO_BATCH_SIZE", 2),
        ("DISTRIBUTED.STRATEGY", "fsdp", "MODEL.ACT_CHECKPOINT", True, "TRAIN.BATCH_SIZE", 2, "NUM_SHARDS", 2,
         "SOLVER.BASE_LR_SCALE_NUM_SHARDS", False, "DATA_LOADER.NUM_WORKERS", 1),
    ],
    ids=["ddp", "fsdp"],
)  # fmt: skip
def test_two_processes_do_what_one_does(tmp_path, videos, alone, words):
    result, expected = alone
    config = tmp_path / "config.yaml"
    config.write_text(dump_config(_config(tmp_path, videos, *words)))
    status, text = torchrun(RUN_NET, "--cfg", config)
    assert status == 1, text  # a video of the test could not be read
    rows, alone_rows = _rows(tmp_path, "train"), [row for row in result.train.rows if row["kind"] == "train"]
    for key in ("step", "epoch", "lr", "loss", "grad_norm"):
        assert [row[key] for row in rows] == pytest.approx([row[key] for row in alone_rows], rel=1e-4), key
    evaluated, alone_rows = _rows(tmp_path, "val"), [row for row in result.train.rows if row["kind"] == "val"]
    assert evaluated == [{**row, "time": found.get("time")} if "time" in row else row
                         for row, found in zip(alone_rows, evaluated, strict=True)]  # fmt: skip
    assert evaluated[0]["num_videos"] == 8
    assert evaluated[0]["num_unreadable"] == 1
    found = json.loads((tmp_path / "out/results.json").read_text())
    assert [video["path"] for video in found["videos"]] == [video["path"] for video in expected["videos"]]
    for video, one in zip(found["videos"], expected["videos"], strict=True):
        assert (video["num_views"], video["error"]) == (one["num_views"], one["error"])
        assert (video["scores"] is None) == (one["scores"] is None)
        if one["scores"]:
            assert video["scores"] == pytest.approx(one["scores"], abs=1e-3)
    assert [found[key] for key in ("top1", "top5", "num_videos", "num_views")] == [
        expected[key] for key in ("top1", "top5", "num_videos", "num_views")
    ]
    assert text.count("8 videos, 48 views, 1 unreadable; results in") == 1  # said once
    saved = torch.load(tmp_path / "out/checkpoints/checkpoint_epoch_00002.pyth", weights_only=True)
    theirs = torch.load(result.train.checkpoint, weights_only=True)
    for name, tensor in theirs["model_state"].items():
        assert (saved["model_state"][name] - tensor).abs().mean() < 2e-4, name


def test_nothing_to_do():
    from mvit_video.config import load_config

    with pytest.raises(RunError, match=r"^TRAIN.ENABLE and TEST.ENABLE are both False"):
        run(load_config([], ["TRAIN.ENABLE", "False", "TEST.ENABLE", "False"]))
