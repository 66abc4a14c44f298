"""What a configuration resolves to, against the published models and SlowFast's rules."""

from pathlib import Path

import pytest

from mvit_video.config import ConfigError, load_config, packaged_configs
from mvit_video.engine.resolve import (
    BatchPlan,
    check_trainable,
    has_schedule,
    resolve_architecture,
    resolve_batch,
    resolve_clip,
    resolve_list,
    resolve_schedule,
    resolve_test_batch,
    resolve_views,
)
from mvit_video.models import ARCHITECTURES, Architecture, architecture

GOLDEN = Path(__file__).parents[1] / "golden" / "slowfast_configs"
KINETICS = [name for name in packaged_configs() if name.startswith("K400/")]
SLOWFAST_MODELS = {
    "MVIT_B_16x4_CONV": "mvitv1_b_16x4",
    "pytorchvideo_MVIT_B_16x4_CONV": "mvitv1_b_16x4",
    "MVIT_B_32x3_CONV": "mvitv1_b24_32x3",
    "MVITv2_S_16x4": "mvitv2_s_16x4",
    "MVITv2_B_32x3": "mvitv2_b_32x3",
    "MVITv2_L_40x3_test": "mvitv2_l_40x3",
}
SCHEDULE = ["SOLVER.BASE_LR", "0.1", "SOLVER.MAX_EPOCH", "2"]


def message(function, *overrides, files=(), more=()):
    with pytest.raises(ConfigError) as caught:
        function(load_config(files, list(overrides)), *more)
    return str(caught.value)


@pytest.mark.parametrize("name", KINETICS)
def test_a_shipped_file_builds_the_model_it_is_named_after(name):
    assert resolve_architecture(load_config(name)) == ARCHITECTURES[name.removeprefix("K400/").lower()]


@pytest.mark.parametrize(("file", "name"), SLOWFAST_MODELS.items())
def test_slowfasts_files_build_the_named_models(file, name):
    assert resolve_architecture(load_config(GOLDEN / f"{file}.yaml")) == ARCHITECTURES[name]


def test_without_a_name_the_keys_say_everything():
    config = load_config(
        [], ["DATA.NUM_FRAMES=4", "DATA.TRAIN_CROP_SIZE=32", "MODEL.NUM_CLASSES=5", "MVIT.DEPTH=3"]
    )
    assert resolve_architecture(config) == Architecture(
        num_frames=4, crop_size=32, num_classes=5, depth=3, patch_padding=(2, 4, 4), head_dropout_rate=0.5
    )


def test_keys_that_are_set_change_a_named_model():
    config = load_config(
        "K400/MVITv2_S_16x4",
        ["MODEL.NUM_CLASSES=8", "MVIT.DROPPATH_RATE=0.0", "DATA.NUM_FRAMES=8", "MODEL.DROPOUT_RATE=0.1"],
    )
    assert resolve_architecture(config) == architecture(
        "mvitv2_s_16x4", num_classes=8, droppath_rate=0.0, num_frames=8, head_dropout_rate=0.1
    )


def test_the_name_of_weights_brings_their_classes():
    words = ["DATA.NUM_FRAMES=16", "MODEL.NAME=mvitv2_s_16x4.ssv2"]
    assert resolve_architecture(load_config([], words)) == architecture("mvitv2_s_16x4", num_classes=174)
    assert resolve_architecture(load_config([], [*words, "MODEL.NUM_CLASSES=3"])).num_classes == 3


def test_listed_strides_give_way_to_the_adaptive_ones_as_in_slowfast():
    words = ["MVIT.POOL_KV_STRIDE=[[0,1,8,8]]", "MVIT.POOL_KV_STRIDE_ADAPTIVE=[1,8,8]"]
    assert resolve_architecture(load_config("K400/MVITv2_S_16x4", words)) == ARCHITECTURES["mvitv2_s_16x4"]


def test_listed_strides_alone_count():
    words = ["MVIT.POOL_KV_STRIDE=[[0,1,8,8]]", "MVIT.POOL_KV_STRIDE_ADAPTIVE=None"]
    built = resolve_architecture(load_config("K400/MVITv2_S_16x4", words))
    assert (built.pool_kv_stride, built.pool_kv_stride_adaptive) == (((0, 1, 8, 8),), None)


def test_an_unknown_name():
    text = message(resolve_architecture, "MODEL.NAME=mvitv2_s_16x5")
    assert text == "MODEL.NAME: unknown model 'mvitv2_s_16x5'; did you mean 'mvitv2_s_16x4'?"


def test_numbers_that_do_not_fit_are_told_in_keys():
    text = message(resolve_architecture, "MVIT.POOL_Q_STRIDE=[[16,1,2,2]]")
    assert text.startswith("MVIT.POOL_Q_STRIDE: block 16 is not one of the 16 blocks")
    text = message(resolve_architecture, "MVIT.NUM_HEADS=5")
    assert text.startswith("MVIT.NUM_HEADS: block 0 has 5 heads")
    assert "change MVIT.EMBED_DIM, MVIT.NUM_HEADS, MVIT.DIM_MUL or MVIT.HEAD_MUL" in text


def test_a_named_model_does_not_meet_clips_nobody_asked_for():
    text = message(resolve_architecture, "MODEL.NAME=mvitv2_l_40x3")
    assert "DATA.NUM_FRAMES is not set, and its default is 8; mvitv2_l_40x3 takes 40: set it" in text
    assert "DATA.TRAIN_CROP_SIZE is not set, and its default is 224; mvitv2_l_40x3 takes 312: set it" in text


@pytest.mark.parametrize(
    ("name", "expected"),
    [  # clips, crops, crop size, short side
        ("K400/MVITv1_B_16x4", (5, 1, 224, 256)),
        ("K400/MVITv1_B_64x3", (3, 3, 224, 224)),
        ("K400/MVITv2_S_16x4", (5, 1, 224, 256)),
        ("K400/MVITv2_L_40x3", (5, 3, 312, 312)),
    ],
)
def test_views(name, expected):
    plan = resolve_views(load_config(name))
    assert (plan.temporal_views, plan.spatial_crops, plan.crop_size, plan.short_side) == expected
    assert plan.use_offset_sampling is True
    assert plan.target_fps == 30.0


def test_one_number_of_temporal_clips_replaces_the_views_and_several_are_refused():
    assert resolve_views(load_config([], ["TEST.NUM_TEMPORAL_CLIPS=[7]"])).temporal_views == 7
    text = message(resolve_views, "TEST.NUM_TEMPORAL_CLIPS=[1,3]")
    assert text.startswith("TEST.NUM_TEMPORAL_CLIPS: found [1, 3], expected one number")


def test_a_crop_larger_than_the_frame_is_refused_though_testing_was_off():
    words = ["TEST.ENABLE=False", "TEST.NUM_SPATIAL_CROPS=1", "DATA.TEST_CROP_SIZE=300"]
    assert message(resolve_views, *words).startswith("DATA.TEST_CROP_SIZE is 300, but one crop is cut where")


def test_the_training_clip():
    clip = resolve_clip(load_config("K400/MVITv2_B_32x3", ["DATA.TARGET_FPS=15"]))
    assert (clip.num_frames, clip.sampling_rate, clip.target_fps) == (32, 3, 15.0)


def test_lists():
    config = load_config([], ["DATA.PATH_TO_DATA_DIR=/data/", "DATA.VAL_LIST=mine.csv"])
    assert resolve_list(config, "train") == "/data/train.csv"
    assert resolve_list(config, "val") == "mine.csv"
    assert message(resolve_list, more=("test",)) == (
        "DATA.TEST_LIST is not set: give a list file or a folder per class, or DATA.PATH_TO_DATA_DIR, "
        "a folder with test.csv"
    )


@pytest.mark.parametrize(
    ("words", "devices", "expected"),
    [
        (["TRAIN.BATCH_SIZE=16", "NUM_GPUS=8"], 8, BatchPlan(16, 2, 2, 1)),
        (["TRAIN.BATCH_SIZE=16", "NUM_GPUS=8"], 2, BatchPlan(16, 8, 2, 4)),
        (["TRAIN.BATCH_SIZE=16", "NUM_GPUS=8"], 0, BatchPlan(16, 16, 2, 8)),
        (["TRAIN.BATCH_SIZE=16", "NUM_GPUS=2"], 8, BatchPlan(16, 8, 8, 1)),
        (["TRAIN.BATCH_SIZE=16", "NUM_GPUS=0"], 8, BatchPlan(16, 16, 16, 1)),
        (["TRAIN.BATCH_SIZE=16", "NUM_GPUS=8", "NUM_SHARDS=4"], 8, BatchPlan(64, 2, 2, 1)),
        (["TRAIN.BATCH_SIZE=12", "NUM_GPUS=8"], 1, BatchPlan(12, 12, 1, 12)),
        (["TRAIN.BATCH_SIZE=15", "NUM_GPUS=2"], 1, BatchPlan(15, 15, 5, 3)),
        (["TRAIN.BATCH_SIZE=16", "NUM_GPUS=1", "TRAIN.MICRO_BATCH_SIZE=4"], 1, BatchPlan(16, 16, 4, 4)),
        (["TRAIN.BATCH_SIZE=16", "NUM_GPUS=1", "TRAIN.MICRO_BATCH_SIZE=99"], 1, BatchPlan(16, 16, 16, 1)),
    ],
)
def test_the_global_batch_is_kept_by_accumulation(words, devices, expected):
    assert resolve_batch(load_config([], words), devices) == expected


def test_batches_that_cannot_be_shared_out():
    text = message(resolve_batch, "TRAIN.BATCH_SIZE=12", "NUM_GPUS=8", more=(8,))
    assert text.startswith("TRAIN.BATCH_SIZE is 12, which 8 devices cannot share evenly")
    text = message(resolve_batch, "TRAIN.BATCH_SIZE=16", "TRAIN.MICRO_BATCH_SIZE=5", more=(1,))
    assert text.endswith("does not divide the 16 clips of one device: set it to 4")


def test_views_of_a_forward_pass_are_shared_out_as_in_slowfast():
    assert resolve_test_batch(load_config("K400/MVITv2_S_16x4")) == 8
    assert resolve_test_batch(load_config([], ["TEST.BATCH_SIZE=3", "NUM_GPUS=8"])) == 1
    assert resolve_test_batch(load_config([], ["TEST.BATCH_SIZE=3", "NUM_GPUS=0"])) == 3


@pytest.mark.parametrize(("shards", "factor"), [(1, 1), (16, 16)])
def test_all_three_learning_rates_grow_with_the_nodes(shards, factor):
    schedule = resolve_schedule(load_config("K400/MVITv2_B_32x3", [f"NUM_SHARDS={shards}"]))
    assert schedule.learning_rate(0) == pytest.approx(1e-6 * factor)
    assert schedule.learning_rate(30) == pytest.approx(1e-4 * factor)
    assert schedule.learning_rate(200) == pytest.approx(1e-6 * factor)


def test_learning_rates_stay_when_scaling_is_off():
    words = ["NUM_SHARDS=16", "SOLVER.BASE_LR_SCALE_NUM_SHARDS=False"]
    assert resolve_schedule(load_config("K400/MVITv2_B_32x3", words)).base_lr == 1e-4


def test_a_warm_up_longer_than_the_training():
    text = message(resolve_schedule, "SOLVER.MAX_EPOCH=10", files="K400/MVITv2_B_32x3")
    assert text == "SOLVER.WARMUP_EPOCHS is 30.0, expected 0 to SOLVER.MAX_EPOCH (10)"


@pytest.mark.parametrize(
    ("words", "key", "off"),
    [
        (["AUG.ENABLE=True", "AUG.COLOR_JITTER=None", "AUG.RE_PROB=0"], "AUG.AA_TYPE", "AUG.AA_TYPE=''"),
        (["AUG.ENABLE=True", "AUG.AA_TYPE=", "AUG.RE_PROB=0"], "AUG.COLOR_JITTER", "AUG.COLOR_JITTER=None"),
        (["AUG.ENABLE=True", "AUG.AA_TYPE=", "AUG.COLOR_JITTER=None"], "AUG.RE_PROB", "AUG.RE_PROB=0.0"),
        (["AUG.NUM_SAMPLE=2"], "AUG.NUM_SAMPLE", "AUG.NUM_SAMPLE=1"),
        (["MIXUP.ENABLE=True", "MODEL.LOSS_FUNC=soft_cross_entropy"], "MIXUP.ENABLE", "MIXUP.ENABLE=False"),
        (["DATA.INV_UNIFORM_SAMPLE=True"], "DATA.INV_UNIFORM_SAMPLE", "DATA.INV_UNIFORM_SAMPLE=False"),
        (["DATA.TRAIN_JITTER_FPS=5"], "DATA.TRAIN_JITTER_FPS", "DATA.TRAIN_JITTER_FPS=0.0"),
        (["SOLVER.LAYER_DECAY=0.75"], "SOLVER.LAYER_DECAY", "SOLVER.LAYER_DECAY=1.0"),
        (["SOLVER.LARS_ON=True"], "SOLVER.LARS_ON", "SOLVER.LARS_ON=False"),
        (["SOLVER.LR_POLICY=steps_with_relative_lrs"], "SOLVER.LR_POLICY", "SOLVER.LR_POLICY='cosine'"),
        (["TRAIN.CHECKPOINT_INFLATE=True"], "TRAIN.CHECKPOINT_INFLATE", "TRAIN.CHECKPOINT_INFLATE=False"),
        (["TRAIN.CHECKPOINT_IN_INIT=True"], "TRAIN.CHECKPOINT_IN_INIT", "TRAIN.CHECKPOINT_IN_INIT=False"),
        (
            ["TRAIN.KILL_LOSS_EXPLOSION_FACTOR=3"],
            "TRAIN.KILL_LOSS_EXPLOSION_FACTOR",
            "TRAIN.KILL_LOSS_EXPLOSION_FACTOR=0.0",
        ),
        (["NUM_SHARDS=2"], "NUM_SHARDS", "NUM_SHARDS=1"),
    ],
)
def test_a_feature_that_does_not_exist_refuses_to_train_and_what_it_says_switches_it_off(words, key, off):
    text = message(check_trainable, *SCHEDULE, *words)
    assert text.startswith(f"{key} is ")
    assert f"training cannot do this yet; set {off.replace('=', ' ')} (" in text
    config = load_config([], [*SCHEDULE, *words, off])
    check_trainable(config)
    resolve_views(load_config([], words))  # testing is not concerned


def test_all_missing_features_are_told_at_once():
    text = message(check_trainable, files="K400/MVITv2_S_16x4")
    for key in ("AUG.AA_TYPE", "AUG.COLOR_JITTER", "AUG.RE_PROB", "AUG.NUM_SAMPLE", "MIXUP.ENABLE"):
        assert f"\n  {key} is " in text
    check_trainable(
        load_config("K400/MVITv2_S_16x4", ["AUG.ENABLE=False", "AUG.NUM_SAMPLE=1", "MIXUP.ENABLE=False"])
    )


@pytest.mark.parametrize("name", ["MVITv1_B_32x3", "MVITv1_B_64x3", "MVITv2_L_40x3"])
def test_models_without_a_published_recipe_want_a_schedule(name):
    text = message(check_trainable, files=f"K400/{name}")
    assert text == (
        "SOLVER.BASE_LR and SOLVER.MAX_EPOCH: not set; training needs a schedule, and no training recipe of "
        f"{name.lower()} on Kinetics-400 is published: set them"
    )
    assert not has_schedule(load_config(f"K400/{name}"))
    check_trainable(load_config(f"K400/{name}", SCHEDULE))


def test_slowfasts_defaults_are_no_schedule():
    text = message(check_trainable, "SOLVER.BASE_LR=0.1")
    assert text.startswith(
        "SOLVER.MAX_EPOCH: not set; training needs a schedule, and SlowFast's defaults are for"
    )
