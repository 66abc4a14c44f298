"""The published recipes as a whole, on tiny videos: the same whoever decodes, and after a stop."""

import shutil
from pathlib import Path

import pytest
import torch
from kit.tiny_runs import tiny_config, write_videos

from mvit_video.config import load_config
from mvit_video.config.schema import KEYS, value_of
from mvit_video.engine import train
from mvit_video.engine.checkpoints.files import checkpoint_path, read_resumable
from mvit_video.engine.training.preparation import prepare_training

KINETICS = load_config("K400/MVITv2_S_16x4")
SSV2 = load_config("SSv2/MVITv2_S_16x4")


def _recipe(config):
    """What a published file says about augmentation and mixing, as overrides."""
    sections = ("aug", "mixup")
    keys = [key for key in KEYS.values() if key.section in sections]
    keys += [KEYS[f"DATA.{name}"] for name in ("SAMPLING", "RANDOM_FLIP", "INV_UNIFORM_SAMPLE")]
    keys += [KEYS["DATA.TRAIN_JITTER_SCALES_RELATIVE"], KEYS["DATA.TRAIN_JITTER_ASPECT_RELATIVE"]]
    words = [(key.dotted, repr(value_of(config, key))) for key in keys]
    return ("MODEL.LOSS_FUNC", "soft_cross_entropy", *(word for pair in words for word in pair))


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return write_videos(tmp_path_factory.mktemp("videos"))


@pytest.fixture(scope="module", params=[KINETICS, SSV2], ids=["kinetics", "ssv2"])
def recipe(request):
    return _recipe(request.param)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, videos, recipe):
    """A run of three epochs with everything on, decoded in the process itself."""
    return train(tiny_config(tmp_path_factory.mktemp("whole"), *recipe, videos=videos))


def _losses(result):
    return [(row["step"], row["loss"]) for row in result.rows if row["kind"] == "train"]


def test_everything_is_on(tmp_path, videos):
    inputs = prepare_training(tiny_config(tmp_path, *_recipe(KINETICS), videos=videos))
    batch = next(inputs.loader.epoch(0))
    assert batch.clips.shape[:2] == (8, 3)  # 4 videos, 2 clips of each
    assert (batch.group_size, len(batch.mixes), len(batch.erasures)) == (4, 2, 8)
    assert batch.labels[0] == batch.labels[1]
    assert not torch.equal(batch.clips[0], batch.clips[1])
    assert inputs.plan.smoothing == 0.1
    assert inputs.plan.global_batch == 8
    erasures = [e for epoch in range(5) for b in inputs.loader.epoch(epoch) for e in b.erasures]
    assert 0 < sum(erasure is not None for erasure in erasures) < len(erasures)


def test_processes_that_decode_change_nothing(tmp_path, videos, recipe, whole):
    again = train(tiny_config(tmp_path, *recipe, "DATA_LOADER.NUM_WORKERS", 2, videos=videos))
    assert _losses(again) == _losses(whole)


def test_a_resumed_run_is_bitwise_the_one_that_never_stopped(tmp_path, videos, recipe, whole):
    target = checkpoint_path(tmp_path / "out", 1)
    target.parent.mkdir(parents=True)
    shutil.copy(checkpoint_path(Path(whole.checkpoint).parents[1], 1), target)
    shutil.copy(Path(whole.checkpoint).parents[1] / "train.jsonl", tmp_path / "out")
    torch.rand(3)  # whatever the process drew before
    resumed = train(tiny_config(tmp_path, *recipe, videos=videos))
    assert _losses(resumed) == _losses(whole)
    one, other = (read_resumable(result.checkpoint)["model_state"] for result in (resumed, whole))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_a_batch_in_two_passes_is_that_batch(tmp_path, videos):
    """Without dropout, which is drawn per pass: the mixing groups, and so the losses, stay."""
    words = (*_recipe(KINETICS), "MODEL.DROPOUT_RATE", 0.0, "MVIT.DROPPATH_RATE", 0.0, "SOLVER.MAX_EPOCH", 2)
    at_once = train(tiny_config(tmp_path / "one", *words, "TRAIN.MICRO_BATCH_SIZE", 4, videos=videos))
    in_two = train(tiny_config(tmp_path / "two", *words, "TRAIN.MICRO_BATCH_SIZE", 2, videos=videos))
    for (step, loss), (_, other) in zip(_losses(at_once), _losses(in_two), strict=True):
        assert loss == pytest.approx(other, abs=1e-4), step


def test_labels_alone_are_smoothed_where_nothing_is_mixed(tmp_path, videos):
    """SSv2's large model: MIXUP.PROB 0; then a loss cannot fall below the entropy of its targets."""
    words = (*_recipe(KINETICS), "MIXUP.PROB", 0.0, "TRAIN.BATCH_SIZE", 3)  # which no group would divide
    inputs = prepare_training(tiny_config(tmp_path, *words, videos=videos))
    assert inputs.plan.smoothing == 0.1
    batch = next(inputs.loader.epoch(0))
    assert (len(batch.clips), tuple(batch.mixes)) == (6, ())


@pytest.mark.slow
def test_it_learns_all_the_same(tmp_path, videos):
    words = ("SOLVER.MAX_EPOCH", 12, "SOLVER.BASE_LR", 5e-3, "LOG_PERIOD", 2, "TRAIN.CHECKPOINT_PERIOD", 12)
    losses = [
        loss for _, loss in _losses(train(tiny_config(tmp_path, *_recipe(KINETICS), *words, videos=videos)))
    ]
    assert sum(losses[-3:]) / 3 < sum(losses[:3]) / 3
