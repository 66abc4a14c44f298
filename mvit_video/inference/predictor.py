"""One video file in, class names and probabilities out.

Axes: V views, K classes.
"""

import logging
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from math import inf
from os import PathLike

import torch
from torch import Tensor, nn

from mvit_video.config import Config
from mvit_video.data import Decoding, VideoError, ViewPlan
from mvit_video.engine.device import choose_device, choose_precision, describe_device
from mvit_video.engine.testing.ensemble import EnsembleMethod, ensemble_views
from mvit_video.engine.testing.evaluation import ViewScorer, score_views
from mvit_video.inference.reading import Clips, End, Source, VideoFeed
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
        precision: "auto" (bf16 on a GPU or CPU that has it in hardware, else fp32), "fp32", "bf16" or "fp16".
        top_k: how many classes an answer names.
        views_per_batch: how many views the model sees at a time; more need more memory. By default 1 on the
            CPU, which is fastest with one, else 8.
        readers: how many videos are decoded at the same time, in threads; by default 1 where the model runs
            on the CPU, else 4.
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
        views_per_batch: int | None = None,
        readers: int | None = None,
        decoding: Decoding | None = None,
    ) -> None:
        on = choose_device(device)
        views_at_once = (1 if on.type == "cpu" else 8) if views_per_batch is None else views_per_batch
        if top_k < 1 or views_at_once < 1:
            raise ValueError(f"top_k and views_per_batch are at least 1, got {top_k} and {views_at_once}")
        self.readers: int = _choose_readers(readers, on)
        number_format = choose_precision(precision, on, training=False)
        source: Recogniser = recogniser_of(model_or_name, checkpoint, views)
        self._scorer = ViewScorer(
            source.model.to(on),
            mean=source.mean if mean is None else mean,
            std=source.std if std is None else std,
            device=on,
            precision=number_format,
            views_per_batch=views_at_once,
            method=source.ensemble,
        )
        _logger.info(_describe(number_format, on, chosen=precision == "auto"))
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
        path: Source,
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
        (answer,) = self.many((path,), every_seconds=every_seconds, on_clip=on_clip)
        if isinstance(answer, VideoError):
            raise answer
        return answer

    def many(
        self,
        paths: Iterable[Source],
        *,
        every_seconds: float | None = None,
        on_clip: Callable[[ClipPrediction], None] | None = None,
    ) -> Generator[Prediction | VideoError, None, None]:
        """Look at many videos: one answer each, in their order, which is a VideoError for an unreadable one.

        The next videos are decoded in threads while the model runs, and neighbouring videos share its
        batches. Answers equal those of one call per video, but for the rounding of sums that a batch of
        another size takes in another order: probabilities to 1e-4 in fp32, 0.02 in bf16.

        >>> for path, answer in zip(paths, predictor.many(paths)):
        ...     print(path, answer if isinstance(answer, VideoError) else answer.top[0].name)

        Args:
            paths: each as for one call.
            every_seconds: likewise.
            on_clip: called with each clip of the video whose answer comes next; they are then not kept.

        Raises:
            ValueError: The model gives no numbers.
        """
        return self._answers(tuple(paths), _checked(every_seconds), on_clip)

    def along(self, path: Source, every_seconds: float) -> Generator[ClipPrediction, None, None]:
        """Walk along a file, however long, giving one clip every so many seconds, in flat memory.

        Raises:
            VideoError: The file cannot be read, or not to its end and damage is to be refused; clips before
                the damage have been given.
        """
        with closing(self._score((path,), _checked(every_seconds))) as found:
            for item in found:
                if isinstance(item, VideoError):
                    raise item
                if not isinstance(item, End):
                    yield item[0]

    def _answers(
        self,
        paths: Sequence[Source],
        every_seconds: float | None,
        on_clip: Callable[[ClipPrediction], None] | None,
    ) -> Generator[Prediction | VideoError, None, None]:
        tally = _Tally(self._scorer.method)
        with closing(self._score(paths, every_seconds)) as found:
            for item in found:
                if not isinstance(item, End | VideoError):
                    clip, scores_K = item
                    tally.add(scores_K)
                    (tally.clips.append if on_clip is None else on_clip)(clip)
                    continue
                yield item if isinstance(item, VideoError) else self._prediction(item, tally)
                tally = _Tally(self._scorer.method)

    def _prediction(self, end: End, tally: "_Tally") -> Prediction:
        num_views = tally.num_clips * self.views.spatial_crops
        return Prediction(end.video, self._top(tally.scores), tuple(tally.clips), num_views, end.damage)

    def _score(
        self, paths: Sequence[Source], every_seconds: float | None
    ) -> Generator[tuple[ClipPrediction, Tensor] | End | VideoError, None, None]:
        """Of each video: its clips with their probabilities (K,), joined over their crops, and its end."""
        feed = VideoFeed(
            self.views, self.decoding, every_seconds, self.readers, views_ahead=self._scorer.views_per_batch
        )
        with closing(feed.read(paths)) as items:
            for event, logits_VK in score_views(self._scorer, items):
                if isinstance(event, Clips) and logits_VK is not None:
                    yield from self._clips(event, logits_VK)
                elif not isinstance(event, Clips):
                    yield event

    def _clips(self, clips: Clips, logits_VK: Tensor) -> Iterator[tuple[ClipPrediction, Tensor]]:
        if not bool(logits_VK.isfinite().all()):
            raise ValueError(
                f"{clips.video}: the model answers with values that are no numbers; its weights are "
                "damaged, or too large for this precision: try fp32"
            )
        crops = self.views.spatial_crops
        for times, logits in zip(clips.times, torch.split(logits_VK, crops), strict=True):
            scores_K = ensemble_views(logits, self._scorer.method)
            if self._scorer.method == "sum":
                scores_K = scores_K / crops
            yield ClipPrediction(times.start_seconds, times.end_seconds, self._top(scores_K)), scores_K

    def _top(self, scores_K: Tensor) -> tuple[ClassScore, ...]:
        scores, indices = scores_K.topk(min(self.top_k, len(scores_K)))
        return tuple(
            ClassScore(self._name(index), index, score)
            for index, score in zip(indices.tolist(), scores.tolist(), strict=True)
        )

    def _name(self, index: int) -> str:
        return f"class {index}" if self.class_names is None else self.class_names[index]


class _Tally:
    """What the clips of a video come to."""

    def __init__(self, method: EnsembleMethod) -> None:
        self.clips: list[ClipPrediction] = []  # those that are kept
        self.num_clips = 0
        self._largest = method == "max"
        self._total_K = torch.zeros(())

    def add(self, scores_K: Tensor) -> None:
        """One more clip's probabilities (K,)."""
        self._total_K = torch.maximum(self._total_K, scores_K) if self._largest else self._total_K + scores_K
        self.num_clips += 1

    @property
    def scores(self) -> Tensor:
        """(K,): the mean probability, or the largest."""
        return self._total_K if self._largest else self._total_K / self.num_clips


def _checked(every_seconds: float | None) -> float | None:
    if every_seconds is not None and not 0 < every_seconds < inf:
        raise ValueError(f"clips every {every_seconds} seconds: expected a number above 0")
    return every_seconds


def _choose_readers(readers: int | None, device: torch.device) -> int:
    """A CPU that computes has no core to spare for more than one; a GPU sees faster than one core decodes."""
    if readers is None:
        return 1 if device.type == "cpu" else min(4, os.cpu_count() or 1)
    if readers < 1:
        raise ValueError(f"readers is {readers}, expected at least 1")
    return readers


def _describe(precision: str, device: torch.device, *, chosen: bool) -> str:
    """Where and how the model runs, for the log."""
    text = f"computing on {describe_device(device)} in {precision}"
    if chosen and precision == "bf16" and device.type == "cpu":
        return f"{text}, which this processor has in hardware; ask for fp32 if you want that"
    return text
