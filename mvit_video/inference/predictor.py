"""One video file in, class names and probabilities out.

Axes: V views, K classes.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import inf
from os import PathLike
from typing import BinaryIO

import torch
from torch import Tensor, nn

from mvit_video.config import Config
from mvit_video.data import Decoding, ViewPlan, Views, decode_views, iter_clips, open_reader
from mvit_video.data.video.reader import VideoReader
from mvit_video.engine.device import choose_device, choose_precision
from mvit_video.engine.ensemble import ensemble_views
from mvit_video.engine.evaluation import ViewScorer
from mvit_video.inference.results import ClassScore, ClipPrediction, Prediction
from mvit_video.inference.sources import Recogniser, recogniser_of

_logger = logging.getLogger("mvit_video.inference")


class Predictor:
    """Says what happens in a video.

    >>> predictor = Predictor("mvitv2_s_16x4.k400")
    >>> predictor("holiday.mp4").top[0].name

    Args:
        model_or_name: a zoo name with its weights (``mvitv2_s_16x4.k400``), the name of an architecture
            (``mvitv2_s_16x4``, needs ``checkpoint``), a configuration, or a model object that has weights.
            A model object is moved to the device, and otherwise left as it is.
        checkpoint: weights to load instead: path, URL or zoo name.
        views: which clips and crops of a video to look at, or only their numbers, such as (5, 1) for 5 clips
            and 1 crop of each; by default those of the published test.
        class_names: one name per class; by default those that came with the weights.
        mean: of each channel (R, G, B) on a scale of 0 to 1; by default what the model was trained with.
        std: likewise.
        device: "auto" (the GPU where there is one), "cpu", "cuda" or "cuda:1".
        precision: "auto" (bf16 on a GPU that has it, else fp32), "fp32", "bf16" or "fp16".
        top_k: how many classes an answer names.
        views_per_batch: how many views the model sees at a time; more need more memory.
        decoding: which decoder reads the videos and what it does about damaged ones; by default as the
            configuration says, else PyAV, which keeps what comes before the damage.

    Raises:
        ValueError: The model has random weights, the names do not fit the classes, or the name, checkpoint,
            device or precision is not there.
    """

    def __init__(
        self,
        model_or_name: str | nn.Module | Config,
        *,
        checkpoint: str | PathLike[str] | None = None,
        views: ViewPlan | tuple[int, int] | None = None,
        class_names: Sequence[str] | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        device: str = "auto",
        precision: str = "auto",
        top_k: int = 5,
        views_per_batch: int = 4,
        decoding: Decoding | None = None,
    ) -> None:
        if top_k < 1 or views_per_batch < 1:
            raise ValueError(f"top_k and views_per_batch are at least 1, got {top_k} and {views_per_batch}")
        on = choose_device(device)
        number_format = choose_precision(precision, on, training=False)
        source: Recogniser = recogniser_of(model_or_name, checkpoint, views)
        self._scorer = ViewScorer(
            source.model.to(on),
            mean=source.mean if mean is None else mean,
            std=source.std if std is None else std,
            device=on,
            precision=number_format,
            views_per_batch=views_per_batch,
            method=source.ensemble,
        )
        self.views: ViewPlan = source.views
        self.decoding: Decoding = decoding or source.decoding
        self.top_k = top_k
        names = source.class_names if class_names is None else class_names
        self.class_names: tuple[str, ...] | None = None if names is None else tuple(names)
        if self.class_names is None:
            _logger.info("the names of the classes are not known: they are called by their numbers, from 0")
        elif len(self.class_names) != source.num_classes:
            raise ValueError(
                f"{len(self.class_names)} class names for a model with {source.num_classes} classes; "
                "give one name per class, in the order the model was trained with"
            )

    def __call__(
        self,
        path: str | PathLike[str] | BinaryIO,
        *,
        every_seconds: float | None = None,
        on_clip: Callable[[ClipPrediction], None] | None = None,
    ) -> Prediction:
        """Look at one video.

        Args:
            path: the file, a folder of images, or a binary file object (which is not closed).
            every_seconds: look at one clip every so many seconds along the whole file, however long, instead
                of the views of the published test.
            on_clip: called with each clip as soon as it is known; the clips are then not kept, and
                ``Prediction.clips`` is empty.

        Raises:
            VideoError: The file cannot be read; names it and says why.
            ValueError: The model gives no numbers.
        """
        total_K = torch.zeros(())
        clips: list[ClipPrediction] = []
        num_clips = 0
        largest = self._scorer.method == "max"
        with open_reader(path, self.decoding) as video:
            for clip, scores_K in self._score_clips(video, every_seconds):
                total_K = torch.maximum(total_K, scores_K) if largest else total_K + scores_K
                num_clips += 1
                (clips.append if on_clip is None else on_clip)(clip)
        top = self._top(total_K if largest else total_K / num_clips)
        num_views = num_clips * self.views.spatial_crops
        return Prediction(video.name, top, tuple(clips), num_views, _damage_of(video))

    def along(self, path: str | PathLike[str] | BinaryIO, every_seconds: float) -> Iterator[ClipPrediction]:
        """Walk along a file, however long, giving one clip every so many seconds, in flat memory.

        Raises:
            VideoError: The file cannot be read, or not to its end and damage is to be refused; clips before
                the damage have been given.
        """
        with open_reader(path, self.decoding) as video:
            for clip, _ in self._score_clips(video, every_seconds):
                yield clip

    def _score_clips(
        self, video: VideoReader, every_seconds: float | None
    ) -> Iterator[tuple[ClipPrediction, Tensor]]:
        """Each clip with its probabilities (K,), joined over its spatial crops."""
        if every_seconds is not None and not 0 < every_seconds < inf:
            raise ValueError(f"clips every {every_seconds} seconds: expected a number above 0")
        crops = self.views.spatial_crops
        if every_seconds is None:
            batches: Iterable[list[Views]] = ([decode_views(video, self.views)],)
        else:
            clips = iter_clips(video, self.views, every_seconds)
            batches = _groups(clips, self._scorer.views_per_batch // crops)
        for group in batches:
            logits_VK = self._scorer.logits(torch.cat([views.views for views in group]))
            if not bool(logits_VK.isfinite().all()):
                raise ValueError(
                    f"{video.name}: the model answers with values that are no numbers; its weights are "
                    "damaged, or too large for this precision: try fp32"
                )
            times = [clip for views in group for clip in views.clips]
            for clip, logits in zip(times, torch.split(logits_VK, crops), strict=True):
                scores_K = ensemble_views(logits, self._scorer.method)
                if self._scorer.method == "sum":
                    scores_K = scores_K / crops
                yield ClipPrediction(clip.start_seconds, clip.end_seconds, self._top(scores_K)), scores_K

    def _top(self, scores_K: Tensor) -> tuple[ClassScore, ...]:
        scores, indices = scores_K.topk(min(self.top_k, len(scores_K)))
        return tuple(
            ClassScore(self._name(index), index, score)
            for index, score in zip(indices.tolist(), scores.tolist(), strict=True)
        )

    def _name(self, index: int) -> str:
        return f"class {index}" if self.class_names is None else self.class_names[index]


def _damage_of(video: VideoReader) -> str | None:
    damage = video.damage
    return None if damage is None else f"good up to frame {damage.frame}, then {damage.reason}"


def _groups(items: Iterator[Views], size: int) -> Iterator[list[Views]]:
    group: list[Views] = []
    for item in items:
        group.append(item)
        if len(group) >= size:
            yield group
            group = []
    if group:
        yield group
