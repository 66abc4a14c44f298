"""What the network will see, as a picture: the training clips and test views that a configuration makes.

The clips take the way that they take in training and testing: the same loader, the same draws of seed and
epoch, the same finishing; only that no model follows.
"""

from dataclasses import dataclass
from typing import NamedTuple

from PIL import Image

from mvit_video.config import Config
from mvit_video.data import TestVideos, VideoList, finish_batch, soft_targets, test_loader
from mvit_video.data.showing.rows import Names, denormalise, test_section, train_sections
from mvit_video.data.showing.sheet import Section, draw_sheet
from mvit_video.engine.errors import RunError
from mvit_video.engine.inputs import Split, read_class_names, read_split
from mvit_video.engine.resolve import (
    resolve_architecture,
    resolve_decoding,
    resolve_list,
    resolve_mixing,
    resolve_smoothing,
    resolve_statistics,
    resolve_views,
)
from mvit_video.engine.training.preparation import training_loader

_ANY_LABEL = 2**31 - 1


@dataclass(frozen=True)
class Shown:
    """What to show.

    Args:
        splits: Training clips, test views, or both.
        num_videos: Of each split.
        num_frames: Of each clip.
        epoch: Whose training clips are shown.
    """

    splits: tuple[Split, ...] = ("train", "test")
    num_videos: int = 3
    num_frames: int = 8
    epoch: int = 0


class Sheet(NamedTuple):
    """The picture, and how many of the videos for it could not be read."""

    picture: Image.Image
    unreadable: int


def show(config: Config, shown: Shown) -> Sheet:
    """Draw the training clips and test views of the lists that the configuration names.

    Raises:
        ValueError: a list, video or value is at fault; the text says which.
    """
    sections: list[Section] = []
    unreadable = 0
    read: dict[str, tuple[VideoList, int]] = {}  # a list of both splits is read, and warned of, once
    for split in shown.splits:
        path = str(resolve_list(config, split))
        if path not in read or not read[path][0].is_labelled:  # training will say that it needs labels
            read[path] = _read(config, split)
        videos, num_classes = read[path]
        names = Names(videos, videos.class_names)
        if split == "train":
            found, bad = _train_sections(config, videos, num_classes, names, shown)
        else:
            found, bad = _test_sections(config, videos, names, shown)
        sections += found
        unreadable += bad
    return Sheet(draw_sheet(_title(config, shown), sections), unreadable)


def _read(config: Config, split: Split) -> tuple[VideoList, int]:
    """A list, and the number of classes: the model's where one is named, else the list's own."""
    names = read_class_names(config.data.class_names) if config.data.class_names else None
    if config.model.name or "num_classes" in config.model.model_fields_set:
        num_classes = resolve_architecture(config).num_classes
        return read_split(config, split, num_classes, names), num_classes
    videos = read_split(config, split, _ANY_LABEL, names)
    return videos, max(videos.num_classes, 1)


def _train_sections(
    config: Config, videos: VideoList, num_classes: int, names: Names, shown: Shown
) -> tuple[list[Section], int]:
    group = 1 if resolve_mixing(config) is None else config.mixup.group_size
    wanted = -(-min(shown.num_videos, len(videos)) // group) * group
    wanted = min(wanted, len(videos) // group * group)
    if wanted == 0:
        raise RunError(
            f"{videos.source}: has {len(videos)} videos, fewer than the {group} of MIXUP.GROUP_SIZE that are "
            "mixed with each other: list more, or set MIXUP.ENABLE False"
        )
    loader = training_loader(config, videos, resolve_decoding(config), batch_size=wanted, num_workers=0)
    batch = next(iter(loader.epoch(shown.epoch)))
    mean, std = resolve_statistics(config)
    mixes, size = batch.mixes, batch.group_size
    clips = finish_batch(
        batch.clips, mean=mean, std=std, erasures=batch.erasures, mixes=mixes, group_size=size
    )
    smoothing = resolve_smoothing(config)
    targets = soft_targets(batch.labels, num_classes, smoothing=smoothing, mixes=mixes, group_size=size)
    pictures = denormalise(clips, mean, std)
    sections = train_sections(
        batch, pictures, targets, names, repeats=config.aug.num_sample, num_frames=shown.num_frames
    )
    return sections, len(batch.bad)


def _test_sections(
    config: Config, videos: VideoList, names: Names, shown: Shown
) -> tuple[list[Section], int]:
    plan = resolve_views(config)
    views = TestVideos(videos[: shown.num_videos], plan, decoding=resolve_decoding(config))
    samples = list(test_loader(views, num_workers=0))
    sections = [test_section(sample, plan, names, num_frames=shown.num_frames) for sample in samples]
    return sections, sum(sample.views is None for sample in samples)


def _title(config: Config, shown: Shown) -> str:
    data, aug, mixup = config.data, config.aug, config.mixup
    words = [f"{data.num_frames} frames"]
    if data.sampling == "dense":
        words = [f"{data.num_frames}x{data.sampling_rate}"]
    if "train" in shown.splits:
        words.append(f"crop {data.train_crop_size}, epoch {shown.epoch}, seed {config.rng_seed}")
        if aug.enable:
            words.append(aug.aa_type or f"colour jitter {aug.color_jitter}")
            words.append(f"erasing {aug.re_prob:g}")
        if mixup.enable:
            words.append(f"mixup {mixup.alpha:g}, CutMix {mixup.cutmix_alpha:g}, prob {mixup.prob:g}")
    return " · ".join(words)
