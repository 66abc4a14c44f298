"""The pooling convolution and its gradients, held to torch's, which work head by head in the plain layout."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from mvit_video.models import depthwise
from mvit_video.models.depthwise import depthwise_conv3d

HEADS, HEAD_DIM = 2, 3


def reference(x_BCTHW, weight, stride):
    """As the official code has it: the heads in the batch, one kernel for all."""
    padding = [k // 2 for k in weight.shape[2:]]
    x = x_BCTHW.unflatten(1, (-1, weight.shape[0])).flatten(0, 1).contiguous()
    y = F.conv3d(x, weight, stride=stride, padding=padding, groups=weight.shape[0])
    return y.unflatten(0, (x_BCTHW.shape[0], -1)).flatten(1, 2)


def inputs(batch, grid, kernel, dtype=torch.float64, head_dim=HEAD_DIM, layout=torch.channels_last_3d):
    torch.manual_seed(0)
    x = torch.randn(batch, HEADS * head_dim, *grid, dtype=dtype).contiguous(memory_format=layout)
    weight = torch.randn(head_dim, 1, *kernel, dtype=dtype)
    return x.requires_grad_(), weight.requires_grad_()


def result_and_gradients(function, x, weight, stride):
    y = function(x, weight, stride)
    return y, *torch.autograd.grad(y, (x, weight), outer_gradient(y))


def outer_gradient(y):
    """Random, and the same in every dtype."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(y.shape, generator=generator).bfloat16().to(y.dtype)


def assert_equals_reference(x, weight, stride, tolerance=1e-11):
    ours = result_and_gradients(depthwise_conv3d, x, weight, stride)
    assert ours[0].grad_fn.name() == "_DepthwiseConv3dBackward"
    exact = [tensor.detach().double().requires_grad_() for tensor in (x, weight)]
    theirs = result_and_gradients(reference, *exact, stride)
    for mine, right in zip(ours, theirs, strict=True):
        assert mine.shape == right.shape
        scale = float(right.detach().abs().max()) + 1e-6
        torch.testing.assert_close(mine.double(), right, rtol=0.0, atol=tolerance * scale)


# Kernels and strides of the published models, the rest of what an architecture may ask for, and odd grids.
@pytest.mark.parametrize("grid", [(1, 1, 1), (1, 5, 6), (2, 7, 7), (3, 9, 5), (4, 8, 8)], ids=str)
@pytest.mark.parametrize(
    ("kernel", "stride"),
    [
        ((3, 3, 3), (1, 1, 1)),
        ((3, 3, 3), (1, 2, 2)),
        ((3, 3, 3), (1, 4, 4)),
        ((3, 3, 3), (1, 8, 8)),
        ((3, 3, 3), (2, 2, 2)),
        ((3, 3, 3), (4, 1, 5)),
        ((1, 3, 3), (1, 2, 2)),
        ((3, 1, 1), (1, 2, 1)),
        ((5, 3, 7), (3, 2, 9)),
    ],
    ids=str,
)
def test_equals_torchs(grid, kernel, stride):
    assert_equals_reference(*inputs(2, grid, kernel), stride)


extents = st.tuples(*[st.integers(1, 9)] * 3)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(grid=extents, kernel=st.tuples(*[st.integers(1, 5)] * 3), stride=extents, batch=st.integers(1, 3))
def test_equals_torchs_for_any_numbers(grid, kernel, stride, batch):
    if all(n + 2 * (k // 2) >= k for n, k in zip(grid, kernel, strict=True)):
        assert_equals_reference(*inputs(batch, grid, kernel), stride)


@pytest.mark.parametrize("stride", [(1, 1, 1), (1, 2, 2), (1, 4, 4)], ids=str)
def test_gradients_are_those_of_finite_differences(stride):
    x, weight = inputs(1, (2, 5, 6), (3, 3, 3), head_dim=2)
    assert torch.autograd.gradcheck(lambda x, w: depthwise_conv3d(x, w, stride), (x, weight))


@pytest.mark.parametrize("head_dim", [8, 13, 48])
@pytest.mark.parametrize("stride", [(1, 1, 1), (1, 2, 2), (1, 4, 4)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_equals_float64_but_for_rounding(head_dim, stride, dtype):
    """Sums are in float32: what is left is the rounding of the result."""
    x, weight = inputs(2, (3, 10, 9), (3, 3, 3), dtype, head_dim)
    tolerance = {torch.float32: 1e-6, torch.bfloat16: 2**-8, torch.float16: 2**-10}[dtype]
    assert_equals_reference(x, weight, stride, tolerance)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_heads_one_at_a_time_give_the_same(dtype, monkeypatch):
    x, weight = inputs(2, (3, 9, 8), (3, 3, 3), dtype)
    at_once = result_and_gradients(depthwise_conv3d, x, weight, (1, 2, 2))
    monkeypatch.setattr(depthwise, "WIDE_ELEMENTS", 1)
    monkeypatch.setattr(depthwise, "SUMMED_ELEMENTS", 1)
    one_by_one = result_and_gradients(depthwise_conv3d, x, weight, (1, 2, 2))
    assert all(torch.equal(*pair) for pair in zip(at_once, one_by_one, strict=True))
    assert one_by_one[0].is_contiguous(memory_format=torch.channels_last_3d)


def test_any_layout_and_views():
    """Plain layout; a third of a wider tensor, as one layer writes q, k and v; without the first token."""
    kernel, stride, channels = (3, 3, 3), (1, 2, 2), HEADS * HEAD_DIM
    assert_equals_reference(*inputs(2, (4, 6, 5), kernel, layout=torch.contiguous_format), stride)
    tokens = torch.randn(2, 1 + 4 * 6 * 5, 3 * channels, dtype=torch.float64)
    third = tokens[:, 1:, channels : 2 * channels].unflatten(1, (4, 6, 5)).permute(0, 4, 1, 2, 3)
    _, weight = inputs(1, (1, 1, 1), kernel)
    assert_equals_reference(third.requires_grad_(), weight, stride)


def test_gradient_of_one_input_alone():
    x, weight = inputs(2, (2, 6, 6), (3, 3, 3))
    both = result_and_gradients(depthwise_conv3d, x, weight, (1, 2, 2))
    outer = outer_gradient(both[0])
    (grad_x,) = torch.autograd.grad(depthwise_conv3d(x, weight.detach(), (1, 2, 2)), x, outer)
    (grad_weight,) = torch.autograd.grad(depthwise_conv3d(x.detach(), weight, (1, 2, 2)), weight, outer)
    assert torch.equal(grad_x, both[1])
    assert torch.equal(grad_weight, both[2])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_without_gradients_the_same(dtype):
    x, weight = inputs(2, (3, 9, 9), (3, 3, 3), dtype)
    with_gradients = depthwise_conv3d(x, weight, (1, 4, 4))
    with torch.inference_mode():
        without = depthwise_conv3d(x, weight, (1, 4, 4))
    torch.testing.assert_close(without, with_gradients.detach())
    assert without.grad_fn is None


@pytest.mark.parametrize("given_dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
def test_autocast_gives_what_it_gives_torchs_convolution(given_dtype):
    x, weight = inputs(2, (2, 6, 6), (3, 3, 3), given_dtype)
    with torch.autocast("cpu", torch.bfloat16):
        theirs = result_and_gradients(reference, x, weight, (1, 2, 2))
        ours = result_and_gradients(depthwise_conv3d, x, weight, (1, 2, 2))
        with torch.no_grad():
            untrained = depthwise_conv3d(x, weight, (1, 2, 2))
    assert untrained.dtype == theirs[0].dtype
    for mine, their in zip(ours, theirs, strict=True):
        assert mine.dtype == their.dtype
        torch.testing.assert_close(mine, their, rtol=0.02, atol=0.02 * float(their.detach().abs().max()))


def test_the_input_and_the_kernel_are_all_that_is_kept_for_the_gradient():
    x, weight = inputs(1, (2, 8, 8), (3, 3, 3))
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()), lambda t: t):
        depthwise_conv3d(x, weight, (1, 2, 2))
    assert sum(kept) == x.numel() + weight.numel()


def test_a_second_derivative_is_refused():
    x, weight = inputs(1, (2, 4, 4), (3, 3, 3))
    (grad,) = torch.autograd.grad(depthwise_conv3d(x, weight, (1, 1, 1)).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


def test_traced_models_get_torchs_operators():
    x, weight = inputs(1, (3, 6, 6), (3, 3, 3))
    traced = torch.jit.trace(lambda x, w: depthwise_conv3d(x, w, (1, 2, 2)), (x, weight))
    assert "aten::_convolution" in str(traced.graph)
    assert "PythonOp" not in str(traced.graph)


@pytest.mark.slow
def test_compiled_models_get_torchs_operators():
    """In one graph, with the same gradients."""
    x, weight = inputs(1, (3, 6, 6), (3, 3, 3))
    compiled = torch.compile(depthwise_conv3d, fullgraph=True, backend="aot_eager")
    right = result_and_gradients(depthwise_conv3d, x, weight, (1, 2, 2))
    for mine, expected in zip(result_and_gradients(compiled, x, weight, (1, 2, 2)), right, strict=True):
        torch.testing.assert_close(mine, expected)


def test_other_devices_take_torchs_gradients_until_told_otherwise(monkeypatch):
    x, weight = inputs(1, (2, 6, 6), (3, 3, 3))
    right = result_and_gradients(depthwise_conv3d, x, weight, (1, 4, 4))
    monkeypatch.setattr(depthwise, "DEVICES", set())
    theirs = result_and_gradients(depthwise_conv3d, x, weight, (1, 4, 4))
    assert theirs[0].grad_fn.name() == "ConvolutionBackward0"
    for mine, expected in zip(theirs, right, strict=True):
        torch.testing.assert_close(mine, expected)
