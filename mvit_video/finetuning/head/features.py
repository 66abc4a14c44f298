"""What a backbone says about videos, computed once: all that a head is trained on.

Axes: N videos, V views (mirrored ones after the others), C width.
"""

import logging
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from mvit_video.config import Config
from mvit_video.data import TestVideos, VideoList, VideoRecord, ViewPlan, test_loader
from mvit_video.data.checking.facts import FileState, file_state
from mvit_video.engine.device import Precision, cap_workers, choose_device, choose_precision, describe_device
from mvit_video.engine.errors import Stopped
from mvit_video.engine.records.display import counting
from mvit_video.engine.resolve import resolve_decoding, resolve_statistics, resolve_test_batch
from mvit_video.engine.stopping import signal_seen, signals_noted
from mvit_video.engine.testing.evaluation import ViewScorer
from mvit_video.finetuning.errors import FinetuneError
from mvit_video.finetuning.head.feature_cache import FeatureCache, describe_backbone
from mvit_video.models import MViT

_SAID = 5  # of the videos that cannot be read

_logger = logging.getLogger("mvit_video.finetuning")


@dataclass(frozen=True)
class Features:
    """The features of a list of videos.

    Attributes:
        features: float32 (N, V, C) on the CPU: what enters ``MViT.head``.
        labels: int64 (N,).
        paths: Of the N videos.
        unreadable: (path, reason) of each video that could not be read; it is not among the N.
    """

    features: Tensor
    labels: Tensor
    paths: tuple[str, ...]
    unreadable: tuple[tuple[str, str], ...] = ()


class Backbone(nn.Module):
    """A model without its head: clips (B, 3, T, H, W) to features (B, C)."""

    def __init__(self, model: MViT) -> None:
        super().__init__()
        self.model = model
        self.training = model.training

    def forward(self, clips: Tensor) -> Tensor:
        """What enters the head."""
        return self.model.forward_embedding(clips)


def compute_features(
    model: MViT,
    videos: VideoList,
    cache_dir: Path,
    *,
    config: Config,
    views: ViewPlan,
    mirrored: bool,
    title: str,
) -> Features:
    """The features of labelled videos; those known from an earlier run are not computed again.

    A video is decoded once for all its views, and each video's features are kept as soon as they are there:
    a run that is stopped or killed loses those of one video. Memory beside the features themselves does not
    grow with the number of videos.

    Args:
        model: Is used in eval mode, on the device that the configuration means, where it stays.
        videos: With labels.
        cache_dir: Where features are kept. Other weights or views have files of their own there.
        config: For the device, the precision (TEST.PRECISION), the workers and how videos are decoded.
        views: Of each video.
        mirrored: Whether each view is looked at mirrored too.
        title: What is said beside the progress.

    Raises:
        FinetuneError: Features cannot be written, or are no numbers.
        Stopped: A signal asked to leave.
    """
    device = choose_device(config.device, config.num_gpus)
    precision = choose_precision(config.test.precision, device, training=False)
    width = model.head.projection.in_features
    shape = (len(videos), views.num_views * (2 if mirrored else 1), width)
    conditions = (views, mirrored, resolve_statistics(config), precision, resolve_decoding(config))
    cache = FeatureCache(cache_dir, describe_backbone(model, *conditions), shape[1:])
    cache.make_ready()
    states = [file_state(record.path) for record in videos]
    features_NVC = torch.zeros(shape)
    known = _fill(features_NVC, videos, states, cache)
    missing = [index for index in range(len(videos)) if index not in known]
    _logger.info(
        "%s: %d videos, %d views each, on %s in %s%s", title, shape[0], shape[1], describe_device(device),
        precision, f"; {len(known)} are known from before" if known else "",
    )  # fmt: skip
    reasons: dict[int, str] = {}
    if missing:
        scorer = _scorer(model, config, device, precision)
        chosen = [videos[index] for index in missing]
        with signals_noted(), counting(title, len(missing)) as progress:
            found = _computed(scorer, chosen, config, views, mirrored)
            with closing(found):
                for done, (place, result) in enumerate(found, 1):
                    index = missing[place]
                    if isinstance(result, str):
                        reasons[index] = result
                    else:
                        features_NVC[index] = result
                        cache.add(videos[index].path, states[index], result)
                    progress(done)
                    _leave_if_asked(title, len(known) + done, len(videos), cache.path)
    return _gathered(features_NVC, videos, reasons)


def _scorer(model: MViT, config: Config, device: torch.device, precision: Precision) -> ViewScorer:
    mean, std = resolve_statistics(config)
    return ViewScorer(
        Backbone(model.to(device)),
        mean=mean,
        std=std,
        device=device,
        precision=precision,
        views_per_batch=resolve_test_batch(config),
    )


def _fill(
    features_NVC: Tensor, videos: Sequence[VideoRecord], states: Sequence[FileState], cache: FeatureCache
) -> set[int]:
    """Put in what is known of the videos as they are now; returns which those are."""
    places: dict[str, list[int]] = {}
    for index, record in enumerate(videos):
        places.setdefault(record.path, []).append(index)
    known = set()
    for path, state, features_VC in cache.read():
        for index in places.get(path, ()):
            if states[index] == state:
                features_NVC[index] = features_VC
                known.add(index)
    return known


def _computed(
    scorer: ViewScorer, videos: Sequence[VideoRecord], config: Config, views: ViewPlan, mirrored: bool
) -> Generator[tuple[int, Tensor | str], None, None]:
    """Of each video its place and its features (V, C), or why it cannot be read.

    Videos share no forward pass, so that features do not depend on which ones were known from before.
    """
    dataset = TestVideos(videos, views, decoding=resolve_decoding(config))
    samples = test_loader(
        dataset,
        num_workers=cap_workers(config.data_loader.num_workers),
        timeout_seconds=config.data.timeout_seconds,
    )
    with closing(samples):
        for sample in samples:
            path = videos[sample.index].path
            if sample.views is None:
                yield sample.index, sample.error or "cannot be read"
                continue
            for damage in sample.damaged:
                _logger.warning("damaged, and used by its good part: %s", damage)
            features_VC = scorer.logits(sample.views)
            if mirrored:
                features_VC = torch.cat((features_VC, scorer.logits(sample.views.flip(-1))))
            if not bool(features_VC.isfinite().all()):
                raise FinetuneError(
                    f"{path}: its features are no numbers in {scorer.precision}: set TEST.PRECISION fp32, or "
                    "mend the weights"
                )
            yield sample.index, features_VC


def _leave_if_asked(title: str, done: int, total: int, saved: Path) -> None:
    number = signal_seen()
    if number is not None and done < total:
        raise Stopped(number, f"at {title}, after {done} of {total} videos", saved)


def _gathered(features_NVC: Tensor, videos: Sequence[VideoRecord], reasons: dict[int, str]) -> Features:
    """Without the videos that could not be read, which are warned of."""
    for reason in list(reasons.values())[:_SAID]:
        _logger.warning("left out: %s", reason)
    if len(reasons) > _SAID:
        _logger.warning("... and %d more videos cannot be read", len(reasons) - _SAID)
    read = [index for index in range(len(videos)) if index not in reasons]
    if reasons:
        features_NVC = features_NVC[read]
    labels = [videos[index].label for index in read]
    assert None not in labels
    return Features(
        features_NVC,
        torch.tensor(labels, dtype=torch.int64),
        tuple(videos[index].path for index in read),
        tuple((videos[index].path, reason) for index, reason in reasons.items()),
    )
