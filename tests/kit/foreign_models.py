"""torchvision's and PyTorchVideo's MViT built from our architectures, and their weights under our names.

Independent implementations of the switches they have. The renaming here is the tests' own.
"""

import re

import torch
from pytorchvideo.models.vision_transformers import create_multiscale_vision_transformers
from torch import nn
from torchvision.models.video.mvit import MSBlockConfig
from torchvision.models.video.mvit import MViT as TorchvisionMViT


def torchvision_model(numbers):
    """Class token always; absolute positions exactly where there are no relative ones."""
    blocks = [
        MSBlockConfig(
            num_heads=spec.num_heads,
            input_channels=spec.dim_in,
            output_channels=spec.dim_out,
            kernel_q=list(spec.kernel_q or (1, 1, 1)),
            kernel_kv=list(spec.kernel_kv or (1, 1, 1)),
            stride_q=list(spec.stride_q),
            stride_kv=list(spec.stride_kv),
        )
        for spec in numbers.block_specs()
    ]
    model = TorchvisionMViT(
        spatial_size=(numbers.crop_size, numbers.crop_size),
        temporal_size=numbers.num_frames,
        block_setting=blocks,
        residual_pool=numbers.residual_pooling,
        residual_with_cls_embed=False,
        rel_pos_embed=numbers.rel_pos_spatial,
        proj_after_attn=numbers.dim_mul_in_att,
        num_classes=numbers.num_classes,
    )
    return randomised(model)


def from_torchvision(state_dict):
    """torchvision's weights under our names."""
    renames = [
        (r"^conv_proj", "patch_embed.proj"),
        (r"^pos_encoding\.class_token", "cls_token"),
        (r"^pos_encoding\.spatial_pos", "pos_embed_spatial"),
        (r"^pos_encoding\.temporal_pos", "pos_embed_temporal"),
        (r"^pos_encoding\.class_pos", "pos_embed_class"),
        (r"attn\.project\.0", "attn.proj"),
        (r"(pool_[qkv])\.pool", r"\1"),
        (r"pool_([qkv])\.norm_act\.0", r"norm_\1"),
        (r"mlp\.0", "mlp.fc1"),
        (r"mlp\.3", "mlp.fc2"),
        (r"(blocks\.\d+)\.project", r"\1.proj"),
        (r"^head\.1", "head.projection"),
    ]
    renamed = rename(state_dict, renames)
    for name, tensor in renamed.items():
        if "pos_embed" in name or name == "cls_token":
            renamed[name] = tensor.reshape(1, -1, tensor.shape[-1])
    return renamed


def pytorchvideo_model(numbers):
    """MViT without anything of MViTv2."""
    model = create_multiscale_vision_transformers(
        spatial_size=numbers.crop_size,
        temporal_size=numbers.num_frames,
        cls_embed_on=numbers.cls_embed_on,
        sep_pos_embed=numbers.sep_pos_embed,
        depth=numbers.depth,
        patch_embed_dim=numbers.embed_dim,
        conv_patch_embed_kernel=numbers.patch_kernel,
        conv_patch_embed_stride=numbers.patch_stride,
        conv_patch_embed_padding=numbers.patch_padding,
        enable_patch_embed_norm=numbers.norm_stem,
        num_heads=numbers.num_heads,
        mlp_ratio=numbers.mlp_ratio,
        qkv_bias=numbers.qkv_bias,
        pooling_mode=numbers.mode,
        embed_dim_mul=[list(entry) for entry in numbers.dim_mul],
        atten_head_mul=[list(entry) for entry in numbers.head_mul],
        pool_q_stride_size=[list(entry) for entry in numbers.pool_q_stride],
        pool_kv_stride_size=[list(entry) for entry in numbers.pool_kv_stride] or None,
        pool_kv_stride_adaptive=numbers.pool_kv_stride_adaptive and list(numbers.pool_kv_stride_adaptive),
        pool_kvq_kernel=numbers.pool_kvq_kernel,
        head_num_classes=numbers.num_classes,
    )
    for module in model.modules():  # 1e-5 in norm_q, norm_k, norm_v, unlike every published model
        if isinstance(module, nn.LayerNorm):
            module.eps = 1e-6
    return randomised(model)


def from_pytorchvideo(state_dict):
    """PyTorchVideo's weights under our names, q, k and v joined."""
    renames = [
        (r"^patch_embed\.patch_model", "patch_embed.proj"),
        (r"^cls_positional_encoding\.", ""),
        (r"^norm_patch_embed", "norm_stem"),
        (r"^norm_embed", "norm"),
        (r"^head\.proj", "head.projection"),
    ]
    renamed = rename(state_dict, renames)
    for name in [name for name in renamed if ".attn.q." in name]:
        parts = [renamed.pop(name.replace(".attn.q.", f".attn.{part}.")) for part in "qkv"]
        renamed[name.replace(".attn.q.", ".attn.qkv.")] = torch.cat(parts)
    return renamed


def rename(state_dict, renames):
    renamed = {}
    for name, tensor in state_dict.items():
        for pattern, replacement in renames:
            name = re.sub(pattern, replacement, name)
        renamed[name] = tensor
    return renamed


def randomised(model, seed=0):
    """Every parameter far enough from its start that each one shows in the output."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 or "bias" in name or "pos" in name or "token" in name:
                fan_in = parameter[0].numel() if parameter.ndim > 1 and "pos" not in name else 25
                parameter.normal_(std=fan_in**-0.5)
    return model.eval()
