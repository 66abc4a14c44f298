"""Heads for given features: exact, chosen by val videos, for features as they come."""

from itertools import pairwise

import pytest
import torch

from mvit_video.finetuning.head.features import Features
from mvit_video.finetuning.head.fitting import PENALTIES, PENALTY, score, train_head
from mvit_video.finetuning.head.logistic import Linear


def drawn(seed, videos=30, views=4, width=12, classes=3, spread=1.5):
    """Features of classes that overlap; widths of very different spread and place."""
    generator = torch.Generator().manual_seed(seed)
    labels_N = torch.arange(videos) % classes
    centres_KC = torch.randn(classes, width, generator=torch.Generator().manual_seed(99))
    videos_NC = centres_KC[labels_N] + spread * torch.randn(videos, width, generator=generator)
    features_NVC = videos_NC[:, None] + 0.3 * torch.randn(videos, views, width, generator=generator)
    scales_C = torch.logspace(-2, 2, width)
    return Features(features_NVC * scales_C + 3 * scales_C, labels_N, tuple(map(str, range(videos))))


def test_the_same_features_give_the_same_head():
    one, other = (train_head(drawn(0), drawn(1), 3) for _ in range(2))
    for a, b in zip(one, other, strict=True):
        assert torch.equal(a.linear.weight, b.linear.weight)
        assert (a.penalty, a.val_top1, a.val_loss, a.passes) == (b.penalty, b.val_top1, b.val_loss, b.passes)


def test_the_place_and_spread_of_features_do_not_matter():
    """So they were standardised, and the head does it for features as they come."""
    train, val = drawn(0), drawn(1)
    moved = Features(train.features * 7 - 20, train.labels, train.paths)
    for penalty in (1.0, 0.01):
        (one,) = train_head(train, None, 3, penalties=[penalty])
        (other,) = train_head(moved, None, 3, penalties=[penalty])
        logits, same = one.linear(val.features), other.linear(val.features * 7 - 20)
        assert logits.std() > 0.1
        torch.testing.assert_close(same, logits, atol=2e-3, rtol=1e-3)


def test_a_stronger_penalty_fits_less():
    candidates = sorted(train_head(drawn(0), None, 3), key=lambda candidate: -candidate.penalty)
    assert [candidate.penalty for candidate in candidates] == list(PENALTIES)
    assert all(strong.loss > weak.loss for strong, weak in pairwise(candidates))


def test_val_videos_choose():
    train, val = drawn(0, spread=2.5), drawn(1, spread=2.5)
    candidates = train_head(train, val, 3)
    for candidate in candidates:
        logits_NVK = val.features @ candidate.linear.weight.T + candidate.linear.bias
        mean_NK = logits_NVK.exp().div(logits_NVK.exp().sum(-1, keepdim=True)).mean(1)
        right = (mean_NK.argmax(1) == val.labels).double().mean()
        assert candidate.val_top1 == pytest.approx(100 * float(right))
        likelihoods = mean_NK[torch.arange(len(val.labels)), val.labels]
        assert candidate.val_loss == pytest.approx(-float(likelihoods.log().mean()), rel=1e-4)
    scores = {candidate.val_top1 for candidate in candidates}
    assert len(scores) > 1
    losses = [candidate.val_loss for candidate in candidates]
    assert losses == sorted(losses)
    assert losses[0] < losses[-1]


def test_views_are_joined_as_a_test_joins_them():
    """Four views are rather sure of class 0, and one is very sure of class 1, as is the mean logit."""
    linear = Linear(torch.eye(2), torch.zeros(2))
    features = torch.tensor([[[0.0, 5.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]])
    video = Features(features, torch.tensor([0]), ("a",))
    assert score(linear, video, "sum")[0] == 100.0
    assert score(linear, video, "max")[0] == 0.0
    assert features.mean(1).argmax() == 1


def test_a_feature_that_never_changes():
    train = drawn(0)
    train.features[:, :, 4] = 1234.5
    for candidate in train_head(train, drawn(1), 3):
        assert candidate.linear.weight.isfinite().all()
        assert candidate.linear.bias.isfinite().all()
        assert candidate.linear.weight[:, 4].abs().max() < 1e-6


def test_one_video_of_each_class():
    train = drawn(0, videos=3, views=1)
    best = train_head(train, None, 3, penalties=[PENALTY])[0]
    assert score(best.linear, train, "sum")[0] == 100.0
