"""What a run would use, in words and numbers, before any video is opened or weight allocated."""

from collections.abc import Iterator

from mvit_video.config import Config, set_keys
from mvit_video.config.schema import KEYS, value_of
from mvit_video.data import ViewPlan
from mvit_video.engine.resolve import (
    check_trainable,
    has_schedule,
    learning_rate_scale,
    resolve_architecture,
    resolve_batch,
    resolve_erasing,
    resolve_mixing,
    resolve_schedule,
    resolve_smoothing,
    resolve_statistics,
    resolve_test_batch,
    resolve_transform,
    resolve_views,
)
from mvit_video.models import THW, Architecture, BlockSpec, count_flops, count_parameters


def print_config(config: Config, *, num_devices: int = 1) -> str:
    """Describe a run: its keys, its model block by block, its cost, its views, its batch and its schedule.

    Args:
        config: The configuration.
        num_devices: Devices that training shares its batch out over.

    Returns:
        Text of several lines. What would stop training is part of it, not an error.

    Raises:
        ConfigError: When there is no such model, or its numbers do not fit together.
    """
    architecture = resolve_architecture(config)
    parts = [_keys(config), _model(config, architecture), _testing(config), _training(config, num_devices)]
    return "\n\n".join("\n".join(part) for part in parts)


def _keys(config: Config) -> Iterator[str]:
    given = set(set_keys(config))
    yield "Keys (* given, the others at their defaults)"
    for key in KEYS.values():
        if config.model.name and key.section == "mvit" and key.dotted not in given:
            continue  # the named model says it, not SlowFast's default
        yield f"  {'*' if key.dotted in given else ' '} {key.dotted}: {_value(value_of(config, key))}"


def _value(value: object) -> str:
    text = repr(list(value)) if isinstance(value, tuple) else repr(value)
    return text.replace("(", "[").replace(")", "]") if isinstance(value, tuple) else text


def _model(config: Config, architecture: Architecture) -> Iterator[str]:
    size = architecture.crop_size
    yield f"Model {config.model.name or 'of MVIT.*'}"
    yield f"  clip: {architecture.num_frames} frames of {size} x {size} pixels"
    yield f"  classes: {architecture.num_classes}"
    yield f"  parameters: {count_parameters(architecture) / 1e6:.2f} M"
    for side in sorted({size, config.data.test_crop_size}):
        flops = count_flops(architecture, height=side, width=side)
        yield (
            f"  one view of {side} pixels: {flops.multiply_adds / 1e9:.1f} G multiply-adds "
            f"({flops.with_norms / 1e9:.1f} with norms)"
        )
    yield (
        "  block  tokens in   tokens out  keys        width         heads  "
        "q kernel/stride  kv kernel/stride  drop path"
    )
    for spec in architecture.block_specs():
        yield _block(spec)


def _block(spec: BlockSpec) -> str:
    width = f"{spec.dim_in}" if spec.dim_in == spec.dim_out else f"{spec.dim_in} -> {spec.dim_out}"
    return (
        f"  {spec.index:5d}  {_grid(spec.grid_in):10}  {_grid(spec.grid_out):10}  {_grid(spec.grid_kv):10}  "
        f"{width:12}  {spec.num_heads:5d}  {_pooling(spec.kernel_q, spec.stride_q):15}  "
        f"{_pooling(spec.kernel_kv, spec.stride_kv):16}  {spec.drop_path:9.3f}"
    )


def _grid(grid: THW) -> str:
    return "x".join(map(str, grid))


def _pooling(kernel: THW | None, stride: THW) -> str:
    return "-" if kernel is None else f"{_grid(kernel)}/{_grid(stride)}"


def _testing(config: Config) -> Iterator[str]:
    yield "Testing"
    try:
        views = resolve_views(config)
    except ValueError as error:
        yield f"  not possible: {error}"
        return
    yield (
        f"  views: {_many(views.temporal_views, 'clip')} x {_many(views.spatial_crops, 'crop')} of "
        f"{views.crop_size} pixels, short side {views.short_side}"
    )
    yield f"  clip: {_frames(views)}"
    yield "  mean {} and deviation {} of red, green, blue".format(*map(_value, resolve_statistics(config)))
    yield f"  views per forward pass and device: {resolve_test_batch(config)}"


def _frames(views: ViewPlan) -> str:
    if views.sampling == "segments":
        return f"{views.num_frames} frames, one of each of as many parts of the video"
    seconds = views.num_frames * views.sampling_rate / views.target_fps
    return (
        f"{views.num_frames} frames, {views.sampling_rate} apart at {views.target_fps:g} fps "
        f"({seconds:.2f} seconds)"
    )


def _training(config: Config, num_devices: int) -> Iterator[str]:
    yield "Training"
    try:
        check_trainable(config)
    except ValueError as error:
        yield from (f"  {line.strip()}" for line in f"not possible: {error}".splitlines())
    try:
        batch, schedule = resolve_batch(config, max(num_devices, 1)), resolve_schedule(config)
        augmentation = ", ".join(_augmentation(config)) or "crops only"
    except ValueError as error:
        yield f"  {error}"
        return
    yield (
        f"  batch: {batch.global_clips} clips of {batch.global_batch} videos a step, {batch.per_device} "
        f"videos on each device, in {batch.accumulation_steps} passes of {batch.micro_batch}"
    )
    yield f"  augmentation: {augmentation}"
    if not has_schedule(config):
        return
    yield (
        f"  learning rate: {schedule.warmup_start_lr:g} to {schedule.base_lr:g} in "
        f"{schedule.warmup_epochs:g} epochs, then a cosine to {schedule.cosine_end_lr:g} at "
        f"epoch {schedule.max_epoch:g} "
        f"({config.solver.optimizing_method}, weight decay {config.solver.weight_decay:g})"
    )
    yield f"  the rates are SOLVER's {learning_rate_scale(config)[1]}"
    yield from (f"  {line}" for line in _refinements(config))


def _refinements(config: Config) -> Iterator[str]:
    solver, train = config.solver, config.train
    if solver.layer_decay < 1:
        yield f"layer decay: each block learns at {solver.layer_decay:g} times the rate of the one after it"
    if solver.clip_grad_l2norm or solver.clip_grad_val:
        kind, limit = (
            ("norm", solver.clip_grad_l2norm) if solver.clip_grad_l2norm else ("value", solver.clip_grad_val)
        )
        yield f"gradients clipped to a {kind} of {limit:g}"
    if train.ema_decay:
        yield f"weights averaged over the steps (EMA {train.ema_decay:g}), and evaluated beside the last ones"


def _augmentation(config: Config) -> Iterator[str]:
    transform, erasing, mixing = resolve_transform(config), resolve_erasing(config), resolve_mixing(config)
    if transform.flip:
        yield "flips"
    if transform.rand_augment is not None:
        yield f"RandAugment {config.aug.aa_type}"
    elif transform.colour_jitter:
        yield f"colour jitter of {transform.colour_jitter:g}"
    if erasing is not None:
        yield f"{erasing.prob:.0%} erased"
    if mixing is not None:
        yield f"mixed in groups of {_many(config.mixup.group_size, 'video')}"
    if smoothing := resolve_smoothing(config):
        yield f"labels smoothed by {smoothing:g}"


def _many(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
