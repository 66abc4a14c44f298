"""Counting a test's answers, and how sure they are."""

import numpy as np
import pytest
import torch

from mvit_video.engine.testing.results import TestResult, VideoResult
from mvit_video.finetuning.reporting.accuracy import Share, by_class, confusion, mean_of_classes, overall


def result(*answers):
    """A test of (true class, given class or None) of three classes."""
    rows = []
    for label, given in answers:
        scores = None if given is None else torch.nn.functional.one_hot(torch.tensor(given), 3).float()
        rows.append(VideoResult("v.mp4", label, scores, 1, None if given is not None else "unreadable"))
    return TestResult(None, None, len(rows), len(rows), (), tuple(rows))


# R's prop.test(x, n, correct = FALSE)$conf.int, and the closed form in Brown, Cai and DasGupta, "Interval
# estimation for a binomial proportion", 2001.
@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    [(0, 10, 0, 27.75), (10, 10, 72.25, 100), (5, 10, 23.66, 76.34), (81, 100, 72.22, 87.49)],
)
def test_the_interval(correct, total, low, high):
    assert Share(correct, total).interval == pytest.approx((low, high), abs=0.01)


def test_the_interval_covers_the_truth_in_95_of_100_tests():
    rng = np.random.default_rng(0)
    covered = []
    for truth in (0.5, 0.7, 0.9):
        for correct in rng.binomial(40, truth, 2000):
            low, high = Share(int(correct), 40).interval
            covered.append(low <= 100 * truth <= high)
    assert 0.93 < np.mean(covered) < 0.97


def test_nothing_counted():
    assert (Share(0, 0).percent, Share(0, 0).interval) == (0.0, (0.0, 100.0))


def test_a_share_in_words():
    assert str(Share(81, 100)) == "81.0 % (81 of 100; 95 % interval 72.2 to 87.5)"


def test_what_is_taken_for_what():
    counts = confusion(result((0, 0), (0, 1), (0, 1), (0, 2), (1, 1), (2, None), (None, 2)), 3)
    assert counts.tolist() == [[1, 2, 1], [0, 1, 0], [0, 0, 0]]
    assert overall(counts) == Share(2, 5)
    first, second, third = by_class(counts, ("a", "b", "c"))
    assert (first.share, first.taken_for, first.times) == (Share(1, 4), "b", 2)
    assert (second.share, second.taken_for, second.times) == (Share(1, 1), "", 0)
    assert third.share == Share(0, 0)
    assert mean_of_classes((first, second, third)) == pytest.approx(62.5)  # the unmeasured one does not count
