"""Mixup and CutMix of clips and their labels.

A group of clips is mixed with itself in reverse order, all with one weight: clip i with clip n - 1 - i.

Source: SlowFast slowfast/datasets/mixup.py; mixup (arXiv 1710.09412), CutMix (arXiv 1905.04899).
Axes: B batch, G group, C = 3 colours, T frames, H height, W width, K classes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mvit_video.data.augment.placements import Box


@dataclass(frozen=True, slots=True)
class Mix:
    """How a group is mixed.

    Args:
        lam: Weight of a clip's own label; its partner's is 1 - lam. 1: not mixed.
        box: Where the partner's pixels stand in all frames (CutMix); None: whole clips are averaged (mixup).
    """

    lam: float = 1.0
    box: Box | None = None

    def apply_(self, clips_GCTHW: torch.Tensor) -> None:
        """Mixes a group in place: floats (G, 3, T, H, W)."""
        if self.box is not None:
            rows = slice(self.box.top, self.box.top + self.box.height)
            columns = slice(self.box.left, self.box.left + self.box.width)
            part = clips_GCTHW[..., rows, columns]
            part.copy_(part.flip(0))
        elif self.lam != 1:
            partners = clips_GCTHW.flip(0).mul_(1 - self.lam)
            clips_GCTHW.mul_(self.lam).add_(partners)


@dataclass(frozen=True)
class Mixing:
    """Draws how groups are mixed.

    Args:
        alpha: Of the symmetric Beta distribution that mixup's weight is drawn from; 0: no mixup.
        cutmix_alpha: The same for CutMix; 0: no CutMix.
        prob: Probability that a group is mixed; 0 leaves label smoothing alone.
        switch_prob: Probability of CutMix rather than mixup where both are on.
    """

    alpha: float = 0.8
    cutmix_alpha: float = 1.0
    prob: float = 1.0
    switch_prob: float = 0.5

    def __post_init__(self) -> None:
        for name in ("prob", "switch_prob"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected a probability, 0 to 1")
        for name in ("alpha", "cutmix_alpha"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 0 or more")

    def draw(self, generator: np.random.Generator, height: int, width: int) -> Mix:
        """Draws for one group of clips of this size; the weight is that of the area really cut."""
        if not generator.random() < self.prob or not (self.alpha or self.cutmix_alpha):
            return Mix()
        cuts = not self.alpha
        if self.alpha and self.cutmix_alpha:
            cuts = generator.random() < self.switch_prob
        alpha = self.cutmix_alpha if cuts else self.alpha
        lam = float(generator.beta(alpha, alpha))
        if not cuts or lam == 1:
            return Mix(lam)
        box = _draw_box(generator, lam, height, width)
        return Mix(1 - box.height * box.width / (height * width), box)


def _draw_box(generator: np.random.Generator, lam: float, height: int, width: int) -> Box:
    """A box of about 1 - lam of the area around a random point, clipped at the borders."""
    share = math.sqrt(1 - lam)
    half_height, half_width = int(height * share) // 2, int(width * share) // 2
    row, column = int(generator.integers(0, height)), int(generator.integers(0, width))
    top, bottom = max(row - half_height, 0), min(row + half_height, height)
    left, right = max(column - half_width, 0), min(column + half_width, width)
    return Box(top, left, bottom - top, right - left)


def soft_targets(
    labels: torch.Tensor,
    num_classes: int,
    *,
    smoothing: float = 0.0,
    mixes: Sequence[Mix] = (),
    group_size: int = 1,
) -> torch.Tensor:
    """Smoothed and mixed labels, on the labels' device: float32 (B, K), each row adding up to 1.

    Args:
        labels: int64 (B,).
        num_classes: K.
        smoothing: Share of each label that is spread over all classes.
        mixes: One per group of ``group_size`` labels; none at all: nothing is mixed.
        group_size: Of the groups, in clips.

    Raises:
        ValueError: The groups do not add up to the batch.
    """
    check_groups(len(labels), mixes, group_size)
    off = smoothing / num_classes
    targets_BK = torch.full((len(labels), num_classes), off, device=labels.device)
    targets_BK.scatter_(1, labels.view(-1, 1).long(), 1 - smoothing + off)
    for group, mix in enumerate(mixes):
        own = targets_BK[group * group_size : (group + 1) * group_size]
        own.copy_(own * mix.lam + own.flip(0) * (1 - mix.lam))
    return targets_BK


def check_groups(batch_size: int, mixes: Sequence[Mix], group_size: int) -> None:
    """Raise where groups and batch do not fit."""
    if mixes and len(mixes) * group_size != batch_size:
        raise ValueError(
            f"there are {len(mixes)} mixes of {group_size} clips each, expected {batch_size} clips in all"
        )
