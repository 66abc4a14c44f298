"""The schedule of a configuration, and what keeps it from training."""

import pytest
from kit.configurations import PUBLISHED, SLOWFAST_FILES, message

from mvit_video.config import load_config
from mvit_video.engine.resolve import (
    check_trainable,
    has_schedule,
    resolve_batch,
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


LINEAR = ["SOLVER.BASE_LR=0.016", "SOLVER.MAX_EPOCH=2", "SOLVER.WARMUP_START_LR=0.0032"]


@pytest.mark.parametrize(
    ("words", "factor"),
    [
        (["TRAIN.BATCH_SIZE=16"], 1),
        (["TRAIN.BATCH_SIZE=4"], 1 / 4),
        (["TRAIN.BATCH_SIZE=16", "NUM_SHARDS=8"], 8),
        (["TRAIN.BATCH_SIZE=2", "NUM_SHARDS=4", "AUG.NUM_SAMPLE=2"], 1 / 2),  # videos count, not clips
        (["TRAIN.BATCH_SIZE=4", "SOLVER.BASE_LR_SCALE_NUM_SHARDS=False"], 1 / 4),
    ],
)
def test_rates_for_a_batch_size_grow_with_the_videos_of_a_step(words, factor):
    words = [*LINEAR, "SOLVER.BASE_LR_BATCH_SIZE=16", "SOLVER.COSINE_END_LR=1e-3", *words]
    schedule = resolve_schedule(load_config([], words))
    rates = (schedule.base_lr, schedule.warmup_start_lr, schedule.cosine_end_lr)
    assert rates == pytest.approx((0.016 * factor, 0.0032 * factor, 1e-3 * factor), rel=1e-12)


def test_two_rules_at_once_are_refused_and_either_way_out_works():
    files = "K400/MVITv2_S_16x4"  # whose recipe asks for SlowFast's rule
    text = message(resolve_schedule, "SOLVER.BASE_LR_BATCH_SIZE=16", files=files)
    assert text == (
        "SOLVER.BASE_LR_BATCH_SIZE is 16 and SOLVER.BASE_LR_SCALE_NUM_SHARDS is True: the learning rate "
        "follows one rule; set SOLVER.BASE_LR_SCALE_NUM_SHARDS False for the first, or "
        "SOLVER.BASE_LR_BATCH_SIZE None for the second"
    )
    words = ["SOLVER.BASE_LR_BATCH_SIZE=16", "NUM_SHARDS=4"]
    linear = load_config(files, [*words, "SOLVER.BASE_LR_SCALE_NUM_SHARDS=False"])
    assert resolve_schedule(linear).base_lr == pytest.approx(4e-4)
    slowfasts = load_config(files, [*words, "SOLVER.BASE_LR_BATCH_SIZE=None"])
    assert resolve_schedule(slowfasts).base_lr == pytest.approx(4e-4)


@pytest.mark.parametrize(
    ("words", "key", "off"),
    [
        (["SOLVER.LARS_ON=True"], "SOLVER.LARS_ON", "SOLVER.LARS_ON=False"),
        (["SOLVER.LR_POLICY=steps_with_relative_lrs"], "SOLVER.LR_POLICY", "SOLVER.LR_POLICY='cosine'"),
    ],
)
def test_a_feature_that_does_not_exist_refuses_to_train_and_what_it_says_switches_it_off(words, key, off):
    text = message(check_trainable, *SCHEDULE, *words)
    assert text.startswith(f"{key} is ")
    assert f"training does not do this; set {off.replace('=', ' ')} (" in text
    config = load_config([], [*SCHEDULE, *words, off])
    check_trainable(config)
    resolve_views(load_config([], words))  # testing is not concerned


@pytest.mark.parametrize("name", [name for name in PUBLISHED if load_config(name).train.enable])
def test_recipes_train_as_they_stand(name):
    config = load_config(name)
    check_trainable(config)
    for num_processes in (1, config.num_gpus):
        batch = resolve_batch(config, num_processes)
        assert batch.global_batch == config.train.batch_size
    schedule = resolve_schedule(config)
    assert schedule.base_lr == config.solver.base_lr  # they are meant for one node


RECIPES = [p for p in SLOWFAST_FILES.glob("*.yaml") if not p.stem.endswith("_test") and "REV_" not in p.stem]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
@pytest.mark.parametrize("nodes", [1, 16])
def test_slowfasts_own_recipes_train(path, nodes):
    check_trainable(load_config(path, [f"NUM_SHARDS={nodes}"]))


def test_all_that_is_missing_is_told_at_once():
    files = (SLOWFAST_FILES / "k400_MVITv2_S_16x4_FT.yaml",)
    text = message(check_trainable, "SOLVER.LR_POLICY=x", "SOLVER.LARS_ON=True", files=files)
    for key in ("SOLVER.LR_POLICY", "SOLVER.LARS_ON"):
        assert f"\n  {key} is " in text


def test_image_weights_are_inflated_in_one_way():
    words = ["TRAIN.CHECKPOINT_INFLATE=True", "TRAIN.CHECKPOINT_IN_INIT=True"]
    text = message(check_trainable, *SCHEDULE, *words)
    assert text.startswith("TRAIN.CHECKPOINT_INFLATE and TRAIN.CHECKPOINT_IN_INIT are both True")
    check_trainable(load_config([], [*SCHEDULE, words[0]]))
    check_trainable(load_config([], [*SCHEDULE, words[1]]))


@pytest.mark.parametrize(
    "name", ["mvitv1_b_32x3", "mvitv1_b_64x3", "mvitv2_l_40x3", "mvitv2_l_40x3.k400", "mvitv2_l_40x3.ssv2"]
)
def test_a_named_model_is_no_schedule(name):
    text = message(check_trainable, f"MODEL.NAME={name}")
    assert text == (
        "SOLVER.BASE_LR and SOLVER.MAX_EPOCH: not set; training needs a schedule, and SlowFast's defaults "
        "are for other networks: set them, or take a packaged configuration with --cfg"
    )
    assert not has_schedule(load_config([], [f"MODEL.NAME={name}"]))
    check_trainable(load_config([], [f"MODEL.NAME={name}", *SCHEDULE]))


def test_slowfasts_defaults_are_no_schedule():
    text = message(check_trainable, "SOLVER.BASE_LR=0.1")
    assert text.startswith(
        "SOLVER.MAX_EPOCH: not set; training needs a schedule, and SlowFast's defaults are for"
    )
