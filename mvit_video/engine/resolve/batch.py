"""How the videos of one optimiser step are shared out."""

import math
from dataclasses import dataclass

from mvit_video.config import Config, ConfigError


@dataclass(frozen=True)
class BatchPlan:
    """How the videos of one optimiser step are shared out; each is seen as ``clips_per_video`` clips.

    Attributes:
        global_batch: Videos of one step; the learning rate belongs to it.
        per_device: Videos of one step in one process, which has one device.
        micro_batch: Videos of one forward pass; divides `per_device`, and holds whole groups of videos that
            are mixed with each other.
        accumulation_steps: Forward passes of one step in one process: per_device / micro_batch.
        clips_per_video: Differently augmented clips of each video: AUG.NUM_SAMPLE.
    """

    global_batch: int
    per_device: int
    micro_batch: int
    accumulation_steps: int
    clips_per_video: int = 1

    @property
    def global_clips(self) -> int:
        """Clips of one step; the loss is their mean."""
        return self.global_batch * self.clips_per_video


def mixes(config: Config) -> bool:
    """Whether training clips are mixed with each other; with a probability of 0 labels are only smoothed."""
    return config.mixup.enable and config.mixup.prob > 0


def resolve_batch(config: Config, num_processes: int = 1) -> BatchPlan:
    """Share out the videos of a step, TRAIN.BATCH_SIZE times NUM_SHARDS, over the processes there are.

    How many they are changes neither the batch nor what is mixed: fewer than NUM_GPUS on each of NUM_SHARDS
    nodes make more passes each.

    Args:
        config: The configuration.
        num_processes: Processes that train together, on all nodes; each has one device.

    Raises:
        ConfigError: When the batch cannot be shared out evenly, or not in whole groups of MIXUP.GROUP_SIZE.
    """
    batch, wanted = config.train.batch_size, max(config.num_gpus, 1)
    videos, group = batch * config.num_shards, _group(config)
    per_device = _share(config, videos, num_processes, group)
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
    return BatchPlan(videos, per_device, micro, per_device // micro, config.aug.num_sample)


def most_processes(config: Config, at_most: int) -> int:
    """The most processes, up to a number, that can share the videos of a step."""
    videos, group = config.train.batch_size * config.num_shards, _group(config)
    return _largest_divisor(max(videos // group, 1), at_most)


def _share(config: Config, videos: int, num_processes: int, group: int) -> int:
    """Videos of one step in one process."""
    batch = config.train.batch_size
    if videos % group:
        raise ConfigError(
            f"MIXUP.GROUP_SIZE is {group}, which does not divide the {videos} videos of one step: change it "
            f"or TRAIN.BATCH_SIZE ({batch})"
        )
    if videos % (num_processes * group):
        nodes = f" on each of {config.num_shards} nodes (NUM_SHARDS)" if config.num_shards > 1 else ""
        groups = f" in whole groups of MIXUP.GROUP_SIZE {group}" if group > 1 else ""
        raise ConfigError(
            f"TRAIN.BATCH_SIZE is {batch}{nodes}, which {num_processes} processes cannot share "
            f"evenly{groups}: make it a multiple of {_multiple(config, num_processes * group)}, or start "
            f"{_largest_divisor(videos // group, num_processes)} of them"
        )
    return videos // num_processes


def _multiple(config: Config, needed: int) -> int:
    """What the batch of one node has to be a multiple of so that the one of all nodes is one of `needed`."""
    return needed // math.gcd(needed, config.num_shards)


def _group(config: Config) -> int:
    """Videos that have to stay together in one forward pass."""
    if not mixes(config):
        return 1
    group, samples = config.mixup.group_size, config.aug.num_sample
    if group * samples < 2:
        raise ConfigError(
            f"MIXUP.GROUP_SIZE is {group} and AUG.NUM_SAMPLE {samples}: a clip alone has no other to be "
            "mixed with; make one of them at least 2, or set MIXUP.PROB 0"
        )
    return group


def resolve_test_batch(config: Config) -> int:
    """Views of one forward pass on one device: TEST.BATCH_SIZE shared out over NUM_GPUS."""
    return max(config.test.batch_size // max(config.num_gpus, 1), 1)


def _largest_divisor(number: int, at_most: int) -> int:
    return next(n for n in range(min(at_most, number), 0, -1) if number % n == 0)
