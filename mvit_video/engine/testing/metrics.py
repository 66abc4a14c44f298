"""Counting right answers. Axes: N videos, K classes."""

from collections.abc import Sequence

import torch
from torch import Tensor


def label_ranks(scores_NK: Tensor, labels_N: Tensor) -> Tensor:
    """The place of each label among its row's scores, 0 for the best.

    Equal scores rank by class index, so that the answer does not depend on a sorting routine; a row with a
    NaN ranks last.

    Args:
        scores_NK: float (N, K), higher is better.
        labels_N: int64 (N,), each in [0, K).

    Returns:
        int64 (N,), each in [0, K).
    """
    num_classes = scores_NK.shape[1]
    own_N1 = scores_NK.gather(1, labels_N[:, None])
    class_index_K = torch.arange(num_classes, device=scores_NK.device)
    ahead_NK = (scores_NK > own_N1) | ((scores_NK == own_N1) & (class_index_K < labels_N[:, None]))
    ranks_N = ahead_NK.sum(dim=1)
    return torch.where(scores_NK.isnan().any(dim=1), num_classes - 1, ranks_N)


def topk_correct(scores_NK: Tensor, labels_N: Tensor, ks: Sequence[int] = (1, 5)) -> tuple[int, ...]:
    """How many rows have their label among the k best scores, for each k.

    With fewer than k classes every row counts, unless it holds a NaN.

    Args:
        scores_NK: float (N, K).
        labels_N: int64 (N,).
        ks: the numbers of best scores to look among.
    """
    ranks_N = label_ranks(scores_NK, labels_N)
    readable_N = ~scores_NK.isnan().any(dim=1)
    return tuple(int(((ranks_N < k) & readable_N).sum()) for k in ks)


def top_classes(scores_K: Tensor, k: int) -> list[int]:
    """Indices of the k best scores, best first; equal scores by class index."""
    return torch.argsort(scores_K, descending=True, stable=True)[:k].tolist()
