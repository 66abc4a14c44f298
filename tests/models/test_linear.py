"""The linear layer that widens bfloat16, against float64, on any CPU."""

import pytest
import torch
from torch.nn import functional as F

from mvit_video.models import linear as module
from mvit_video.models.linear import Linear, linear, multiply


@pytest.fixture(params=["without bf16 instructions", "with bf16 instructions"])
def processor(request, monkeypatch):
    """Both kinds of CPU; pieces of a few rows."""
    monkeypatch.setattr(module, "has_fast_bfloat16", lambda: request.param.startswith("with "))
    monkeypatch.setattr(module, "PIECE_ELEMENTS", 1)  # pieces of 256 rows
    return request.param


def with_gradients(x, weight, bias, weights, function=linear):
    inputs = [t.detach().clone().requires_grad_() for t in (x, weight, bias) if t is not None]
    out = function(*inputs)
    return [out, *torch.autograd.grad(out, inputs, weights.to(out.dtype))]


def agree(ours, exact, dtypes):
    assert [t.dtype for t in ours] == dtypes
    for got, expected in zip(ours, exact, strict=True):
        # One rounding to 8 bits of what float32 sums exactly enough; float64 where nothing is rounded.
        limit = 2**-8 if got.dtype == torch.bfloat16 else 1e-5
        assert (got.double() - expected).abs().max() <= limit * expected.abs().max()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7,), (3, 5, 7), (2, 700, 7)])
def test_bfloat16_is_computed_as_exactly_as_it_can_be_written(processor, shape, bias):
    torch.manual_seed(0)
    x, weight = torch.randn(*shape).bfloat16(), torch.randn(11, 7).bfloat16()
    bias = torch.randn(11).bfloat16() if bias else None
    weights = torch.randn(*shape[:-1], 11).bfloat16()
    ours = with_gradients(x, weight, bias, weights)
    doubles = [None if t is None else t.double() for t in (x, weight, bias)]
    exact = with_gradients(*doubles, weights, F.linear)
    agree(ours, exact, [torch.bfloat16] * len(exact))


def test_autocast_gives_bfloat16_and_gradients_in_the_dtypes_of_what_came_in(monkeypatch):
    monkeypatch.setattr(module, "has_fast_bfloat16", lambda: False)
    torch.manual_seed(0)
    x, weight, bias = torch.randn(2, 300, 7).bfloat16(), torch.randn(11, 7), torch.randn(11)
    weights = torch.randn(2, 300, 11).bfloat16()
    exact = with_gradients(x.double(), weight.double(), bias.double(), weights, F.linear)
    for dtype in (torch.bfloat16, torch.float32):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            ours = with_gradients(x.to(dtype), weight, bias, weights)
        agree(ours, exact, [torch.bfloat16, dtype, torch.float32, torch.float32])


@pytest.mark.parametrize("autocast", [False, True])
def test_only_bfloat16_is_kept_for_the_backward_pass(monkeypatch, autocast):
    monkeypatch.setattr(module, "has_fast_bfloat16", lambda: False)
    dtype = torch.float32 if autocast else torch.bfloat16
    layer = Linear(8, 4, dtype=dtype)
    kept = []

    def keep(tensor):
        kept.append(tensor.dtype if tensor is not layer.weight else None)
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with hooks, torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        layer(torch.randn(5, 8, dtype=dtype))
    assert kept == [torch.bfloat16, None]


def test_other_dtypes_are_torchs_product(processor):
    weight = torch.randn(5, 7)
    for dtype in (torch.float32, torch.float64, torch.float16):
        x = torch.randn(3, 7).to(dtype)
        assert torch.equal(linear(x, weight.to(dtype)), F.linear(x, weight.to(dtype)))
    with torch.autocast("cpu", dtype=torch.float16):
        assert linear(torch.randn(3, 7), weight).dtype == torch.float16


def test_views_and_no_rows_at_all(processor):
    weight = torch.randn(5, 7).bfloat16()
    x = torch.randn(2, 7, 300).bfloat16().transpose(1, 2)
    torch.testing.assert_close(
        linear(x, weight).float(), x.float() @ weight.float().t(), rtol=1e-2, atol=1e-2
    )
    assert linear(x[:, :0], weight).shape == (2, 0, 5)


def test_frozen_weights_get_no_gradient(processor):
    layer = Linear(7, 5, dtype=torch.bfloat16).requires_grad_(False)
    x = torch.randn(4, 7).bfloat16().requires_grad_()
    layer(x).sum().backward()
    assert layer.weight.grad is None
    torch.testing.assert_close(x.grad, layer.weight.sum(dim=0).expand(4, 7), rtol=1e-2, atol=1e-2)


def test_a_second_derivative_is_refused(monkeypatch):
    monkeypatch.setattr(module, "has_fast_bfloat16", lambda: False)
    x = torch.randn(4, 7).bfloat16().requires_grad_()
    out = linear(x, torch.randn(5, 7).bfloat16())
    (gradient,) = torch.autograd.grad(out.square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@pytest.fixture
def convolutions(monkeypatch):
    """The rows of each convolution, on a processor of AMD's with bfloat16 instructions."""
    monkeypatch.setattr(module, "is_made_by_amd", lambda: True)
    monkeypatch.setattr(module, "has_fast_bfloat16", lambda: True)
    rows, conv2d = [], F.conv2d

    def convolve(x_1I1L, *others):
        rows.append(x_1I1L.shape[3])
        return conv2d(x_1I1L, *others)

    monkeypatch.setattr(F, "conv2d", convolve)
    return rows


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("features_in", "features_out"), [(96, 40), (7, 1), (1, 9)])
def test_a_convolution_gives_the_same_matrix(convolutions, features_in, features_out, dtype, bias):
    torch.manual_seed(0)
    x, weight = torch.randn(2, 1100, features_in).to(dtype), torch.randn(features_out, features_in).to(dtype)
    bias = torch.randn(features_out).to(dtype) if bias else None
    with torch.inference_mode():
        out = linear(x, weight, bias)
    assert convolutions == [2200]
    exact = F.linear(x.double(), weight.double(), None if bias is None else bias.double())
    assert out.shape == exact.shape
    assert out.is_contiguous()
    agree([out], [exact], [dtype])


def test_a_convolution_follows_autocast(convolutions):
    torch.manual_seed(0)
    x, weight, bias = torch.randn(1200, 7), torch.randn(11, 7), torch.randn(11)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        out = multiply(x, weight, bias, 1200)
    assert convolutions == [1200]
    rounded = [t.bfloat16().double() for t in (x, weight, bias)]
    agree([out], [F.linear(*rounded)], [torch.bfloat16])


def test_what_is_no_convolution(convolutions, monkeypatch):
    """Few tokens, other dtypes, other processors, and what is differentiated."""
    x, weight = torch.randn(1, 1200, 7), torch.randn(11, 7, requires_grad=True)
    linear(x, weight).sum().backward()
    assert weight.grad is not None
    with torch.no_grad():
        linear(x[:, :1000], weight)
        linear(torch.randn(9, 1000, 7), weight)  # clips do not change each other
        linear(x[0], weight)
        linear(x.double(), weight.double())
        linear(x.mT.contiguous().mT, weight)
        with torch.autocast("cpu", dtype=torch.float16):
            linear(x, weight)
        monkeypatch.setattr(module, "is_made_by_amd", lambda: False)
        linear(x, weight)
    assert convolutions == []
