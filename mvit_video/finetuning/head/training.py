"""A run that trains the head alone: features are computed once, and a plain model is what it leaves."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from mvit_video.api import load_weights
from mvit_video.config import Config, dump_config
from mvit_video.data import VideoList, ViewPlan
from mvit_video.engine.checkpoints.files import save_checkpoint
from mvit_video.engine.checkpoints.keeping import best_path
from mvit_video.engine.errors import Stopped
from mvit_video.engine.inputs import check_count, read_split, start_weights
from mvit_video.engine.randomness import seed_everything
from mvit_video.engine.records.display import counting
from mvit_video.engine.records.logs import RunLog, prepare_output_dir
from mvit_video.engine.resolve import resolve_architecture, resolve_smoothing, resolve_views
from mvit_video.engine.stopping import signal_seen, signals_noted
from mvit_video.finetuning.errors import FinetuneError
from mvit_video.finetuning.head.features import Features, compute_features
from mvit_video.finetuning.head.fitting import PENALTIES, PENALTY, Candidate, train_head
from mvit_video.models import MViT

_VIEWS = 500  # of all videos to learn from, which a CPU computes in minutes

_logger = logging.getLogger("mvit_video.finetuning")


@dataclass(frozen=True)
class HeadResult:
    """What training a head left.

    Attributes:
        checkpoint: The whole model with its new head and its class names.
        epochs: Passes over the features that it took.
        val_top1: In percent, over the views of the val videos; None without any.
    """

    checkpoint: Path
    epochs: int
    val_top1: float | None


def train_frozen(config: Config, names: Sequence[str]) -> HeadResult:
    """Train a new head on a backbone that stays as it is, as a configuration says.

    Of SOLVER it reads MAX_EPOCH, the most passes for each strength, and WEIGHT_DECAY where it is set, which
    is then the only strength. Called again after it was stopped it goes on with the features that are there;
    called again after the end it gives the same in little time.

    Args:
        config: The model, the weights to start from, the lists, the views, OUTPUT_DIR.
        names: Of the classes by index.

    Raises:
        ValueError: Something the user can mend; the text says what.
        Stopped: A signal asked to leave; the features stay.
    """
    output_dir = prepare_output_dir(config.output_dir)
    architecture = resolve_architecture(config)
    check_count(names, architecture.num_classes, "the list of classes")
    videos = read_split(config, "train", architecture.num_classes, names)
    val_videos = read_split(config, "val", architecture.num_classes, names) if config.data.val_list else None
    with signals_noted("what is in hand"):
        seed_everything(config.rng_seed)
        model = MViT(architecture)
        source, inflation = start_weights(config)
        if source:
            _logger.info("%s", load_weights(model, source, inflation=inflation))
        train, val = _features(model, videos, val_videos, config, output_dir / "features", names)
        best = _train(train, val, config, len(names), output_dir)
    projection = model.head.projection
    with torch.no_grad():
        projection.weight.copy_(best.linear.weight)
        projection.bias.copy_(best.linear.bias)
    path = best_path(output_dir)
    save_checkpoint(path, _contents(model, best, config, names))
    _logger.info("saved %s", path)
    return HeadResult(path, best.passes, best.val_top1)


def _features(
    model: MViT,
    videos: VideoList,
    val_videos: VideoList | None,
    config: Config,
    folder: Path,
    names: Sequence[str],
) -> tuple[Features, Features | None]:
    """The features to learn from and to choose by, worth going on with."""
    views = resolve_views(config)
    to_learn, mirrored = training_views(views, len(videos), mirrored=config.data.random_flip)
    train = compute_features(
        model,
        videos,
        folder,
        config=config,
        views=to_learn,
        mirrored=mirrored,
        title="features to learn from",
    )
    _check_enough(train, len(videos), config, names)
    if val_videos is None:
        return train, None
    val = compute_features(
        model, val_videos, folder, config=config, views=views, mirrored=False, title="features to choose by"
    )
    if not val.paths:
        _logger.warning("no val video could be read: nothing chooses the strength of the penalty")
    return train, val


def training_views(views: ViewPlan, num_videos: int, *, mirrored: bool) -> tuple[ViewPlan, bool]:
    """The views of each video to learn from: those of the test, and fewer where there are many.

    Args:
        views: Of the test.
        num_videos: To learn from.
        mirrored: Whether clips may be mirrored.

    Returns:
        The views, and whether they are looked at mirrored too, which comes after more clips in time.
    """
    most = max(1, _VIEWS // (num_videos * views.spatial_crops))
    if most < views.temporal_views:  # a single clip is then the middle one
        views = replace(views, temporal_views=most, use_offset_sampling=True)
    return views, mirrored and 2 * views.temporal_views <= most


def _check_enough(train: Features, num_videos: int, config: Config, names: Sequence[str]) -> None:
    """Refuse to learn from what is left where too much of it, or a whole class, cannot be read."""
    lost, limit = len(train.unreadable), config.data.bad_videos_limit
    if lost > limit * num_videos:
        raise FinetuneError(
            f"{lost} of {num_videos} videos to learn from cannot be read, more than DATA.BAD_VIDEOS_LIMIT "
            f"({limit:g} of them) ({train.unreadable[0][1]}): mend them, or raise the limit"
        )
    seen = set(train.labels.tolist())
    missing = [name for label, name in enumerate(names) if label not in seen]
    if missing:
        raise FinetuneError(
            f"no video of {missing[0]!r} to learn from can be read"
            f"{f', nor of {len(missing) - 1} more classes' if missing[1:] else ''}: add some, or remove the "
            "class"
        )


def _train(
    train: Features, val: Features | None, config: Config, num_classes: int, output_dir: Path
) -> Candidate:
    """The best head; every strength is told."""
    solver, choosing = config.solver, val is not None and bool(val.paths)
    penalties: Sequence[float] = PENALTIES if choosing else (PENALTY,)
    if "weight_decay" in solver.model_fields_set:
        penalties = (solver.weight_decay,)
    total = len(penalties) * solver.max_epoch
    with counting("training the head", total) as progress, RunLog(output_dir, tensorboard=False) as log:

        def on_pass(done: int) -> None:
            progress(done)
            if (number := signal_seen()) is not None:
                raise Stopped(number, "while the head was trained", output_dir / "features")

        candidates = train_head(
            train,
            val,
            num_classes,
            penalties=penalties,
            smoothing=resolve_smoothing(config),
            max_passes=solver.max_epoch,
            method=config.data.ensemble_method,
            on_pass=on_pass,
        )
        for candidate in sorted(candidates, key=lambda one: one.passes):
            _tell(candidate, log)
    best = candidates[0]
    _logger.info("weight decay %g it is", best.penalty)
    return best


def _tell(candidate: Candidate, log: RunLog) -> None:
    log.write(
        "head",
        step=candidate.passes,
        epoch=float(candidate.passes),
        weight_decay=candidate.penalty,
        loss=candidate.loss,
        val_top1=candidate.val_top1,
        val_loss=candidate.val_loss,
    )
    chosen_by = (
        ""
        if candidate.val_top1 is None
        else f", on val videos top-1 {candidate.val_top1:.2f} %, loss {candidate.val_loss:.4f}"
    )
    _logger.info("head, weight decay %g: loss %.4f%s", candidate.penalty, candidate.loss, chosen_by)


def _contents(model: MViT, best: Candidate, config: Config, names: Sequence[str]) -> dict[str, object]:
    """Of a checkpoint that can be used; no run goes on from it, so that it has nothing for that."""
    return {
        "model_state": {name: tensor.cpu() for name, tensor in model.state_dict().items()},
        "epoch": best.passes,
        "class_names": list(names),
        "weight_decay": best.penalty,
        "cfg": dump_config(config),
    }
