"""The schedule of a configuration, and what keeps it from training."""

import pytest
from kit.configurations import PUBLISHED, SLOWFAST_FILES, message

from mvit_video.config import load_config
from mvit_video.engine.resolve import (
    check_trainable,
    has_schedule,
    resolve_schedule,
    resolve_views,
)

SCHEDULE = ["SOLVER.BASE_LR", "0.1", "SOLVER.MAX_EPOCH", "2"]


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


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in PUBLISHED
        if load_config(name).train.enable and not load_config(name).train.checkpoint_in_init
    ],
)
def test_published_recipes_train_as_they_stand(name):
    check_trainable(load_config(name))


def test_all_missing_features_are_told_at_once():
    files = (SLOWFAST_FILES / "k400_MVITv2_S_16x4_FT.yaml",)
    text = message(check_trainable, "NUM_SHARDS=2", "SOLVER.LARS_ON=True", files=files)
    for key in ("SOLVER.LAYER_DECAY", "SOLVER.LARS_ON", "NUM_SHARDS"):
        assert f"\n  {key} is " in text
    check_trainable(load_config(files, ["SOLVER.LAYER_DECAY=1.0"]))


def test_the_large_model_on_something_something_starts_from_image_weights_in_its_recipe():
    text = message(check_trainable, files="SSv2/MVITv2_L_40x3")
    assert text == (
        "TRAIN.CHECKPOINT_IN_INIT is True: training cannot do this yet; set TRAIN.CHECKPOINT_IN_INIT False "
        "(starting from image weights)"
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
