"""What happens to training clips: cut, changed, erased and mixed."""

from mvit_video.config import Config, ConfigError
from mvit_video.data import Mixing, RandAugment, RandomErasing, TrainTransform
from mvit_video.engine.resolve.batch import mixes


def resolve_transform(config: Config) -> TrainTransform:
    """How a training clip is cut and how its colours change, frame by frame before it is in a batch.

    AUG.COLOR_JITTER counts only without RandAugment (AUG.AA_TYPE), as in SlowFast.

    Raises:
        ConfigError: AUG.AA_TYPE means nothing.
    """
    data, aug = config.data, config.aug
    rand_augment = _rand_augment(config)
    return TrainTransform(
        crop_size=data.train_crop_size,
        jitter_scales=data.train_jitter_scales,
        area=_pair(data.train_jitter_scales_relative),
        aspect=_pair(data.train_jitter_aspect_relative),
        flip=data.random_flip,
        inverse_uniform=data.inv_uniform_sample,
        rand_augment=rand_augment,
        colour_jitter=aug.color_jitter if aug.enable and rand_augment is None else None,
    )


def _rand_augment(config: Config) -> RandAugment | None:
    aug = config.aug
    if not aug.enable or not aug.aa_type:
        return None
    try:
        return RandAugment.parse(aug.aa_type, interpolation=aug.interpolation)
    except ValueError as error:
        raise ConfigError(f"AUG.AA_TYPE: {error}") from error


def resolve_erasing(config: Config) -> RandomErasing | None:
    """Which boxes of a training clip are erased; None: none."""
    aug = config.aug
    if not aug.enable or aug.re_prob == 0:
        return None
    return RandomErasing(prob=aug.re_prob, mode=aug.re_mode, count=aug.re_count)


def resolve_mixing(config: Config) -> Mixing | None:
    """How groups of MIXUP.GROUP_SIZE videos are mixed; None: not at all."""
    mixup = config.mixup
    if not mixes(config):
        return None
    return Mixing(
        alpha=mixup.alpha, cutmix_alpha=mixup.cutmix_alpha, prob=mixup.prob, switch_prob=mixup.switch_prob
    )


def resolve_smoothing(config: Config) -> float:
    """The share of each label that is spread over all classes: with MIXUP on, mixed or not."""
    return config.mixup.label_smooth_value if config.mixup.enable else 0.0


def _pair(bounds: tuple[float, ...]) -> tuple[float, float] | None:
    return (bounds[0], bounds[1]) if bounds else None
