"""Pooling of tokens on their grid, for each kind of pooling, held to sums written out and to torch's."""

import pytest
import torch
from kit.tiny_models import TINY_V1
from torch.nn import functional as F

from mvit_video.models import MViT
from mvit_video.models.pooling import build_pool, pool_tokens

GRID, HEADS, HEAD_DIM = (3, 5, 6), 2, 4
KERNELS = [((3, 3, 3), (1, 1, 1)), ((3, 3, 3), (1, 2, 2)), ((1, 3, 3), (1, 2, 2)), ((3, 3, 3), (1, 8, 8))]


def tokens(class_token, batch=2, dtype=torch.float64):
    torch.manual_seed(0)
    number = GRID[0] * GRID[1] * GRID[2] + class_token
    return torch.randn(batch, number, HEADS * HEAD_DIM, dtype=dtype, requires_grad=True)


def random_pool(mode, kernel, stride):
    pool = build_pool(mode, HEAD_DIM, kernel, stride).double()
    for parameter in pool.parameters():
        torch.nn.init.normal_(parameter)
    return pool


def padded(x_BNC, class_token, kernel, value):
    """The tokens on their grid, with a border of `value`; (B, T, H, W, C)."""
    grid = x_BNC[:, class_token:].detach().unflatten(1, GRID)
    t, h, w = (k // 2 for k in kernel)
    return F.pad(grid, (0, 0, w, w, h, h, t, t), value=value)


def window(x_BTHWC, place, kernel, stride):
    """What the kernel sees at one place of the pooled grid: (B, kt, kh, kw, C)."""
    t, h, w = (slice(i * s, i * s + k) for i, s, k in zip(place, stride, kernel, strict=True))
    return x_BTHWC[:, t, h, w]


@pytest.mark.parametrize("class_token", [0, 1])
@pytest.mark.parametrize("mode", ["conv", "avg", "max"])
@pytest.mark.parametrize(("kernel", "stride"), KERNELS, ids=str)
def test_every_pooled_token_is_that_of_its_window(mode, kernel, stride, class_token):
    x = tokens(class_token)
    pool = random_pool(mode, kernel, stride)
    pooled, grid = pool_tokens(x, GRID, pool, bool(class_token))
    assert grid == tuple(
        (n + 2 * (k // 2) - k) // s + 1 for n, k, s in zip(GRID, kernel, stride, strict=True)
    )
    assert pooled.shape == (2, grid[0] * grid[1] * grid[2] + class_token, HEADS * HEAD_DIM)
    assert torch.equal(pooled[:, :class_token], x[:, :class_token])
    on_grid = pooled[:, class_token:].unflatten(1, grid)
    border = padded(x, class_token, kernel, float("-inf") if mode == "max" else 0.0)
    for place in torch.cartesian_prod(*(torch.arange(n) for n in grid)).tolist():
        seen = window(border, place, kernel, stride)
        if mode == "conv":  # one kernel, the same in both heads
            taps = pool.weight[:, 0].permute(1, 2, 3, 0).repeat(1, 1, 1, HEADS)
            expected = (seen * taps).sum((1, 2, 3))
        else:
            expected = seen.mean((1, 2, 3)) if mode == "avg" else seen.amax((1, 2, 3))
        torch.testing.assert_close(on_grid[:, place[0], place[1], place[2]], expected)


@pytest.mark.parametrize("class_token", [0, 1])
@pytest.mark.parametrize("mode", ["conv", "avg", "max"])
def test_gradients_are_those_of_finite_differences(mode, class_token):
    pool = random_pool(mode, (3, 3, 3), (1, 2, 2))
    x = tokens(class_token, batch=1)
    weights = tuple(pool.parameters())
    assert torch.autograd.gradcheck(
        lambda x, *_: pool_tokens(x, GRID, pool, bool(class_token))[0], (x, *weights), fast_mode=True
    )


@pytest.mark.parametrize("class_token", [0, 1])
def test_the_gradient_is_made_without_filling_up_with_zeros(class_token):
    """Of slices, autograd would make two tensors of zeros as large as the tokens, and add them."""
    x = tokens(class_token)
    pooled, _ = pool_tokens(x, GRID, random_pool("conv", (3, 3, 3), (1, 1, 1)), bool(class_token))
    nodes, names = [pooled.grad_fn], set()
    while nodes:
        node = nodes.pop()
        names.add(node.name())
        nodes += [following for following, _ in node.next_functions if following is not None]
    assert "_DepthwiseConv3dBackward" in names
    assert not any("Slice" in name for name in names)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_clips_are_pooled_each_for_itself(dtype):
    x = tokens(1, batch=3, dtype=dtype)
    pool = random_pool("conv", (3, 3, 3), (1, 2, 2)).to(dtype)
    together, _ = pool_tokens(x, GRID, pool, has_class_token=True)
    for clip, pooled in zip(x, together, strict=True):
        alone, _ = pool_tokens(clip[None], GRID, pool, has_class_token=True)
        torch.testing.assert_close(alone[0], pooled)


def test_a_frozen_pooling_gets_no_gradient_but_passes_it_on():
    torch.manual_seed(0)
    model = MViT(TINY_V1)
    pool = model.blocks[0].attn.pool_k
    pool.weight.requires_grad_(False)
    model(torch.randn(1, 3, 8, 64, 64)).square().sum().backward()
    assert pool.weight.grad is None
    assert model.patch_embed.proj.weight.grad.abs().max() > 0
