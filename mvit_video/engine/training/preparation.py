"""What a training run needs, checked and put together before a model is built or a video decoded."""

import logging
from dataclasses import dataclass
from pathlib import Path

import torch

from mvit_video.config import Config
from mvit_video.data import Decoding, TestVideos, TrainClips, TrainLoader, VideoList
from mvit_video.engine.device import cap_workers, choose_device, choose_precision
from mvit_video.engine.errors import RunError
from mvit_video.engine.inputs import check_count, known_names, read_split, start_weights
from mvit_video.engine.processes.group import ALONE, Group
from mvit_video.engine.records.logs import prepare_output_dir
from mvit_video.engine.resolve import (
    BatchPlan,
    check_trainable,
    resolve_architecture,
    resolve_batch,
    resolve_centre_view,
    resolve_decoding,
    resolve_erasing,
    resolve_list,
    resolve_mixing,
    resolve_schedule,
    resolve_smoothing,
    resolve_statistics,
    resolve_train_sampling,
    resolve_transform,
)
from mvit_video.engine.training.step import TrainPlan
from mvit_video.models import Architecture

_logger = logging.getLogger("mvit_video.engine")


@dataclass(frozen=True)
class TrainInputs:
    """What stays the same through a training run.

    Attributes:
        config: the configuration, for what is not here.
        output_dir: where everything is written; it exists and can be written.
        architecture: the model's numbers.
        loader: the training clips.
        validation: the videos of the evaluations between epochs, if there is a list of them.
        plan: the numbers of a step.
        batch: how the global batch is cut.
        class_names: by index, where known.
        device: where to compute.
        num_workers: processes that decode.
        group: the processes that train together.
    """

    config: Config
    output_dir: Path
    architecture: Architecture
    loader: TrainLoader
    validation: TestVideos | None
    plan: TrainPlan
    batch: BatchPlan
    class_names: tuple[str, ...] | None
    device: torch.device
    num_workers: int
    group: Group = ALONE

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in one epoch; videos that do not fill a step sit that epoch out."""
        num_batches: int = self.loader.num_batches
        return num_batches // self.plan.num_passes


def prepare_training(config: Config, group: Group = ALONE) -> TrainInputs:
    """Check everything a training run needs and put it together.

    Args:
        config: the configuration.
        group: the processes that will train together; each prepares its own share.

    Raises:
        ValueError: the text says which key or file is at fault.
    """
    check_trainable(config)
    start_weights(config)
    output_dir = prepare_output_dir(config.output_dir)
    architecture, decoding = resolve_architecture(config), resolve_decoding(config)
    names = known_names(config, architecture.num_classes)
    videos = read_split(config, "train", architecture.num_classes, names)
    check_count(videos.class_names, architecture.num_classes, videos.source)
    names = videos.class_names
    device = choose_device(config.device, config.num_gpus, group)
    batch = resolve_batch(config, group.world_size)
    num_workers = cap_workers(config.data_loader.num_workers, group.local_world_size)
    if len(videos) < batch.global_batch:
        raise RunError(
            f"{videos.source}: has {len(videos)} videos, fewer than the {batch.global_batch} of one "
            "training step: lower TRAIN.BATCH_SIZE"
        )
    return TrainInputs(
        config=config,
        output_dir=output_dir,
        architecture=architecture,
        loader=training_loader(
            config, videos, decoding, batch_size=batch.micro_batch, num_workers=num_workers, group=group
        ),
        validation=_validation(config, architecture, decoding, names),
        plan=_plan(config, batch, device, num_classes=architecture.num_classes, num_videos=len(videos)),
        batch=batch,
        class_names=names,
        device=device,
        num_workers=num_workers,
        group=group,
    )


def _plan(
    config: Config, batch: BatchPlan, device: torch.device, *, num_classes: int, num_videos: int
) -> TrainPlan:
    solver = config.solver
    if solver.clip_grad_val and solver.clip_grad_l2norm:
        raise RunError(
            f"SOLVER.CLIP_GRAD_VAL is {solver.clip_grad_val} and SOLVER.CLIP_GRAD_L2NORM is "
            f"{solver.clip_grad_l2norm}: only one of them can apply; set the other to None"
        )
    mean, std = resolve_statistics(config)
    return TrainPlan(
        schedule=resolve_schedule(config),
        global_batch=batch.global_clips,
        num_passes=batch.accumulation_steps,
        precision=choose_precision(
            config.train.precision, device, training=True, mixed_precision=config.train.mixed_precision
        ),
        mean=mean,
        std=std,
        clip_value=solver.clip_grad_val,
        clip_l2_norm=solver.clip_grad_l2norm,
        num_classes=num_classes,
        smoothing=resolve_smoothing(config),
        num_videos=num_videos,
        bad_videos_limit=config.data.bad_videos_limit,
        skipped_limit=config.train.skipped_steps_limit,
        seed=config.rng_seed,
        log_period=config.log_period,
        explosion_factor=config.train.kill_loss_explosion_factor,
    )


def training_loader(
    config: Config,
    videos: VideoList,
    decoding: Decoding,
    *,
    batch_size: int,
    num_workers: int,
    group: Group = ALONE,
) -> TrainLoader:
    """The clips that this process of a group trains on, in batches of ``batch_size`` videos."""
    clips = TrainClips(
        videos,
        resolve_train_sampling(config),
        resolve_transform(config),
        seed=config.rng_seed,
        repeats=config.aug.num_sample,
        erasing=resolve_erasing(config),
        decoding=decoding,
    )
    return TrainLoader(
        clips,
        batch_size=batch_size,
        num_workers=num_workers,
        seed=config.rng_seed,
        timeout_seconds=config.data.timeout_seconds,
        mixing=resolve_mixing(config),
        group_size=config.mixup.group_size,
        rank=group.rank,
        world_size=group.world_size,
    )


def _validation(
    config: Config, architecture: Architecture, decoding: Decoding, names: tuple[str, ...] | None
) -> TestVideos | None:
    """The videos of the evaluations between epochs, one view each."""
    folder = config.data.path_to_data_dir
    if not config.data.val_list and not (folder and Path(resolve_list(config, "val")).exists()):
        _logger.info("no list of val videos (DATA.VAL_LIST): training is not evaluated between epochs")
        return None
    videos = read_split(config, "val", architecture.num_classes, names)
    return TestVideos(videos, resolve_centre_view(config), decoding=decoding)
