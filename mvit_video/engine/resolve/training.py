"""When to train how fast, and what keeps a configuration from training."""

from typing import Any

from mvit_video.config import Config, ConfigError, Problem
from mvit_video.engine.optimising.schedule import Schedule

_NO_PUBLISHED_RECIPE = ("mvitv1_b_32x3", "mvitv1_b_64x3", "mvitv2_l_40x3")  # on Kinetics-400


def resolve_schedule(config: Config) -> Schedule:
    """The learning rate over the epochs, all three rates scaled by NUM_SHARDS unless that is switched off.

    Raises:
        ConfigError: When the warm-up is longer than the training.

    Source: SlowFast, slowfast/config/defaults.py, assert_and_infer_cfg.
    """
    solver = config.solver
    scale = config.num_shards if solver.base_lr_scale_num_shards else 1
    try:
        return Schedule(
            base_lr=solver.base_lr * scale,
            max_epoch=solver.max_epoch,
            warmup_epochs=solver.warmup_epochs,
            warmup_start_lr=solver.warmup_start_lr * scale,
            cosine_end_lr=solver.cosine_end_lr * scale,
            cosine_after_warmup=solver.cosine_after_warmup,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error


def check_trainable(config: Config) -> None:
    """Refuse to train with what does not exist yet, or without a schedule. Testing is not concerned.

    Raises:
        ConfigError: Names each key, its value, and the value that switches the feature off.
    """
    solver, train = config.solver, config.train
    features: tuple[tuple[bool, str, Any, Any, str], ...] = (
        (
            solver.layer_decay != 1,
            "SOLVER.LAYER_DECAY",
            solver.layer_decay,
            1.0,
            "layer-wise learning rate decay",
        ),
        (solver.lars_on, "SOLVER.LARS_ON", True, False, "LARS"),
        (
            solver.lr_policy != "cosine",
            "SOLVER.LR_POLICY",
            solver.lr_policy,
            "cosine",
            "another learning rate policy",
        ),
        (train.checkpoint_inflate, "TRAIN.CHECKPOINT_INFLATE", True, False, "starting from image weights"),
        (train.checkpoint_in_init, "TRAIN.CHECKPOINT_IN_INIT", True, False, "starting from image weights"),
        (
            train.kill_loss_explosion_factor > 0,
            "TRAIN.KILL_LOSS_EXPLOSION_FACTOR",
            train.kill_loss_explosion_factor,
            0.0,
            "stopping when the loss explodes",
        ),
        (config.num_shards > 1, "NUM_SHARDS", config.num_shards, 1, "training on several nodes"),
    )
    problems = [
        Problem(None, f"{key} is {value!r}: training cannot do this yet; set {key} {off_value!r} ({what})")
        for is_on, key, value, off_value, what in features
        if is_on
    ]
    problems += _missing_schedule(config)
    if problems:
        raise ConfigError(problems)


def has_schedule(config: Config) -> bool:
    """Whether the configuration gives a learning rate and a length, rather than leave SlowFast's defaults."""
    return not _missing_schedule(config)


def _missing_schedule(config: Config) -> list[Problem]:
    wanted = {"base_lr": "SOLVER.BASE_LR", "max_epoch": "SOLVER.MAX_EPOCH"}
    missing = [key for field, key in wanted.items() if field not in config.solver.model_fields_set]
    if not missing:
        return []
    why = "SlowFast's defaults are for other networks"
    if config.model.name.split(".")[0] in _NO_PUBLISHED_RECIPE:
        why = f"no training recipe of {config.model.name} on Kinetics-400 is published"
    return [
        Problem(None, f"{' and '.join(missing)}: not set; training needs a schedule, and {why}: set them")
    ]
