"""Logistic regression: the minimum, by the gradient that autograd finds there."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from mvit_video.finetuning.head.logistic import Linear, fit_logistic, zeros


def problem(dtype=torch.float64, rows=60, width=5, classes=3):
    generator = torch.Generator().manual_seed(0)
    labels_N = torch.arange(rows) % classes
    centres_KC = torch.randn(classes, width, generator=generator)
    x_NC = centres_KC[labels_N] + torch.randn(rows, width, generator=generator)
    return x_NC.to(dtype), labels_N


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("penalty", [1.0, 0.01])
def test_the_gradient_is_nothing_at_the_end(smoothing, penalty):
    x_NC, labels_N = problem()
    fit = fit_logistic(x_NC, labels_N, zeros(3, 5), penalty=penalty, smoothing=smoothing)
    weight = fit.linear.weight.clone().requires_grad_()
    bias = fit.linear.bias.clone().requires_grad_()
    entropy = cross_entropy(x_NC @ weight.T + bias, labels_N, label_smoothing=smoothing)
    (entropy + penalty / 2 * weight.square().sum()).backward()
    assert weight.grad.abs().max() < 1e-5
    assert bias.grad.abs().max() < 1e-5
    assert fit.loss == pytest.approx(entropy.item())
    assert weight.abs().max() > 0.01


def test_where_it_starts_does_not_matter():
    x_NC, labels_N = problem()
    start = Linear(torch.full((3, 5), 2.0).double(), torch.tensor([5.0, -5.0, 0.0]).double())
    kept = start.weight.clone()
    one = fit_logistic(x_NC, labels_N, start, penalty=0.1)
    other = fit_logistic(x_NC, labels_N, zeros(3, 5), penalty=0.1)
    torch.testing.assert_close(one.linear.weight, other.linear.weight, atol=1e-4, rtol=1e-4)
    assert torch.equal(start.weight, kept)


def test_single_precision_finds_the_same():
    x_NC, labels_N = problem()
    double = fit_logistic(x_NC, labels_N, zeros(3, 5), penalty=0.03)
    single = fit_logistic(x_NC.float(), labels_N, zeros(3, 5, torch.float32), penalty=0.03)
    torch.testing.assert_close(single.linear.weight.double(), double.linear.weight, atol=1e-3, rtol=1e-3)


def test_rows_in_several_parts(monkeypatch):
    x_NC, labels_N = problem()
    whole = fit_logistic(x_NC, labels_N, zeros(3, 5), penalty=0.1, smoothing=0.1)
    monkeypatch.setattr("mvit_video.finetuning.head.logistic._ROWS", 7)
    parts = fit_logistic(x_NC, labels_N, zeros(3, 5), penalty=0.1, smoothing=0.1)
    torch.testing.assert_close(parts.linear.weight, whole.linear.weight, atol=1e-6, rtol=1e-6)


def test_passes_are_counted_and_limited():
    x_NC, labels_N = problem()
    told = []
    fit = fit_logistic(x_NC, labels_N, zeros(3, 5), penalty=0.001, max_passes=4, on_pass=told.append)
    assert told == list(range(1, fit.passes + 1))
    assert 2 <= fit.passes <= 5
    longer = fit_logistic(x_NC, labels_N, zeros(3, 5), penalty=0.001, max_passes=100)
    assert longer.loss < fit.loss
