"""From a configuration to the plain frozen values that the other rooms take: each is computed here, once.

The only place that joins the configuration with the types of models, weights and data.
"""

import re
from dataclasses import dataclass
from typing import Any

from mvit_video.config import Config, ConfigError, Problem
from mvit_video.data.sampling.clips import ClipSpec
from mvit_video.data.sampling.view_plan import ViewPlan
from mvit_video.engine.schedule import Schedule
from mvit_video.models import Architecture, architecture
from mvit_video.models.architecture import ArchitectureError, field_names
from mvit_video.weights import ZOO

# Fields of an architecture whose key is not the same name in MVIT.
_KEYS = {
    "num_frames": "DATA.NUM_FRAMES",
    "crop_size": "DATA.TRAIN_CROP_SIZE",
    "num_classes": "MODEL.NUM_CLASSES",
    "head_dropout_rate": "MODEL.DROPOUT_RATE",
}

_NO_PUBLISHED_RECIPE = ("mvitv1_b_32x3", "mvitv1_b_64x3", "mvitv2_l_40x3")  # on Kinetics-400


@dataclass(frozen=True)
class BatchPlan:
    """How the clips of one optimiser step are shared out.

    Attributes:
        global_batch: Clips of one step on all nodes; the learning rate belongs to it.
        per_device: Clips of one step on one device.
        micro_batch: Most clips of one forward pass on one device; divides `per_device`.
        accumulation_steps: Forward passes of one step: per_device / micro_batch.
    """

    global_batch: int
    per_device: int
    micro_batch: int
    accumulation_steps: int


def resolve_architecture(config: Config) -> Architecture:
    """The model's numbers: those of MODEL.NAME, changed by the keys that were set, or those of MVIT.

    A model is built for clips of DATA.NUM_FRAMES and DATA.TRAIN_CROP_SIZE, as in SlowFast.

    Raises:
        ConfigError: When the name is unknown, the numbers do not fit together, or clips of the default length
            or size would meet a named model of another.
    """
    numbers = _mvit_numbers(config)
    data, model = config.data, config.model
    try:
        if not model.name:
            return Architecture(
                num_frames=data.num_frames,
                crop_size=data.train_crop_size,
                num_classes=model.num_classes,
                head_dropout_rate=model.dropout_rate,
                **numbers,
            )
        zoo_entry = ZOO.get(model.name)
        named = architecture(zoo_entry.architecture if zoo_entry else model.name)
        _check_clip_given(config, named)
        numbers |= {"num_frames": data.num_frames, "crop_size": data.train_crop_size}
        if "num_classes" in model.model_fields_set:
            numbers["num_classes"] = model.num_classes
        elif zoo_entry:
            numbers["num_classes"] = zoo_entry.num_classes
        if "dropout_rate" in model.model_fields_set:
            numbers["head_dropout_rate"] = model.dropout_rate
        return architecture(zoo_entry.architecture if zoo_entry else model.name, **numbers)
    except ArchitectureError as error:
        raise ConfigError(_in_keys(str(error))) from error


def _mvit_numbers(config: Config) -> dict[str, Any]:
    """The MVIT keys that count: all of them, or, beside a name, those that were set."""
    mvit = config.mvit
    counting = mvit.model_fields_set if config.model.name else set(type(mvit).model_fields)
    numbers = {name: getattr(mvit, name) for name in field_names() if name in counting}
    if mvit.pool_kv_stride_adaptive is not None:  # SlowFast derives the strides from it, whatever they were
        numbers.pop("pool_kv_stride", None)
    return numbers


def _check_clip_given(config: Config, named: Architecture) -> None:
    """Refuse clips that nobody asked for: the default of DATA meeting a model of another length or size."""
    problems = [
        Problem(
            None,
            f"DATA.{key} is not set, and its default is {have}; {config.model.name} takes {want}: set it",
        )
        for key, have, want in (
            ("NUM_FRAMES", config.data.num_frames, named.num_frames),
            ("TRAIN_CROP_SIZE", config.data.train_crop_size, named.crop_size),
        )
        if have != want and key.lower() not in config.data.model_fields_set
    ]
    if problems:
        raise ConfigError(problems)


def _in_keys(text: str) -> str:
    """An architecture's complaint in the user's words: fields become keys."""
    if text.startswith("unknown model"):
        return f"MODEL.NAME: {text}"
    fields = sorted(field_names(), key=len, reverse=True)
    names = re.compile(
        rf"^(?:{'|'.join(fields)})\b|\b(?:{'|'.join(name for name in fields if '_' in name)})\b"
    )
    return names.sub(lambda match: _KEYS.get(match[0], f"MVIT.{match[0].upper()}"), text)


def resolve_clip(config: Config) -> ClipSpec:
    """Which frames a training clip has."""
    data = config.data
    return ClipSpec(data.num_frames, data.sampling_rate, data.target_fps)


def resolve_views(config: Config) -> ViewPlan:
    """Which clips and crops of a video are tested.

    With one crop the short side becomes DATA.TRAIN_JITTER_SCALES[0]; with three, DATA.TEST_CROP_SIZE.

    Raises:
        ConfigError: When TEST.NUM_TEMPORAL_CLIPS asks for several tests.

    Source: SlowFast, slowfast/datasets/kinetics.py.
    """
    data, test = config.data, config.test
    if len(test.num_temporal_clips) > 1:
        raise ConfigError(
            f"TEST.NUM_TEMPORAL_CLIPS: found {list(test.num_temporal_clips)}, expected one number, or [] and "
            "TEST.NUM_ENSEMBLE_VIEWS: run one test for each"
        )
    short_side = data.train_jitter_scales[0] if test.num_spatial_crops == 1 else data.test_crop_size
    if short_side < data.test_crop_size:
        raise ConfigError(
            f"DATA.TEST_CROP_SIZE is {data.test_crop_size}, but one crop is cut where the short side is "
            f"{short_side}, DATA.TRAIN_JITTER_SCALES[0]: make the crop smaller or the scale larger"
        )
    return ViewPlan(
        num_frames=data.num_frames,
        sampling_rate=data.sampling_rate,
        temporal_views=test.num_temporal_clips[0] if test.num_temporal_clips else test.num_ensemble_views,
        spatial_crops=test.num_spatial_crops,
        crop_size=data.test_crop_size,
        short_side=short_side,
        use_offset_sampling=data.use_offset_sampling,
        target_fps=data.target_fps,
    )


def resolve_list(config: Config, split: str) -> str:
    """The list of one split, "train", "val" or "test": its own key, or a file in DATA.PATH_TO_DATA_DIR.

    Raises:
        ConfigError: When neither is given.
    """
    own = f"{split}_list"
    if getattr(config.data, own):
        return str(getattr(config.data, own))
    if config.data.path_to_data_dir:
        return f"{config.data.path_to_data_dir.rstrip('/') or '/'}/{split}.csv"
    raise ConfigError(
        f"DATA.{own.upper()} is not set: give a list file or a folder per class, or DATA.PATH_TO_DATA_DIR, "
        f"a folder with {split}.csv"
    )


def resolve_batch(config: Config, num_devices: int) -> BatchPlan:
    """Share out TRAIN.BATCH_SIZE, which is that of one node, over the devices there are.

    Args:
        config: The configuration.
        num_devices: Devices of this node; no more than NUM_GPUS are used (the CPU counts as one).

    Raises:
        ConfigError: When the batch cannot be shared out evenly.
    """
    batch, wanted = config.train.batch_size, max(config.num_gpus, 1)
    devices = max(min(num_devices, wanted), 1)
    if batch % devices:
        raise ConfigError(
            f"TRAIN.BATCH_SIZE is {batch}, which {devices} devices cannot share evenly: make it a "
            f"multiple of {devices}, or set NUM_GPUS to a divisor of it"
        )
    per_device = batch // devices
    given = config.train.micro_batch_size
    micro = _largest_divisor(per_device, max(batch // wanted, 1)) if given is None else min(given, per_device)
    if per_device % micro:
        raise ConfigError(
            f"TRAIN.MICRO_BATCH_SIZE is {micro}, which does not divide the {per_device} clips of one device: "
            f"set it to {_largest_divisor(per_device, micro)}"
        )
    return BatchPlan(batch * config.num_shards, per_device, micro, per_device // micro)


def resolve_test_batch(config: Config) -> int:
    """Views of one forward pass on one device: TEST.BATCH_SIZE shared out over NUM_GPUS."""
    return max(config.test.batch_size // max(config.num_gpus, 1), 1)


def _largest_divisor(number: int, at_most: int) -> int:
    return next(n for n in range(min(at_most, number), 0, -1) if number % n == 0)


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
    aug, solver, train = config.aug, config.solver, config.train
    off = "; AUG.ENABLE False switches it off too"
    features: tuple[tuple[bool, str, Any, Any, str], ...] = (
        (aug.enable and aug.aa_type != "", "AUG.AA_TYPE", aug.aa_type, "", f"RandAugment{off}"),
        (
            aug.enable and aug.color_jitter is not None,
            "AUG.COLOR_JITTER",
            aug.color_jitter,
            None,
            f"colour jitter{off}",
        ),
        (aug.enable and aug.re_prob > 0, "AUG.RE_PROB", aug.re_prob, 0.0, f"random erasing{off}"),
        (aug.num_sample > 1, "AUG.NUM_SAMPLE", aug.num_sample, 1, "repeated augmentation"),
        (config.mixup.enable, "MIXUP.ENABLE", True, False, "mixup, CutMix and label smoothing"),
        (config.data.inv_uniform_sample, "DATA.INV_UNIFORM_SAMPLE", True, False, "inverse uniform jitter"),
        (
            config.data.train_jitter_fps > 0,
            "DATA.TRAIN_JITTER_FPS",
            config.data.train_jitter_fps,
            0.0,
            "rate jitter",
        ),
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
