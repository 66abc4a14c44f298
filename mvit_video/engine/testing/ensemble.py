"""From the logits of a video's views to one score per class. Axes: V views, K classes."""

from typing import Literal

from torch import Tensor

EnsembleMethod = Literal["sum", "max"]


def ensemble_views(logits_VK: Tensor, method: EnsembleMethod = "sum") -> Tensor:
    """Softmax each view, then sum (or take the largest) over the views.

    Not the mean of the logits, and not the softmax of a mean: confident views weigh no more than 1.

    Args:
        logits_VK: float (V, K) with V >= 1.
        method: "sum" (scores add up to V) or "max" (DATA.ENSEMBLE_METHOD).

    Returns:
        float32 (K,) scores.

    Raises:
        ValueError: another method, or no view.

    Source: SlowFast, slowfast/utils/meters.py (TestMeter) and slowfast/models/head_helper.py.
    """
    if logits_VK.ndim != 2 or logits_VK.shape[0] == 0:
        raise ValueError(
            f"ensemble_views got logits of shape {tuple(logits_VK.shape)}, expected (views, classes)"
        )
    probabilities_VK = logits_VK.float().softmax(dim=1)
    if method == "sum":
        return probabilities_VK.sum(dim=0)
    if method == "max":
        return probabilities_VK.amax(dim=0)
    raise ValueError(f"DATA.ENSEMBLE_METHOD is {method!r}, expected sum or max")
