"""Logistic regression with many classes: the best linear classifier of given features, without chance.

The loss has one minimum, which L-BFGS finds in some dozens of passes; no rate, batch or schedule matters.

Axes: N rows, C width, K classes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

_ROWS = 1 << 16  # of one matrix product, which bounds the memory
_TOLERANCE = 1e-6  # of the largest gradient


@dataclass(frozen=True)
class Linear:
    """``x @ weight.T + bias``; weight (K, C), bias (K,)."""

    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """(..., C) to logits (..., K)."""
        return x @ self.weight.T + self.bias


def zeros(num_classes: int, width: int, dtype: torch.dtype = torch.float64) -> Linear:
    """The classifier that knows nothing."""
    return Linear(torch.zeros(num_classes, width, dtype=dtype), torch.zeros(num_classes, dtype=dtype))


@dataclass(frozen=True)
class Fit:
    """What a fit came to: the classifier, the loss without the penalty, and the passes over the rows."""

    linear: Linear
    loss: float
    passes: int


def fit_logistic(
    x_NC: Tensor,
    labels_N: Tensor,
    start: Linear,
    *,
    penalty: float,
    smoothing: float = 0.0,
    max_passes: int = 200,
    on_pass: Callable[[int], None] = lambda done: None,
) -> Fit:
    """Minimise ``mean cross entropy + penalty / 2 * |weight|^2``; the bias is free.

    Args:
        x_NC: Standardised, in float64 or float32.
        labels_N: int64, each in [0, K).
        start: Where to start, in the same dtype; it is not changed.
        penalty: Strength of the penalty, at least 0.
        smoothing: Share of each label that is spread over all classes.
        max_passes: The most passes over the rows.
        on_pass: Called with the passes done; may raise.
    """
    weight_KC, bias_K = start.weight.clone(), start.bias.clone()
    optimiser = torch.optim.LBFGS(
        [weight_KC, bias_K],
        max_iter=max_passes,
        max_eval=max_passes,
        tolerance_grad=_TOLERANCE,
        tolerance_change=1e-12,
        history_size=20,
        line_search_fn="strong_wolfe",
    )
    passes = 0

    def evaluate() -> Tensor:
        nonlocal passes
        loss, weight_KC.grad, bias_K.grad = _loss(x_NC, labels_N, Linear(weight_KC, bias_K), smoothing)
        weight_KC.grad += penalty * weight_KC
        passes += 1
        on_pass(passes)
        return loss + penalty / 2 * weight_KC.square().sum()

    optimiser.step(evaluate)  # type: ignore[no-untyped-call]
    linear = Linear(weight_KC, bias_K)
    return Fit(linear, float(_loss(x_NC, labels_N, linear, smoothing)[0]), passes)


@torch.no_grad()
def _loss(x_NC: Tensor, labels_N: Tensor, linear: Linear, smoothing: float) -> tuple[Tensor, Tensor, Tensor]:
    """The mean cross entropy, and its gradients by weight and bias."""
    loss = torch.zeros((), dtype=torch.float64)
    weight_grad_KC, bias_grad_K = torch.zeros_like(linear.weight), torch.zeros_like(linear.bias)
    for rows_NC, labels in zip(torch.split(x_NC, _ROWS), torch.split(labels_N, _ROWS), strict=True):
        log_NK = linear(rows_NC).log_softmax(dim=1)
        target_NK = torch.full_like(log_NK, smoothing / log_NK.shape[1])
        target_NK.scatter_add_(1, labels[:, None], torch.full_like(log_NK[:, :1], 1 - smoothing))
        loss -= (target_NK * log_NK).sum(dtype=torch.float64)
        error_NK = log_NK.exp() - target_NK
        weight_grad_KC += error_NK.T @ rows_NC
        bias_grad_K += error_NK.sum(dim=0)
    count = len(x_NC)
    return (loss / count).to(x_NC.dtype), weight_grad_KC / count, bias_grad_K / count
