"""Scoring videos over several views. Axes: V views, K classes, views (V, 3, T, H, W)."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from mvit_video.data import TestSample, TestVideos, VideoRecord, merge_shards, normalise, test_loader
from mvit_video.engine.device import Precision, autocast
from mvit_video.engine.errors import Stopped
from mvit_video.engine.processes.group import ALONE, Group
from mvit_video.engine.processes.parallel import whole_model
from mvit_video.engine.stopping import signal_seen
from mvit_video.engine.testing.ensemble import EnsembleMethod, ensemble_views
from mvit_video.engine.testing.metrics import topk_correct
from mvit_video.engine.testing.results import TestResult, VideoResult

T = TypeVar("T")


@dataclass(frozen=True)
class ViewScorer:
    """Runs a model on batches of views.

    Attributes:
        model: gives logits; it is used in eval mode and put back as it was.
        mean: per channel, of values in 0-1.
        std: likewise.
        device: where the model is.
        precision: of the forward pass.
        views_per_batch: the most views in one forward, which bounds the memory.
        method: how views are joined.
    """

    model: nn.Module
    mean: Sequence[float]
    std: Sequence[float]
    device: torch.device
    precision: Precision = "fp32"
    views_per_batch: int = 8
    method: EnsembleMethod = "sum"

    @torch.inference_mode()
    def logits(self, views: Tensor) -> Tensor:
        """Logits, float32 (V, K) on the CPU, of uint8 views (V, 3, T, H, W)."""
        was_training = self.model.training
        self.model.eval()
        try:
            return torch.cat([self._forward(part) for part in torch.split(views, self.views_per_batch)])
        finally:
            self.model.train(was_training)

    def _forward(self, views: Tensor) -> Tensor:
        weight = next(self.model.parameters(), None)
        dtype = torch.float32 if weight is None else weight.dtype
        clips = normalise(views.to(self.device, non_blocking=True), self.mean, self.std, dtype)
        with autocast(self.device, self.precision):
            logits: Tensor = self.model(clips)
        return logits.float().cpu()


def evaluate(
    scorer: ViewScorer,
    dataset: TestVideos,
    *,
    num_workers: int = 0,
    timeout_seconds: float = 60.0,
    progress: Callable[[int], None] = lambda done: None,
    group: Group = ALONE,
) -> TestResult:
    """Score every video of a data set over all its views and count the right ones.

    A video is decoded once for all its views, by one of the processes. One that cannot be read is listed,
    never replaced, and does not count towards the accuracy.

    Args:
        scorer: the model and how to run it; a sharded model is put together first.
        dataset: the videos and their views.
        num_workers: processes that decode; 0 decodes here.
        timeout_seconds: the longest that a worker may take for one video.
        progress: called with the number of videos done, by all processes if they are equally fast.
        group: the processes that share the videos; all of them have to call this, and each gets the result.

    Raises:
        Stopped: a signal asked one of the processes to leave.
    """
    scorer = replace(scorer, model=whole_model(scorer.model))
    rows: list[tuple[int, VideoResult]] = []
    samples = test_loader(
        dataset,
        num_workers=num_workers,
        timeout_seconds=timeout_seconds,
        rank=group.rank,
        world_size=group.world_size,
    )
    with closing(samples):
        for sample, logits_VK in score_views(scorer, map(_without_views, samples)):
            rows.append((sample.index, _row(dataset.records[sample.index], sample, logits_VK, scorer.method)))
            progress(min(len(rows) * group.world_size, len(dataset)))
            if signal_seen() is not None:
                break
    signals, shards = zip(*group.gather((signal_seen(), rows), patiently=True), strict=True)
    num_done, seen = sum(map(len, shards)), [number for number in signals if number is not None]
    if seen and num_done < len(dataset):
        raise Stopped(seen[0], f"after {num_done} of {len(dataset)} videos")
    return summarise(merge_shards(shards, len(dataset)))


def _row(
    record: VideoRecord, sample: TestSample, logits_VK: Tensor | None, method: EnsembleMethod
) -> VideoResult:
    """What came of a video."""
    if logits_VK is None:
        return VideoResult(record.path, record.label, None, 0, sample.error)
    scores_K = ensemble_views(logits_VK, method)
    if method == "sum":
        scores_K = scores_K / len(logits_VK)
    damage = "; ".join(damaged.reason for damaged in sample.damaged) or None
    return VideoResult(record.path, record.label, scores_K, len(logits_VK), damage=damage)


def _without_views(sample: TestSample) -> tuple[TestSample, Tensor | None]:
    """The sample apart from its views, so that it does not keep them."""
    return replace(sample, views=None), sample.views


def summarise(rows: Sequence[VideoResult]) -> TestResult:
    """Count over the rows of a test run."""
    scored = [row for row in rows if row.scores is not None]
    labelled = [(row.scores, row.label) for row in scored if row.scores is not None and row.label is not None]
    top1 = top5 = None
    if labelled:
        scores_NK = torch.stack([scores for scores, _ in labelled])
        labels_N = torch.tensor([label for _, label in labelled])
        top1, top5 = (100 * count / len(labelled) for count in topk_correct(scores_NK, labels_N, (1, 5)))
    return TestResult(
        top1=top1,
        top5=top5,
        num_videos=len(scored),
        num_views=sum(row.num_views for row in scored),
        unreadable=tuple((row.path, row.error or "") for row in rows if row.scores is None),
        rows=tuple(rows),
    )


def score_views(
    scorer: ViewScorer, items: Iterable[tuple[T, Tensor | None]]
) -> Iterator[tuple[T, Tensor | None]]:
    """Each item with the logits of its views, in order, as soon as they are known.

    Views of neighbouring items share a forward pass, so that videos with one view fill a batch too.

    Args:
        scorer: the model and how to run it.
        items: anything, with uint8 views (V, 3, T, H, W), which are let go of when they are scored, or None.

    Yields:
        The same, with logits (V, K) in place of the views; None stays None.
    """
    waiting: deque[_Item[T]] = deque()  # in order
    queue: list[tuple[_Item[T], Tensor]] = []  # views that no pass has scored yet

    def run_queue() -> None:
        logits = scorer.logits(torch.cat([views for _, views in queue]))
        parts = torch.split(logits, [len(views) for _, views in queue])
        for (item, _), part in zip(queue, parts, strict=True):
            item.logits.append(part)
        queue.clear()

    for what, views in items:
        waiting.append(_Item(what, 0 if views is None else len(views)))
        while views is not None and len(views):
            room = scorer.views_per_batch - sum(len(part) for _, part in queue)
            queue.append((waiting[-1], views[:room]))
            views = views[room:]
            if len(queue[-1][1]) == room:
                run_queue()
        while waiting and waiting[0].is_complete:
            yield waiting.popleft().result()
    if queue:
        run_queue()
    for item in waiting:
        yield item.result()


@dataclass
class _Item(Generic[T]):
    """Something on its way through the model."""

    what: T
    num_views: int
    logits: list[Tensor] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        return sum(map(len, self.logits)) == self.num_views

    def result(self) -> tuple[T, Tensor | None]:
        return self.what, torch.cat(self.logits) if self.logits else None
