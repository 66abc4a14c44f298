"""What a test says about a model, and how sure it can be. Axes: K classes, true in rows, given in columns."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvit_video.engine.testing.metrics import top_classes
from mvit_video.engine.testing.results import TestResult

_Z_95 = 1.959963984540054  # of the normal distribution, within +- of which 95 % lie


@dataclass(frozen=True)
class Share:
    """How many of how many, with the interval that holds the true share in 95 of 100 tests."""

    correct: int
    total: int

    @property
    def percent(self) -> float:
        """The share; 0 of 0 is 0."""
        return 100 * self.correct / self.total if self.total else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's score interval in percent; 0 to 100 where there was nothing to count.

        Source: Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
        """
        if not self.total:
            return 0.0, 100.0
        share, count = self.correct / self.total, self.total
        centre = share + _Z_95**2 / (2 * count)
        spread = _Z_95 * math.sqrt(share * (1 - share) / count + _Z_95**2 / (4 * count**2))
        scale = 100 / (1 + _Z_95**2 / count)
        return max(0.0, scale * (centre - spread)), min(100.0, scale * (centre + spread))

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.percent:.1f} % ({self.correct} of {self.total}; 95 % interval {low:.1f} to {high:.1f})"


@dataclass(frozen=True)
class ClassAccuracy:
    """How one class fared: its share, and what it was taken for most often, if for anything."""

    name: str
    share: Share
    taken_for: str
    times: int


def confusion(result: TestResult, num_classes: int) -> NDArray[np.int64]:
    """How often each class (K rows) was given as each (K columns), over the videos that were read."""
    counts = np.zeros((num_classes, num_classes), np.int64)
    for row in result.rows:
        if row.scores is not None and row.label is not None:
            counts[row.label, top_classes(row.scores, 1)[0]] += 1
    return counts


def overall(counts: NDArray[np.int64]) -> Share:
    """Over all classes together."""
    return Share(int(np.trace(counts)), int(counts.sum()))


def by_class(counts: NDArray[np.int64], names: Sequence[str]) -> list[ClassAccuracy]:
    """Of each class, in their order."""
    found = []
    for index, name in enumerate(names):
        wrong = counts[index].copy()
        wrong[index] = 0
        worst = int(wrong.argmax())
        times = int(wrong[worst])
        share = Share(int(counts[index, index]), int(counts[index].sum()))
        found.append(ClassAccuracy(name, share, names[worst] if times else "", times))
    return found


def mean_of_classes(classes: Sequence[ClassAccuracy]) -> float:
    """The mean of the classes' accuracies in percent, over those that have videos."""
    measured = [one.share.percent for one in classes if one.share.total]
    return sum(measured) / len(measured) if measured else 0.0
