"""Pooling of tokens on their grid, the operator P of MViT ("Multi Head Pooling Attention").

A grid of L tokens becomes one of

    floor((L + 2p - k) / s) + 1        along each axis,

with padding p = k // 2. The class token takes no part: it is set aside and put back.

Letters: B clips, N tokens with the class token, L = T * H * W tokens without it, C width, D head dim.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mvit_video.models.architecture import THW
from mvit_video.models.depthwise import depthwise_conv3d
from mvit_video.models.thinning import thinned_stride

Pool = Callable[[Tensor], Tensor]  # (B, C, T, H, W) to the same, fewer


class PoolConv(nn.Module):
    """A depth-wise convolution whose kernel all attention heads share.

    The heads lie side by side in the channels, so the D kernels are repeated over them and one convolution
    pools all heads at once, on the (B, T, H, W, C) layout that the linear layer before it wrote. Moving the
    heads into the batch first, as the official code does, gives the same and costs more than the convolution
    itself.

    The weight has the official shape (D, 1, kt, kh, kw).
    """

    def __init__(self, head_dim: int, kernel: THW, stride: THW) -> None:
        super().__init__()
        self.head_dim, self.kernel, self.stride = head_dim, kernel, stride
        self.weight = nn.Parameter(torch.empty(head_dim, 1, *kernel))

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Pool (B, heads * D, T, H, W)."""
        return depthwise_conv3d(x_BCTHW, self.weight, self.stride)

    def thinned(self, x_BCTHW: Tensor) -> Tensor:
        """Pool what `thin_out` has left of a grid."""
        return depthwise_conv3d(x_BCTHW, self.weight, thinned_stride(self.kernel, self.stride))

    def extra_repr(self) -> str:
        """What printing the module says of it."""
        return f"head_dim={self.head_dim}, kernel={self.kernel}, stride={self.stride}"


def build_pool(mode: str, head_dim: int, kernel: THW, stride: THW) -> nn.Module:
    """The pooling for one of q, k, v: "conv" learns it; "avg" and "max" are what MViT compares it with.

    Source: SlowFast slowfast/models/attention.py, MultiScaleAttention.__init__.
    """
    if mode == "conv":
        return PoolConv(head_dim, kernel, stride)
    padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    if mode == "avg":
        # Padded beforehand: the average counts the zeros either way, but refuses a grid below its kernel.
        t, h, w = padding
        return nn.Sequential(nn.ConstantPad3d((w, w, h, h, t, t), 0.0), nn.AvgPool3d(kernel, stride))
    return nn.MaxPool3d(kernel, stride, padding)


def pool_tokens(x_BNC: Tensor, grid: THW, pool: Pool, has_class_token: bool) -> tuple[Tensor, THW]:
    """Pool tokens on their grid; a class token at index 0 stays as it is.

    Args:
        x_BNC: (B, N, C) tokens in the order t, h, w (w fastest).
        grid: Their grid (t, h, w).
        pool: What pools (B, C, T, H, W).
        has_class_token: Whether token 0 is the class token.

    Returns:
        Pooled tokens (B, N', C) and their grid.
    """
    if not has_class_token:
        return _pool_patches(x_BNC, grid, pool)
    # Split, not sliced: autograd fills the gradients of slices up with zeros and adds them.
    class_B1C, patches_BLC = torch.split(x_BNC, [1, x_BNC.shape[1] - 1], dim=1)
    pooled_BLC, grid = _pool_patches(patches_BLC, grid, pool)
    return torch.cat((class_B1C, pooled_BLC), dim=1), grid


def _pool_patches(x_BLC: Tensor, grid: THW, pool: Pool) -> tuple[Tensor, THW]:
    """Pool tokens that all have a place on the grid."""
    pooled_BCTHW = pool(torch.unflatten(x_BLC, 1, grid).permute(0, 4, 1, 2, 3))
    _, _, t, h, w = pooled_BCTHW.shape
    return pooled_BCTHW.permute(0, 2, 3, 4, 1).flatten(1, 3), (t, h, w)
