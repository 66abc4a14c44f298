"""From the number of videos and the machine to a configuration."""

from dataclasses import replace

import pytest
from kit.tiny_runs import YAML

from mvit_video.engine.resolve import check_trainable, resolve_architecture, resolve_batch, resolve_schedule
from mvit_video.finetuning.choosing import choose_model
from mvit_video.finetuning.errors import FinetuneError
from mvit_video.finetuning.planning import Situation, build_config, make_plan

FULL = Situation(500, ("a", "b"), "full", False, True)
FIXED = {"OUTPUT_DIR": "/out", "MODEL.NUM_CLASSES": "2", "TRAIN.ENABLE": "True"}


def config_of(situation, *overrides, model="mvitv2_s_16x4.k400", cfg=()):
    choice = choose_model(None if cfg else model, cfg, None if not cfg else "none")
    return build_config(choice, make_plan(situation), overrides, FIXED)


@pytest.mark.parametrize("num_videos", [4, 20, 60, 200, 500, 2000, 5000, 20_000, 240_000])
@pytest.mark.parametrize("on_gpu", [False, True])
@pytest.mark.parametrize("mode", ["full", "frozen"])
@pytest.mark.parametrize("model", ["mvitv2_s_16x4.k400", "mvitv2_l_40x3.ssv2", "mvitv1_b_16x4.k400"])
def test_every_plan_is_one_that_trains(num_videos, on_gpu, mode, model):
    config = config_of(replace(FULL, num_videos=num_videos, on_gpu=on_gpu, mode=mode), model=model)
    resolve_architecture(config)
    if mode == "full":
        check_trainable(config)
        resolve_schedule(config)
    batch = resolve_batch(config, 1)
    assert batch.global_batch <= max(2, num_videos // 2)


def test_more_videos_more_steps_and_fewer_epochs():
    configs = [config_of(replace(FULL, num_videos=size)) for size in (100, 500, 5000, 20_000, 100_000)]
    epochs = [config.solver.max_epoch for config in configs]
    assert epochs == sorted(epochs, reverse=True)
    steps = [
        config.solver.max_epoch * size // config.train.batch_size
        for config, size in zip(configs, (100, 500, 5000, 20_000, 100_000), strict=True)
    ]
    assert steps == sorted(steps)
    mixing = [config.mixup.prob for config in configs]
    assert mixing == sorted(mixing)


def test_from_nothing_takes_longer():
    config = config_of(replace(FULL, pretrained=False))
    assert config.solver.max_epoch == 4 * config_of(FULL).solver.max_epoch
    assert (config.solver.layer_decay, config_of(FULL).solver.layer_decay) == (1.0, 0.75)


def test_what_is_typed_counts_and_the_rest_follows():
    words = ("SOLVER.MAX_EPOCH", "3", "TRAIN.BATCH_SIZE", "4", "SOLVER.BASE_LR=0.5")
    config = config_of(replace(FULL, epochs=3, batch=4), *words)
    assert (config.solver.max_epoch, config.solver.warmup_epochs, config.solver.base_lr) == (3, 0.3, 0.5)
    assert (config.train.batch_size, config.train.micro_batch_size) == (4, 2)
    assert config_of(replace(FULL, batch=4)).solver.base_lr == pytest.approx(
        config_of(FULL).solver.base_lr / 4
    )


@pytest.mark.parametrize(
    ("names", "flips"),
    [
        (("turn left", "jump"), False),
        (("Pushing_something_from_right_to_left",), False),
        (("clockwise",), False),
        (("counter-clockwise turn",), False),
        (("leftovers", "bright", "copyright"), True),
        (("run", "jump"), True),
    ],
)
def test_classes_of_a_side_are_not_mirrored(names, flips):
    for mode in ("full", "frozen"):
        plan = make_plan(replace(FULL, class_names=names, mode=mode))
        assert config_of(replace(FULL, class_names=names, mode=mode)).data.random_flip is flips
        assert any("not mirrored" in line for line in plan.words) is not flips


def test_a_recipe_in_a_file_is_kept(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(YAML)
    config = config_of(FULL, cfg=(str(path),))
    assert (config.solver.base_lr, config.solver.max_epoch, config.solver.layer_decay) == (1e-3, 3, 1.0)
    assert (config.mixup.enable, config.test.num_spatial_crops, config.data.num_frames) == (False, 3, 4)
    frozen = config_of(replace(FULL, mode="frozen"), cfg=(str(path),))  # that recipe is none for a head alone
    assert frozen.solver.max_epoch == 200
    assert (frozen.data.num_frames, frozen.mvit.depth) == (4, 2)


def test_a_model_in_a_file_is_planned_for(tmp_path):
    path = tmp_path / "model.yaml"
    path.write_text(YAML[: YAML.index("MODEL:")])
    config = config_of(FULL, cfg=(str(path),))
    assert (config.solver.max_epoch, config.data.num_frames, config.mvit.droppath_rate) == (30, 4, 0.3)
    assert (config.test.num_ensemble_views, config.test.num_spatial_crops) == (5, 1)


@pytest.mark.parametrize(
    "key", ["OUTPUT_DIR", "DATA.TRAIN_LIST", "MODEL.NUM_CLASSES", "TRAIN.CHECKPOINT_FILE_PATH"]
)
def test_keys_that_flags_stand_for(key):
    with pytest.raises(FinetuneError, match=f"{key}: is .* here; leave the key out"):
        config_of(FULL, key, "1")


@pytest.mark.parametrize("batch", [2, 4, 5, 6, 9, 10, 16])
@pytest.mark.parametrize("on_gpu", [False, True])
def test_any_batch_is_cut_evenly(batch, on_gpu):
    config = config_of(
        replace(FULL, num_videos=100, batch=batch, on_gpu=on_gpu), "TRAIN.BATCH_SIZE", str(batch)
    )
    assert resolve_batch(config, 1).global_batch == batch


def test_an_unknown_key_is_named():
    with pytest.raises(ValueError, match=r"unknown key SOLVER.MAX_EPOCHS; did you mean SOLVER.MAX_EPOCH"):
        config_of(FULL, "SOLVER.MAX_EPOCHS", "1")
