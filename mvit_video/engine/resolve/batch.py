"""How the videos of one optimiser step are shared out."""

from dataclasses import dataclass

from mvit_video.config import Config, ConfigError


@dataclass(frozen=True)
class BatchPlan:
    """How the videos of one optimiser step are shared out; each is seen as ``clips_per_video`` clips.

    Attributes:
        global_batch: Videos of one step on all nodes; the learning rate belongs to it.
        per_device: Videos of one step on one device.
        micro_batch: Most videos of one forward pass on one device; divides `per_device`, and holds whole
            groups of videos that are mixed with each other.
        accumulation_steps: Forward passes of one step: per_device / micro_batch.
        clips_per_video: Differently augmented clips of each video: AUG.NUM_SAMPLE.
    """

    global_batch: int
    per_device: int
    micro_batch: int
    accumulation_steps: int
    clips_per_video: int = 1

    @property
    def global_clips(self) -> int:
        """Clips of one step on all nodes; the loss is their mean."""
        return self.global_batch * self.clips_per_video


def mixes(config: Config) -> bool:
    """Whether training clips are mixed with each other; with a probability of 0 labels are only smoothed."""
    return config.mixup.enable and config.mixup.prob > 0


def resolve_batch(config: Config, num_devices: int) -> BatchPlan:
    """Share out TRAIN.BATCH_SIZE, which is that of one node, over the devices there are.

    Args:
        config: The configuration.
        num_devices: Devices of this node; no more than NUM_GPUS are used (the CPU counts as one).

    Raises:
        ConfigError: When the batch cannot be shared out evenly, or not in whole groups of MIXUP.GROUP_SIZE.
    """
    batch, wanted = config.train.batch_size, max(config.num_gpus, 1)
    devices = max(min(num_devices, wanted), 1)
    if batch % devices:
        raise ConfigError(
            f"TRAIN.BATCH_SIZE is {batch}, which {devices} devices cannot share evenly: make it a "
            f"multiple of {devices}, or set NUM_GPUS to a divisor of it"
        )
    per_device = batch // devices
    group = _group(config, per_device)
    given = config.train.micro_batch_size
    if given is None:
        micro = group * _largest_divisor(per_device // group, max(batch // wanted // group, 1))
    else:
        micro = min(given, per_device)
    if per_device % micro or micro % group:
        groups = f" in whole groups of MIXUP.GROUP_SIZE {group}" if group > 1 else ""
        good = group * _largest_divisor(per_device // group, max(micro // group, 1))
        raise ConfigError(
            f"TRAIN.MICRO_BATCH_SIZE is {micro}, which does not divide the {per_device} videos of one "
            f"device{groups}: set it to {good}"
        )
    samples = config.aug.num_sample
    return BatchPlan(batch * config.num_shards, per_device, micro, per_device // micro, samples)


def _group(config: Config, per_device: int) -> int:
    """Videos that have to stay together in one forward pass."""
    if not mixes(config):
        return 1
    group, samples = config.mixup.group_size, config.aug.num_sample
    if group * samples < 2:
        raise ConfigError(
            f"MIXUP.GROUP_SIZE is {group} and AUG.NUM_SAMPLE {samples}: a clip alone has no other to be "
            "mixed with; make one of them at least 2, or set MIXUP.PROB 0"
        )
    if per_device % group:
        raise ConfigError(
            f"MIXUP.GROUP_SIZE is {group}, which does not divide the {per_device} videos of one step on one "
            f"device: change it or TRAIN.BATCH_SIZE ({config.train.batch_size})"
        )
    return group


def resolve_test_batch(config: Config) -> int:
    """Views of one forward pass on one device: TEST.BATCH_SIZE shared out over NUM_GPUS."""
    return max(config.test.batch_size // max(config.num_gpus, 1), 1)


def _largest_divisor(number: int, at_most: int) -> int:
    return next(n for n in range(min(at_most, number), 0, -1) if number % n == 0)
