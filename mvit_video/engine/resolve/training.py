"""When to train how fast, and what keeps a configuration from training."""

from typing import Any

from mvit_video.config import Config, ConfigError, Problem
from mvit_video.engine.optimising.schedule import Schedule


def resolve_schedule(config: Config) -> Schedule:
    """The learning rate over the epochs, all three rates scaled by :func:`learning_rate_scale`.

    Raises:
        ConfigError: When the warm-up is longer than the training, or two rules would scale the rates.

    Source: SlowFast, slowfast/config/defaults.py, assert_and_infer_cfg.
    """
    solver = config.solver
    scale, _ = learning_rate_scale(config)
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


def learning_rate_scale(config: Config) -> tuple[float, str]:
    """The factor on all three rates, and the rule that it follows, in words.

    By SlowFast's rule that is NUM_SHARDS, the number of nodes, whose batches add up. With
    SOLVER.BASE_LR_BATCH_SIZE it is the videos of a step on all nodes over that number.

    Raises:
        ConfigError: When both rules are asked for.
    """
    solver = config.solver
    reference, by_nodes = solver.base_lr_batch_size, solver.base_lr_scale_num_shards
    if reference is None:
        if not by_nodes:
            return 1.0, "as given"
        return float(config.num_shards), f"times {config.num_shards}, NUM_SHARDS"
    if by_nodes and "base_lr_scale_num_shards" in solver.model_fields_set:
        raise ConfigError(
            f"SOLVER.BASE_LR_BATCH_SIZE is {reference} and SOLVER.BASE_LR_SCALE_NUM_SHARDS is True: the "
            "learning rate follows one rule; set SOLVER.BASE_LR_SCALE_NUM_SHARDS False for the first, or "
            "SOLVER.BASE_LR_BATCH_SIZE None for the second"
        )
    videos = config.train.batch_size * config.num_shards
    return videos / reference, f"times {videos}/{reference}, videos a step over SOLVER.BASE_LR_BATCH_SIZE"


def check_trainable(config: Config) -> None:
    """Refuse to train with what does not exist, or without a schedule. Testing is not concerned.

    Raises:
        ConfigError: Names each key, its value, and the value that switches the feature off.
    """
    solver = config.solver
    features: tuple[tuple[bool, str, Any, Any, str], ...] = (
        (
            solver.lars_on,
            "SOLVER.LARS_ON",
            True,
            False,
            "LARS is for batches of thousands with SGD, and no recipe of MViT uses it",
        ),
        (
            solver.lr_policy != "cosine",
            "SOLVER.LR_POLICY",
            solver.lr_policy,
            "cosine",
            "every recipe of MViT uses the cosine",
        ),
    )
    problems = [
        Problem(None, f"{key} is {value!r}: training does not do this; set {key} {off_value!r} ({why})")
        for is_on, key, value, off_value, why in features
        if is_on
    ]
    problems += _image_weights(config)
    problems += _missing_schedule(config)
    if problems:
        raise ConfigError(problems)


def _image_weights(config: Config) -> list[Problem]:
    train = config.train
    if train.checkpoint_inflate and train.checkpoint_in_init:
        return [
            Problem(
                None,
                "TRAIN.CHECKPOINT_INFLATE and TRAIN.CHECKPOINT_IN_INIT are both True: image kernels are "
                "divided by their new length with the first and not with the second; set one of them False",
            )
        ]
    return []


def has_schedule(config: Config) -> bool:
    """Whether the configuration gives a learning rate and a length, rather than leave SlowFast's defaults."""
    return not _missing_schedule(config)


def _missing_schedule(config: Config) -> list[Problem]:
    wanted = {"base_lr": "SOLVER.BASE_LR", "max_epoch": "SOLVER.MAX_EPOCH"}
    missing = [key for field, key in wanted.items() if field not in config.solver.model_fields_set]
    if not missing:
        return []
    return [
        Problem(
            None,
            f"{' and '.join(missing)}: not set; training needs a schedule, and SlowFast's defaults are for "
            "other networks: set them, or take a packaged configuration with --cfg",
        )
    ]
