"""Every switch of the architecture against an implementation that is not ours."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from kit import fixtures
from kit.fixture_fill import fill_state_dict
from kit.foreign_models import from_pytorchvideo, from_torchvision, pytorchvideo_model, torchvision_model
from kit.tiny_models import TINY_V1, TINY_V2

from mvit_video.models import Architecture, MViT

CLIP = torch.randn(2, 3, 8, 64, 64, generator=torch.Generator().manual_seed(3))


def agree(ours, theirs, atol=2e-5):
    with torch.inference_mode():
        expected = theirs(CLIP)
        got = ours.eval()(CLIP)
    assert expected.std() > 0.05
    torch.testing.assert_close(got, expected, atol=atol, rtol=0)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"cls_embed_on": False},
        {"sep_pos_embed": False},
        {"sep_pos_embed": False, "cls_embed_on": False},
        {"mode": "avg"},
        {"mode": "max"},
        {"mode": "max", "cls_embed_on": False, "norm_stem": True},
        {"pool_kvq_kernel": None},
        {"pool_kvq_kernel": None, "mode": "avg"},
        {"norm_stem": True},
        {"qkv_bias": False},
        {"mlp_ratio": 2.5},
        {"pool_kv_stride": ((0, 2, 4, 4), (2, 1, 2, 2)), "pool_kv_stride_adaptive": None},
        {"pool_q_stride": ((1, 2, 2, 2), (2, 1, 1, 1), (3, 1, 2, 2))},
        {"patch_kernel": (1, 16, 16), "patch_stride": (1, 16, 16), "patch_padding": (0, 0, 0)},
        {"dim_mul": ((1, 1.5), (3, 2.0)), "head_mul": ((3, 2.0),)},
    ],
    ids=str,
)
def test_as_pytorchvideo_has_it(changes):
    numbers = replace(TINY_V1, **changes)
    theirs = pytorchvideo_model(numbers)
    ours = MViT(numbers)
    ours.load_state_dict(from_pytorchvideo(theirs.state_dict()))
    agree(ours, theirs)


@pytest.mark.parametrize(
    "numbers",
    [
        TINY_V1,
        TINY_V2,
        replace(TINY_V2, dim_mul_in_att=False),
        replace(TINY_V2, residual_pooling=False),
        replace(TINY_V1, residual_pooling=True, dim_mul_in_att=True),
        replace(TINY_V2, pool_q_stride=((1, 1, 2, 2), (3, 1, 2, 2)), pool_kvq_kernel=None),
    ],
    ids=["v1", "v2", "v2 widening in the MLP", "v2 without residual", "v1 with residual", "derived kernels"],
)
def test_as_torchvision_has_it(numbers):
    theirs = torchvision_model(numbers)
    ours = MViT(numbers)
    ours.load_state_dict(from_torchvision(theirs.state_dict()))
    agree(ours, theirs)


@pytest.mark.parametrize(
    ("switch", "tables"),
    [("rel_pos_temporal", ("rel_pos_t",)), ("rel_pos_spatial", ("rel_pos_h", "rel_pos_w"))],
)
def test_relative_positions_along_some_axes_are_tables_of_zeros_along_the_others(switch, tables):
    theirs = torchvision_model(TINY_V2)
    state_dict = theirs.state_dict()
    for name, tensor in state_dict.items():
        if name.endswith(tables):
            tensor.zero_()
    ours = MViT(replace(TINY_V2, **{switch: False}))
    renamed = from_torchvision(state_dict)
    ours.load_state_dict({name: t for name, t in renamed.items() if not name.endswith(tables)})
    agree(ours, theirs)


def test_one_frame_without_class_token_is_the_official_image_model():
    """facebookresearch/mvit's MViTv2-T: space only, no class token, residual pooling, mean after the norm."""
    name = "mvit_mvitv2_t"
    meta, shapes, expected, images = fixtures.read(name)
    weights = fill_state_dict(shapes)
    starts = (1, 3, 8)
    ours = MViT(
        replace(
            TINY_V2,
            num_frames=1,
            crop_size=224,
            num_classes=1000,
            patch_kernel=(1, 7, 7),
            patch_stride=(1, 4, 4),
            patch_padding=(0, 3, 3),
            embed_dim=96,
            depth=10,
            dim_mul=tuple((i, 2.0) for i in starts),
            head_mul=tuple((i, 2.0) for i in starts),
            pool_q_stride=tuple((i, 1, 2, 2) if i in starts else (i, 1, 1, 1) for i in range(10)),
            pool_kv_stride_adaptive=(1, 4, 4),
            pool_kvq_kernel=(1, 3, 3),
            cls_embed_on=False,
            rel_pos_temporal=False,
        )
    ).eval()
    ours.load_state_dict({key: t.unsqueeze(2) if t.ndim == 4 else t for key, t in weights.items()})
    with torch.inference_mode():
        logits = ours(images.unsqueeze(2))
    assert meta["input_shape"] == [2, 3, 224, 224]
    assert np.abs(logits.numpy() - expected["logits"]).max() < 1e-4


def test_a_transformer_without_any_pooling():
    """ViT is the special case with one stage; torch's own encoder layer is the reference."""
    numbers = Architecture(
        num_frames=4, crop_size=32, embed_dim=24, num_heads=3, depth=1, use_abs_pos=False, cls_embed_on=False
    )
    ours = MViT(numbers).eval()
    layer = torch.nn.TransformerEncoderLayer(
        24, 3, 96, dropout=0.0, activation="gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True
    ).eval()
    block = ours.blocks[0]
    pairs = [
        (layer.norm1, block.norm1),
        (layer.norm2, block.norm2),
        (layer.linear1, block.mlp.fc1),
        (layer.linear2, block.mlp.fc2),
        (layer.self_attn.out_proj, block.attn.proj),
    ]
    for theirs, mine in pairs:
        theirs.load_state_dict(mine.state_dict())
    with torch.no_grad():
        layer.self_attn.in_proj_weight.copy_(block.attn.qkv.weight)
        layer.self_attn.in_proj_bias.copy_(block.attn.qkv.bias)
        tokens = torch.randn(2, 128, 24)
        got, grid = block(tokens, (2, 8, 8))
        torch.testing.assert_close(got, layer(tokens), atol=1e-5, rtol=1e-5)
    assert grid == (2, 8, 8)
