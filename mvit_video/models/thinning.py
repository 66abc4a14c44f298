"""Leaving out, before they are projected, the tokens that a pooling never reads.

Where the stride exceeds the kernel, as it does for keys and values of the first stages (stride 8 or 4, kernel
3), most tokens are in no window:

    read along each axis:  s o + j - p,    o = 0, 1, ...,   0 <= j < k,   p = k // 2

What is left is a smaller grid, on which the same kernel with stride k does the same.

Letters: B clips, N tokens with the class token, C width.
"""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mvit_video.models.architecture import THW


def skips(kernel: THW, stride: THW) -> bool:
    """Whether a pooling leaves out tokens between its windows."""
    return any(s > k for k, s in zip(kernel, stride, strict=True))


def thinned_stride(kernel: THW, stride: THW) -> THW:
    """The stride that does on thinned tokens what `stride` does on all."""
    return min(stride[0], kernel[0]), min(stride[1], kernel[1]), min(stride[2], kernel[2])


def thin_out(x_BNC: Tensor, grid: THW, kernel: THW, stride: THW, has_class_token: bool) -> tuple[Tensor, THW]:
    """Keep the class token and the tokens that are in some window.

    Args:
        x_BNC: (B, N, C) tokens in the order t, h, w (w fastest), the class token first where there is one.
        grid: Their grid (t, h, w).
        kernel: Of the pooling, padded by kernel // 2.
        stride: Of the pooling.
        has_class_token: Whether token 0 is the class token.

    Returns:
        (B, N', C) tokens, contiguous, and their grid; pool it with `thinned_stride`.
    """
    axes = tuple(_read(n, k, s) for n, k, s in zip(grid, kernel, stride, strict=True))
    index = _tokens_read(grid, axes, int(has_class_token), x_BNC.device)
    left: Tensor = _Thinning.apply(x_BNC, index)
    return left, (len(axes[0]), len(axes[1]), len(axes[2]))


def _read(size: int, kernel: int, stride: int) -> tuple[int, ...]:
    """Places along one axis that are in some window."""
    if stride <= kernel:
        return tuple(range(size))
    padding = kernel // 2
    starts = range(-padding, size + padding - kernel + 1, stride)
    return tuple(i for start in starts for i in range(start, start + kernel) if 0 <= i < size)


@lru_cache(maxsize=64)
def _tokens_read(grid: THW, axes: tuple[tuple[int, ...], ...], first: int, device: torch.device) -> Tensor:
    """Indices of the tokens left, made once."""
    with torch.inference_mode(mode=False):  # usable in training, whoever asks first
        t, h, w = (torch.tensor(places, dtype=torch.long) for places in axes)
        patches = (t[:, None, None] * grid[1] + h[:, None]) * grid[2] + w + first
        return torch.cat((torch.arange(first), patches.flatten())).to(device)


class _Thinning(torch.autograd.Function):
    """Selecting tokens, each at most once: the gradient is written where it belongs, not added."""

    @staticmethod
    def forward(ctx: Any, x_BNC: Tensor, index: Tensor) -> Tensor:
        ctx.number, ctx.index = x_BNC.shape[1], index
        return x_BNC.index_select(1, index)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BNC: Tensor) -> tuple[Tensor, None]:
        whole_BNC = grad_BNC.new_zeros((grad_BNC.shape[0], ctx.number, grad_BNC.shape[2]))
        whole_BNC[:, ctx.index] = grad_BNC
        return whole_BNC, None
