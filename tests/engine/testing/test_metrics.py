"""Counting right answers, ties and all, and joining views."""

import pytest
import torch

from mvit_video.engine.testing.ensemble import ensemble_views
from mvit_video.engine.testing.metrics import label_ranks, top_classes, topk_correct


def test_counts_labels_among_the_best():
    scores = torch.tensor([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2], [0.2, 0.3, 0.5]])
    assert label_ranks(scores, torch.tensor([2, 1, 0])).tolist() == [0, 1, 2]
    assert topk_correct(scores, torch.tensor([2, 1, 0]), (1, 2, 3)) == (1, 2, 3)


def test_equal_scores_rank_by_class_index_so_a_constant_model_is_right_for_one_class_only():
    scores = torch.zeros(4, 4)
    assert label_ranks(scores, torch.arange(4)).tolist() == [0, 1, 2, 3]
    assert topk_correct(scores, torch.arange(4), (1, 2)) == (1, 2)
    assert top_classes(scores[0], 3) == [0, 1, 2]


def test_nan_is_never_right():
    scores = torch.full((2, 3), float("nan"))
    assert topk_correct(scores, torch.tensor([0, 2]), (1, 5)) == (0, 0)


def test_more_places_than_classes():
    assert topk_correct(torch.tensor([[0.4, 0.6]]), torch.tensor([0]), (1, 5)) == (0, 1)


def test_softmax_comes_before_the_sum():
    # Two unsure views of class 1 and one that is very sure of class 0: mean logits would say 0.
    logits = torch.tensor([[20.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    third = 1 / (1 + 2.718281828459045)
    expected = torch.tensor([1 + 2 * third, 2 * (1 - third)])
    scores = ensemble_views(logits)
    torch.testing.assert_close(scores, expected, rtol=0, atol=1e-6)
    assert scores.sum() == pytest.approx(3)


def test_one_confident_view_outweighs_nothing_more_than_1():
    logits = torch.tensor([[100.0, 0.0], [0.0, 2.0], [0.0, 2.0]])
    assert ensemble_views(logits).argmax() == 1
    assert logits.mean(0).argmax() == 0


def test_max_takes_the_best_view_of_each_class():
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    expected = torch.stack([logits[0].softmax(0), logits[1].softmax(0)]).amax(0)
    torch.testing.assert_close(ensemble_views(logits, "max"), expected)


def test_half_precision_logits_are_joined_in_float32():
    assert ensemble_views(torch.zeros(3, 7, dtype=torch.bfloat16)).dtype == torch.float32


def test_wrong_methods_and_shapes_are_refused():
    with pytest.raises(ValueError, match=r"DATA.ENSEMBLE_METHOD is 'mean', expected sum or max"):
        ensemble_views(torch.zeros(1, 2), "mean")
    with pytest.raises(ValueError, match=r"shape \(0, 2\), expected \(views, classes\)"):
        ensemble_views(torch.zeros(0, 2))
