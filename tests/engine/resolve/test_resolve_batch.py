"""How a batch is shared out, by SlowFast's rules."""

import pytest
from kit.configurations import message

from mvit_video.config import load_config
from mvit_video.engine.resolve import (
    BatchPlan,
    resolve_batch,
    resolve_test_batch,
)


@pytest.mark.parametrize(
    ("words", "processes", "expected"),
    [
        (["TRAIN.BATCH_SIZE=16", "NUM_GPUS=8"], 8, BatchPlan(16, 2, 2, 1)),
        (["TRAIN.BATCH_SIZE=16", "NUM_GPUS=8"], 2, BatchPlan(16, 8, 2, 4)),
        (["TRAIN.BATCH_SIZE=16", "NUM_GPUS=8"], 1, BatchPlan(16, 16, 2, 8)),
        (["TRAIN.BATCH_SIZE=16", "NUM_GPUS=2"], 8, BatchPlan(16, 2, 2, 1)),
        (["TRAIN.BATCH_SIZE=16", "NUM_GPUS=0"], 1, BatchPlan(16, 16, 16, 1)),
        (["TRAIN.BATCH_SIZE=16", "NUM_GPUS=8", "NUM_SHARDS=4"], 32, BatchPlan(64, 2, 2, 1)),
        (["TRAIN.BATCH_SIZE=16", "NUM_GPUS=8", "NUM_SHARDS=4"], 1, BatchPlan(64, 64, 2, 32)),
        (["TRAIN.BATCH_SIZE=3", "NUM_GPUS=1", "NUM_SHARDS=2"], 2, BatchPlan(6, 3, 3, 1)),
        (["TRAIN.BATCH_SIZE=12", "NUM_GPUS=8"], 1, BatchPlan(12, 12, 1, 12)),
        (["TRAIN.BATCH_SIZE=15", "NUM_GPUS=2"], 1, BatchPlan(15, 15, 5, 3)),
        (["TRAIN.BATCH_SIZE=16", "NUM_GPUS=1", "TRAIN.MICRO_BATCH_SIZE=4"], 1, BatchPlan(16, 16, 4, 4)),
        (["TRAIN.BATCH_SIZE=16", "NUM_GPUS=1", "TRAIN.MICRO_BATCH_SIZE=99"], 1, BatchPlan(16, 16, 16, 1)),
    ],
)
def test_the_global_batch_is_kept_by_accumulation(words, processes, expected):
    assert resolve_batch(load_config([], words), processes) == expected


class TestMixingGroups:
    """The clips of one group are in one forward pass, however the batch is cut."""

    MIXUP = ("MIXUP.ENABLE=True", "MODEL.LOSS_FUNC=soft_cross_entropy")

    @pytest.mark.parametrize(
        ("words", "devices", "micro_batch"),
        [
            (["TRAIN.BATCH_SIZE=16", "NUM_GPUS=8"], 8, 2),
            (["TRAIN.BATCH_SIZE=8", "NUM_GPUS=8"], 1, 2),  # one video a GPU would be no group
            (["TRAIN.BATCH_SIZE=12", "NUM_GPUS=4"], 1, 2),  # 3 a GPU, and no group less
            (["TRAIN.BATCH_SIZE=24", "NUM_GPUS=4"], 1, 6),
            (["TRAIN.BATCH_SIZE=16", "NUM_GPUS=8", "MIXUP.GROUP_SIZE=16"], 1, 16),
            (["TRAIN.BATCH_SIZE=16", "MIXUP.GROUP_SIZE=4", "TRAIN.MICRO_BATCH_SIZE=8"], 1, 8),
            (["TRAIN.BATCH_SIZE=9", "MIXUP.PROB=0", "TRAIN.MICRO_BATCH_SIZE=3"], 1, 3),
        ],
    )
    def test_are_kept_whole(self, words, devices, micro_batch):
        plan = resolve_batch(load_config([], [*self.MIXUP, *words]), devices)
        assert (plan.micro_batch, plan.accumulation_steps) == (micro_batch, plan.per_device // micro_batch)

    def test_the_published_recipe_is_cut_as_on_eight_gpus(self):
        plan = resolve_batch(load_config("K400/MVITv2_S_16x4"), 1)
        assert plan == BatchPlan(16, 16, 2, 8, clips_per_video=2)
        assert plan.global_clips == 32

    def test_cannot_be_cut(self):
        words = (*self.MIXUP, "TRAIN.BATCH_SIZE=16", "TRAIN.MICRO_BATCH_SIZE")
        text = message(resolve_batch, "MIXUP.GROUP_SIZE=8", *words, "4", more=(1,))
        assert text == (
            "TRAIN.MICRO_BATCH_SIZE is 4, which does not divide the 16 videos of one device in whole groups "
            "of MIXUP.GROUP_SIZE 8: set it to 8"
        )
        assert message(resolve_batch, *words, "1", more=(1,)).endswith("MIXUP.GROUP_SIZE 2: set it to 2")

    def test_have_to_fill_the_batch(self):
        words = (*self.MIXUP, "TRAIN.BATCH_SIZE=6", "MIXUP.GROUP_SIZE=4")
        assert message(resolve_batch, *words, more=(1,)) == (
            "MIXUP.GROUP_SIZE is 4, which does not divide the 6 videos of one step: change it or "
            "TRAIN.BATCH_SIZE (6)"
        )

    def test_are_not_cut_by_processes(self):
        words = (*self.MIXUP, "TRAIN.BATCH_SIZE=8", "MIXUP.GROUP_SIZE=4")
        assert resolve_batch(load_config([], words), 2).micro_batch == 4
        assert message(resolve_batch, *words, more=(4,)) == (
            "TRAIN.BATCH_SIZE is 8, which 4 processes cannot share evenly in whole groups of "
            "MIXUP.GROUP_SIZE 4: make it a multiple of 16, or start 2 of them"
        )

    def test_hold_more_than_one_clip(self):
        text = message(resolve_batch, *self.MIXUP, "MIXUP.GROUP_SIZE=1", more=(1,))
        assert text.startswith("MIXUP.GROUP_SIZE is 1 and AUG.NUM_SAMPLE 1: a clip alone has no other")
        repeated = load_config([], [*self.MIXUP, "MIXUP.GROUP_SIZE=1", "AUG.NUM_SAMPLE=2"])
        assert resolve_batch(repeated, 1).micro_batch == 64


def test_batches_that_cannot_be_shared_out():
    text = message(resolve_batch, "TRAIN.BATCH_SIZE=12", "NUM_GPUS=8", more=(8,))
    assert text == (
        "TRAIN.BATCH_SIZE is 12, which 8 processes cannot share evenly: make it a multiple of 8, or start 6 "
        "of them"
    )
    text = message(resolve_batch, "TRAIN.BATCH_SIZE=4", "NUM_SHARDS=2", more=(16,))
    assert text == (
        "TRAIN.BATCH_SIZE is 4 on each of 2 nodes (NUM_SHARDS), which 16 processes cannot share evenly: make "
        "it a multiple of 8, or start 8 of them"
    )
    text = message(resolve_batch, "TRAIN.BATCH_SIZE=16", "TRAIN.MICRO_BATCH_SIZE=5", more=(1,))
    assert text.endswith("does not divide the 16 videos of one device: set it to 4")


def test_views_of_a_forward_pass_are_shared_out_as_in_slowfast():
    assert resolve_test_batch(load_config("K400/MVITv2_S_16x4")) == 8
    assert resolve_test_batch(load_config([], ["TEST.BATCH_SIZE=3", "NUM_GPUS=8"])) == 1
    assert resolve_test_batch(load_config([], ["TEST.BATCH_SIZE=3", "NUM_GPUS=0"])) == 3
