"""The best linear head for given features, of several that are punished more or less for large weights.

Axes: N videos, V views, R = N * V rows, C width, K classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mvit_video.engine.testing.ensemble import EnsembleMethod
from mvit_video.engine.testing.metrics import topk_correct
from mvit_video.finetuning.head.features import Features
from mvit_video.finetuning.head.logistic import Linear, fit_logistic, zeros

# Strongest first: each fit starts where the one before it ended.
PENALTIES = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001)
PENALTY = 0.03  # where there are no videos to choose by
_SMALL = 1 << 26  # numbers; more are not worth their memory in double precision
_FLAT = 1e-6  # of the widest spread: a feature that does not change


@dataclass(frozen=True)
class Candidate:
    """A head, for features as they come out of the backbone.

    Attributes:
        linear: float32.
        penalty: With which it was trained.
        passes: Over the training features, with those of the candidates before it.
        loss: Its cross entropy on the training views, labels smoothed.
        val_top1: In percent; None without val videos.
        val_loss: Mean negative log-likelihood of the val videos; None likewise.
    """

    linear: Linear
    penalty: float
    passes: int
    loss: float
    val_top1: float | None = None
    val_loss: float | None = None


def train_head(
    train: Features,
    val: Features | None,
    num_classes: int,
    *,
    penalties: Sequence[float] = PENALTIES,
    smoothing: float = 0.1,
    max_passes: int = 200,
    method: EnsembleMethod = "sum",
    on_pass: Callable[[int], None] = lambda done: None,
) -> list[Candidate]:
    """Train a head with each strength of the penalty, on standardised features; no chance is involved.

    Args:
        train: To learn from; each view is a row.
        val: To choose by, if there are any.
        num_classes: K.
        penalties: Strengths, best from strong to weak, as each fit starts where the one before it ended.
        smoothing: Share of each label that is spread over all classes.
        max_passes: The most passes over the features for each strength.
        method: How the views of a val video are joined.
        on_pass: Called with the passes done for all strengths; may raise.

    Returns:
        The candidates; the one first under which the labels of the val videos are likeliest, which tells more
        than how many of a few are right.
    """
    x_RC = train.features.flatten(0, 1)
    labels_R = train.labels.repeat_interleave(train.features.shape[1])
    x_RC = x_RC.double() if x_RC.numel() <= _SMALL else x_RC
    mean_C, std_C = x_RC.mean(dim=0), x_RC.std(dim=0, correction=0)
    std_C = torch.where(std_C > _FLAT * std_C.max(), std_C, torch.ones_like(std_C))
    x_RC = x_RC.sub(mean_C).div_(std_C)
    linear = zeros(num_classes, x_RC.shape[1], x_RC.dtype)
    candidates, passes = [], 0
    for number, penalty in enumerate(penalties):
        fit = fit_logistic(
            x_RC,
            labels_R,
            linear,
            penalty=penalty,
            smoothing=smoothing,
            max_passes=max_passes,
            on_pass=lambda done, before=number * max_passes: on_pass(before + done),  # type: ignore[misc]
        )
        linear, passes = fit.linear, passes + fit.passes
        plain = _unstandardised(linear, mean_C, std_C)
        top1, loss = (None, None) if val is None or not val.paths else score(plain, val, method)
        candidates.append(Candidate(plain, penalty, passes, fit.loss, top1, loss))
    return sorted(candidates, key=lambda candidate: candidate.val_loss or 0.0)


def score(linear: Linear, videos: Features, method: EnsembleMethod) -> tuple[float, float]:
    """Top-1 in percent and mean negative log-likelihood of videos, their views joined as a test does."""
    probabilities_NVK = linear(videos.features).softmax(dim=2)
    scores_NK = probabilities_NVK.mean(dim=1) if method == "sum" else probabilities_NVK.amax(dim=1)
    own_N = scores_NK.gather(1, videos.labels[:, None]).clamp_min(1e-30)
    (right,) = topk_correct(scores_NK, videos.labels, (1,))
    return 100 * right / len(videos.paths), -float(own_N.log().mean())


def _unstandardised(linear: Linear, mean_C: Tensor, std_C: Tensor) -> Linear:
    """The same classifier for features that are not standardised, float32."""
    weight_KC = linear.weight / std_C
    return Linear(weight_KC.float(), (linear.bias - weight_KC @ mean_C).float())
