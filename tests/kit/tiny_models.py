"""Architectures with every part of the published ones, small enough to run many times."""

from dataclasses import replace

import torch

from mvit_video.models import Architecture, MViT

# 4 blocks in stages of 1, 2 and 1; a 8 x 64 x 64 clip is a grid of 4 x 16 x 16 tokens.
TINY_V1 = Architecture(
    num_frames=8,
    crop_size=64,
    num_classes=11,
    embed_dim=16,
    num_heads=1,
    depth=4,
    droppath_rate=0.0,
    dim_mul=((1, 2.0), (3, 2.0)),
    head_mul=((1, 2.0), (3, 2.0)),
    pool_q_stride=((1, 1, 2, 2), (3, 1, 2, 2)),
    pool_kv_stride_adaptive=(1, 4, 4),
    pool_kvq_kernel=(3, 3, 3),
    sep_pos_embed=True,
)

TINY_V2 = replace(
    TINY_V1,
    pool_q_stride=((0, 1, 1, 1), (1, 1, 2, 2), (2, 1, 1, 1), (3, 1, 2, 2)),
    use_abs_pos=False,
    sep_pos_embed=False,
    rel_pos_spatial=True,
    rel_pos_temporal=True,
    residual_pooling=True,
    dim_mul_in_att=True,
)


def random_model(numbers, seed=0, std=0.2):
    """A model whose every parameter matters: the initial tables are too small to show a mistake."""
    torch.manual_seed(seed)
    model = MViT(numbers)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 or "bias" in name:
                parameter.normal_(std=std if "pool" in name else std / 2)
    return model
