"""Absolute positions (MViT): one learned vector per token, or one per place and one per time.

MViT for video learns space and time apart, H * W + T vectors instead of T * H * W ("sep_pos_embed"); MViTv2
has no absolute positions at all and uses relative ones (see ``relative_positions``).

Letters: L tokens of a grid T H W, without the class token; C width.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from mvit_video.models.architecture import THW


def separate_positions(spatial_1LC: Tensor, temporal_1TC: Tensor) -> Tensor:
    """Each token's position as the sum of its place's and its time's: (1, H*W, C), (1, T, C) -> (1, L, C)."""
    positions_1THWC = temporal_1TC.unsqueeze(2) + spatial_1LC.unsqueeze(1)  # (1, T, H*W, C)
    return positions_1THWC.flatten(1, 2)


def resize_positions(positions_1LC: Tensor, built: THW, grid: THW) -> Tensor:
    """Positions of a `built` grid for another, by trilinear interpolation; unchanged where both are equal.

    Args:
        positions_1LC: (1, t*h*w of `built`, C), without the class token's.
        built: Grid (t, h, w) of tokens the positions were learned for.
        grid: Grid (t, h, w) of tokens they are needed for.

    Returns:
        (1, t*h*w of `grid`, C), in the dtype given; interpolated in float32 at least.

    Source: SlowFast slowfast/models/video_model_builder.py, MViT._get_pos_embed (align_corners False).
    """
    if built == grid:
        return positions_1LC
    positions_1CTHW = torch.unflatten(positions_1LC.transpose(1, 2), 2, built)
    exact = torch.promote_types(positions_1LC.dtype, torch.float32)
    resized_1CTHW = F.interpolate(positions_1CTHW.to(exact), size=grid, mode="trilinear", align_corners=False)
    return resized_1CTHW.flatten(2).transpose(1, 2).to(positions_1LC.dtype)
