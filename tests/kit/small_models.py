"""Small models of both generations, ours and the same ones built by torchvision and PyTorchVideo."""

from typing import Any

import torch

from mvit_video.models import Architecture, MViT

CLASSES = 5

SMALL_V1 = Architecture(
    num_frames=4,
    crop_size=32,
    num_classes=CLASSES,
    embed_dim=16,
    depth=3,
    droppath_rate=0.0,
    dim_mul=((1, 2.0),),
    head_mul=((1, 2.0),),
    pool_q_stride=((1, 1, 2, 2),),
    pool_kv_stride_adaptive=(1, 4, 4),
    pool_kvq_kernel=(3, 3, 3),
    sep_pos_embed=True,
)

SMALL_V2 = Architecture(
    num_frames=4,
    crop_size=32,
    num_classes=CLASSES,
    embed_dim=16,
    depth=3,
    droppath_rate=0.0,
    dim_mul=((1, 2.0),),
    head_mul=((1, 2.0),),
    pool_q_stride=((0, 1, 1, 1), (1, 1, 2, 2), (2, 1, 1, 1)),
    pool_kv_stride_adaptive=(1, 4, 4),
    pool_kvq_kernel=(3, 3, 3),
    use_abs_pos=False,
    rel_pos_spatial=True,
    rel_pos_temporal=True,
    residual_pooling=True,
    dim_mul_in_att=True,
)


def small_model(architecture: Architecture = SMALL_V2, seed: int = 0) -> MViT:
    """Our model with random weights, none of them at a value that hides a mistake (0 or 1)."""
    torch.manual_seed(seed)
    return randomise(MViT(architecture)).eval()


def randomise(model: Any) -> Any:
    """Give every parameter a random value of a size that keeps activations near 1."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            spread = 0.5 if parameter.ndim < 2 or "pos" in name else 1.5 / parameter[0].numel() ** 0.5
            centre = 1.0 if parameter.ndim == 1 and name.endswith("weight") else 0.0
            parameter.normal_(centre, spread)
    return model


def small_clip() -> torch.Tensor:
    """(2, 3, 4, 32, 32)."""
    return torch.randn(2, 3, 4, 32, 32, generator=torch.Generator().manual_seed(1))


def torchvision_model(generation: int) -> Any:
    """torchvision's own class with the numbers of `SMALL_V1` or `SMALL_V2`, random weights."""
    from torchvision.models.video import mvit

    kernel, halve, stay = [3, 3, 3], [1, 2, 2], [1, 1, 1]
    first_q, last_q = ([], []) if generation == 1 else (kernel, kernel)
    first_stride, last_stride = ([], []) if generation == 1 else (stay, stay)
    first_out = 32 if generation == 1 else 16
    second_in = 32 if generation == 1 else 16
    settings = [
        mvit.MSBlockConfig(1, 16, first_out, first_q, kernel, first_stride, [1, 4, 4]),
        mvit.MSBlockConfig(2, second_in, 32, kernel, kernel, halve, halve),
        mvit.MSBlockConfig(2, 32, 32, last_q, kernel, last_stride, halve),
    ]
    torch.manual_seed(0)
    model = mvit.MViT(
        spatial_size=(32, 32),
        temporal_size=4,
        block_setting=settings,
        residual_pool=generation == 2,
        residual_with_cls_embed=False,
        rel_pos_embed=generation == 2,
        proj_after_attn=generation == 2,
        num_classes=CLASSES,
    )
    return randomise(model).eval()


def pytorchvideo_model() -> Any:
    """PyTorchVideo's own class with the numbers of `SMALL_V1`, random weights."""
    from pytorchvideo.models.vision_transformers import create_multiscale_vision_transformers

    torch.manual_seed(0)
    model = create_multiscale_vision_transformers(
        spatial_size=32,
        temporal_size=4,
        depth=3,
        patch_embed_dim=16,
        embed_dim_mul=[[1, 2.0]],
        atten_head_mul=[[1, 2.0]],
        pool_q_stride_size=[[1, 1, 2, 2]],
        pool_kv_stride_adaptive=[1, 4, 4],
        pool_kvq_kernel=[3, 3, 3],
        head_num_classes=CLASSES,
    )
    return randomise(model).eval()
