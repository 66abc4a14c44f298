"""What is left out is never read: pooling what is left gives the same tokens and gradients as pooling all."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.tiny_models import TINY_V1, TINY_V2

from mvit_video.models import MViT
from mvit_video.models.attention import MultiScaleAttention
from mvit_video.models.pooling import PoolConv, pool_tokens
from mvit_video.models.thinning import skips, thin_out, thinned_stride

extents = st.tuples(*[st.integers(1, 12)] * 3)


def tokens(grid, class_token, batch=2, channels=4):
    torch.manual_seed(0)
    number = grid[0] * grid[1] * grid[2] + class_token
    return torch.randn(batch, number, channels, dtype=torch.float64, requires_grad=True)


def random_pool(kernel, stride):
    pool = PoolConv(2, kernel, stride).double()
    torch.nn.init.normal_(pool.weight)
    return pool


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    grid=extents, kernel=st.tuples(*[st.integers(1, 5)] * 3), stride=extents, class_token=st.integers(0, 1)
)
def test_pooling_what_is_left_gives_the_same(grid, kernel, stride, class_token):
    if any(n + 2 * (k // 2) < k for n, k in zip(grid, kernel, strict=True)):
        return
    x, pool = tokens(grid, class_token), random_pool(kernel, stride)
    left, grid_left = thin_out(x, grid, kernel, stride, bool(class_token))
    assert left.shape[1] == grid_left[0] * grid_left[1] * grid_left[2] + class_token
    thinned, grid_thinned = pool_tokens(left, grid_left, pool.thinned, bool(class_token))
    whole, grid_whole = pool_tokens(x, grid, pool, bool(class_token))
    assert grid_thinned == grid_whole
    torch.testing.assert_close(thinned, whole)
    outer = torch.linspace(-1, 1, whole.numel(), dtype=torch.float64).view_as(whole)
    gradients = [torch.autograd.grad(y, (x, pool.weight), outer) for y in (thinned, whole)]
    for mine, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, expected)


def test_the_tokens_left_are_those_whose_change_changes_what_is_pooled():
    grid, kernel, stride = (2, 9, 7), (3, 3, 3), (1, 8, 4)
    x, pool = tokens(grid, 1, batch=1), random_pool(kernel, stride)
    left, grid_left = thin_out(x, grid, kernel, stride, has_class_token=True)
    (reached,) = torch.autograd.grad(pool_tokens(x, grid, pool, True)[0].square().sum(), x)
    assert torch.equal(left[0], x[0, reached[0].abs().sum(-1) > 0])
    assert grid_left == (2, 4, 5)  # rows 0 1, 7 8; columns 0 1, 3 4 5
    assert thinned_stride(kernel, stride) == (1, 3, 3)


@pytest.mark.parametrize(
    ("kernel", "stride", "answer"),
    [((3, 3, 3), (1, 2, 2), False), ((3, 3, 3), (1, 4, 4), True), ((1, 3, 3), (2, 1, 1), True)],
)
def test_only_strides_beyond_the_kernel_skip(kernel, stride, answer):
    assert skips(kernel, stride) is answer


def test_gradients_are_those_of_finite_differences():
    x = tokens((2, 9, 6), 1)
    assert torch.autograd.gradcheck(lambda x: thin_out(x, (2, 9, 6), (3, 3, 3), (1, 8, 4), True)[0], (x,))


@pytest.mark.parametrize("numbers", [TINY_V1, TINY_V2], ids=["v1", "v2"])
def test_models_project_keys_and_values_only_where_they_are_read(numbers, monkeypatch):
    """And give what they give when they project all."""
    torch.manual_seed(0)
    model, clip = MViT(numbers).double(), torch.randn(1, 3, 8, 64, 64, dtype=torch.float64)
    pooled = []
    for module in model.modules():
        if isinstance(module, MultiScaleAttention):
            original = module.pool_k.thinned
            monkeypatch.setattr(
                module.pool_k, "thinned", lambda x, pool=original: (pooled.append(x.shape), pool(x))[1]
            )
    thinned = model(clip)
    assert len(pooled) >= 1
    assert pooled[0][3:] == (11, 11)  # of 16 x 16, with stride 4: 0 1, 3 4 5, 7 8 9, 11 12 13 are read
    monkeypatch.setattr("mvit_video.models.attention.skips", lambda kernel, stride: False)
    torch.testing.assert_close(model(clip), thinned)
