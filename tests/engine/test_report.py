"""The printed account of a run, against published counts."""

import re
import subprocess
import sys

import pytest
from kit.configurations import SLOWFAST_FILES

from mvit_video.config import load_config
from mvit_video.engine.report import print_config

PUBLISHED = {  # parameters in millions, multiply-adds of a view in G (counted on the official code)
    "K400/MVITv1_B_16x4": (36.61, 70.6),
    "K400/MVITv1_B24_32x3": (53.12, 235.8),
    "K400/MVITv1_B_32x3": (36.61, 170.0),
    "K400/MVITv1_B_64x3": (36.61, 455.1),
    "K400/MVITv2_S_16x4": (34.54, 64.2),
    "K400/MVITv2_B_32x3": (51.23, 224.5),
    "K400/MVITv2_L_40x3": (213.39, 2823.4),
}


@pytest.mark.parametrize(("name", "published"), PUBLISHED.items())
def test_parameters_and_cost_are_the_published_ones(name, published):
    text = print_config(load_config(name), num_devices=0)
    parameters = float(re.search(r"parameters: ([\d.]+) M", text)[1])
    cost = float(re.search(r"pixels: ([\d.]+) G multiply-adds", text)[1])
    assert parameters == pytest.approx(published[0], abs=0.006)
    assert cost == pytest.approx(published[1], rel=1e-3)


def test_every_block_has_its_grid_width_heads_and_pooling():
    lines = print_config(load_config("K400/MVITv2_S_16x4"), num_devices=0).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("  block "))
    blocks = [line.split() for line in lines[start + 1 : start + 17]]
    assert [block[0] for block in blocks] == [str(i) for i in range(16)]
    assert " ".join(blocks[0]) == "0 8x56x56 8x56x56 8x7x7 96 1 3x3x3/1x1x1 3x3x3/1x8x8 0.000"
    assert " ".join(blocks[1]) == "1 8x56x56 8x28x28 8x14x14 96 -> 192 2 3x3x3/1x2x2 3x3x3/1x4x4 0.013"
    assert " ".join(blocks[15]) == "15 8x7x7 8x7x7 8x7x7 768 8 3x3x3/1x1x1 3x3x3/1x1x1 0.200"
    v1 = print_config(load_config("K400/MVITv1_B_16x4"), num_devices=0)
    assert re.search(r"^ +0 .* 96 -> 192 +1  - +3x3x3/1x8x8", v1, re.MULTILINE)


def test_views_batch_and_learning_rate():
    text = print_config(load_config("K400/MVITv2_S_16x4"), num_devices=2)
    assert "views: 5 clips x 1 crop of 224 pixels, short side 256" in text
    assert "clip: 16 frames, 4 apart at 30 fps (2.13 seconds)" in text
    assert "mean [0.45, 0.45, 0.45] and deviation [0.225, 0.225, 0.225] of red, green, blue" in text
    assert "batch: 32 clips of 16 videos a step, 8 videos on each device, in 4 passes of 2" in text
    assert (
        "augmentation: flips, RandAugment rand-m7-n4-mstd0.5-inc1, 25% erased, mixed in groups of 2 videos, "
        "labels smoothed by 0.1"
    ) in text
    assert "learning rate: 1e-06 to 0.0001 in 30 epochs, then a cosine to 1e-06 at epoch 200 (adamw" in text
    assert "not possible" not in text


def test_segments_and_numbers_that_were_turned_round():
    path = SLOWFAST_FILES / "ssv2_MVITv2_L_40x3.yaml"
    text = print_config(load_config(path), num_devices=1)
    assert "views: 1 clip x 3 crops of 312 pixels, short side 312" in text
    assert "clip: 40 frames, one of each of as many parts of the video" in text
    assert "mean [0.406, 0.456, 0.485] and deviation [0.225, 0.224, 0.229] of red, green, blue" in text
    assert "not possible" not in text
    assert "augmentation: RandAugment rand-m7-n4-mstd0.5-inc1, 25% erased, labels smoothed by 0.1\n" in text


def test_a_plain_training_is_said_to_be_one():
    words = ["SOLVER.BASE_LR=1", "SOLVER.MAX_EPOCH=1", "DATA.RANDOM_FLIP=False"]
    assert "augmentation: crops only\n" in print_config(load_config([], words))
    words += ["AUG.ENABLE=True", "AUG.AA_TYPE=", "AUG.RE_PROB=0"]
    assert "augmentation: colour jitter of 0.4\n" in print_config(load_config([], words))


def test_given_keys_are_marked_and_those_of_a_named_model_left_to_it():
    text = print_config(load_config("K400/MVITv2_S_16x4"), num_devices=0)
    assert "  * DATA.NUM_FRAMES: 16\n" in text
    assert "    DATA.MEAN: [0.45, 0.45, 0.45]\n" in text
    assert "MVIT.DEPTH" not in text
    assert "    MVIT.DEPTH: 16\n" in print_config(load_config(), num_devices=0)


def test_what_cannot_be_tested_or_trained_is_said():
    text = print_config(
        load_config([], ["TEST.NUM_TEMPORAL_CLIPS=[1,3]", "TRAIN.BATCH_SIZE=7", "NUM_GPUS=2"]), num_devices=2
    )
    assert "Testing\n  not possible: TEST.NUM_TEMPORAL_CLIPS" in text
    assert "not possible: SOLVER.BASE_LR and SOLVER.MAX_EPOCH: not set" in text
    assert "TRAIN.BATCH_SIZE is 7, which 2 processes cannot share evenly" in text
    assert "learning rate: " not in text


def test_other_test_sizes_are_counted_as_tested():
    text = print_config(load_config("K400/MVITv2_S_16x4", ["DATA.TEST_CROP_SIZE=256"]), num_devices=0)
    assert "one view of 224 pixels: 64.2 G" in text
    assert re.search(r"one view of 256 pixels: 8\d\.\d G", text)


@pytest.mark.slow
def test_the_largest_model_is_described_in_little_memory():
    code = (
        "import resource, torch; from mvit_video.config import load_config;"
        "from mvit_video.engine.report import print_config;"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "print_config(load_config('K400/MVITv2_L_40x3'));"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 213_390_112 * 4 / 1024 / 2  # KiB: half of what the weights alone would take


def test_the_rule_of_the_rates_and_the_refinements_are_said():
    text = print_config(load_config("K400/MVITv2_S_16x4", ["NUM_SHARDS=4"]), num_devices=1)
    assert "batch: 128 clips of 64 videos a step" in text
    assert "learning rate: 4e-06 to 0.0004 in 30 epochs" in text
    assert "the rates are SOLVER's times 4, NUM_SHARDS\n" in text
    assert "gradients clipped to a norm of 1" in text
    assert "layer decay" not in text
    assert "averaged over the steps" not in text
    text = print_config(load_config("finetune/MVITv2_S_16x4", ["TRAIN.BATCH_SIZE=8"]), num_devices=1)
    assert "the rates are SOLVER's times 8/16, videos a step over SOLVER.BASE_LR_BATCH_SIZE\n" in text
    assert "learning rate: 5e-07 to 5e-05 in 3 epochs" in text
    assert "layer decay: each block learns at 0.75 times the rate of the one after it" in text
    assert "weights averaged over the steps (EMA 0.999)" in text
    text = print_config(load_config("K400/MVITv2_S_16x4", ["SOLVER.BASE_LR_BATCH_SIZE=16"]), num_devices=1)
    assert "SOLVER.BASE_LR_BATCH_SIZE is 16 and SOLVER.BASE_LR_SCALE_NUM_SHARDS is True" in text
