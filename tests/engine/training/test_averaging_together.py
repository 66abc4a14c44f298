"""Two real processes average their weights as one does, copied or sharded; one of them speaks."""

import pytest
import torch
from kit.processes import RUN_NET, torchrun
from kit.tiny_runs import tiny_config, write_videos

from mvit_video.config import dump_config
from mvit_video.engine import train
from mvit_video.engine.checkpoints.files import checkpoint_path, read_resumable
from mvit_video.engine.records.logs import read_rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]  # of starting processes, mostly


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return write_videos(tmp_path_factory.mktemp("videos"))


@pytest.fixture(scope="module")
def alone(tmp_path_factory, videos):
    config = _config(tmp_path_factory.mktemp("alone"), videos)
    train(config)
    return config


@pytest.fixture(scope="module", params=["ddp", "fsdp"])
def together(request, tmp_path_factory, videos):
    """The configuration of a run of two processes, and all that they said."""
    folder = tmp_path_factory.mktemp(request.param)
    config = _config(folder, videos, "DISTRIBUTED.STRATEGY", request.param)
    (folder / "run.yaml").write_text(dump_config(config))
    status, said = torchrun(RUN_NET, "--cfg", folder / "run.yaml", "TEST.ENABLE", False)
    assert status == 0, said
    return config, said


def _config(folder, videos, *more):
    words = ["DATA.VAL_LIST", videos / "list.csv", "TRAIN.EVAL_PERIOD", 1, "TRAIN.EVAL_AT_START", True]
    words += ["TRAIN.EMA_DECAY", 0.5, "SOLVER.LAYER_DECAY", 0.5, "MODEL.DROPOUT_RATE", 0.0]
    words += ["MVIT.DROPPATH_RATE", 0.0, "SOLVER.CLIP_GRAD_L2NORM", 1.0, "TRAIN.MICRO_BATCH_SIZE", 1]
    return tiny_config(folder, *words, *more, videos=videos)


def _rows(config, kind):
    return [row for row in read_rows(f"{config.output_dir}/train.jsonl") if row["kind"] == kind]


def test_losses_and_accuracies_are_those_of_one_process(alone, together):
    config, _ = together
    for kind, fields in (
        ("train", ("loss", "top1", "lr")),
        ("val", ("top1", "top5", "ema_top1", "ema_top5")),
    ):
        ours, theirs = _rows(config, kind), _rows(alone, kind)
        assert [row["step"] for row in ours] == [row["step"] for row in theirs]
        for row, other in zip(ours, theirs, strict=True):
            assert [row[field] for field in fields] == pytest.approx(
                [other[field] for field in fields], rel=1e-4
            )


def test_the_average_is_saved_whole(alone, together):
    config, _ = together
    ours, theirs = (read_resumable(checkpoint_path(c.output_dir, 3)) for c in (config, alone))
    assert ours["ema_state"]["num_updates"] == theirs["ema_state"]["num_updates"] == 6
    for name, tensor in theirs["ema_state"]["weights"].items():
        torch.testing.assert_close(ours["ema_state"]["weights"][name], tensor, rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(
            ours["model_state"][name], theirs["model_state"][name], rtol=1e-3, atol=1e-5
        )
    moved = max(
        float((tensor - theirs["model_state"][name]).abs().max())
        for name, tensor in theirs["ema_state"]["weights"].items()
    )
    assert moved > 1e-4  # the average is not the last weights


def test_one_process_speaks(together):
    _, said = together
    for words in ("effective batch", "learning rate", "step 6/6", "by the averaged weights"):
        lines = [line for line in said.splitlines() if words in line]
        assert len(lines) == len(set(lines)) > 0, words
    assert said.count("effective batch") == 1
