"""The published video models by name: every architecture number is stated here, once."""

from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from mvit_video.models.architecture import Architecture, ArchitectureError, field_names


def _stages(*starts: int) -> tuple[tuple[int, float], ...]:
    """Blocks that start a stage, where width and heads double."""
    return tuple((block, 2.0) for block in starts)


def _halving(*starts: int) -> tuple[tuple[int, int, int, int], ...]:
    """Queries pooled only where a stage starts (MViT)."""
    return tuple((block, 1, 2, 2) for block in starts)


def _pool_every_block(depth: int, *starts: int) -> tuple[tuple[int, int, int, int], ...]:
    """Queries pooled in every block, with stride 2 where a stage starts (MViTv2)."""
    return tuple((i, 1, 2, 2) if i in starts else (i, 1, 1, 1) for i in range(depth))


# MViT-B: 16 blocks in stages of 1, 2, 11 and 2; the number of frames is what differs.
_V1_B_16X4 = Architecture(
    num_frames=16,
    droppath_rate=0.2,
    dim_mul=_stages(1, 3, 14),
    head_mul=_stages(1, 3, 14),
    pool_q_stride=_halving(1, 3, 14),
    pool_kv_stride_adaptive=(1, 8, 8),
    pool_kvq_kernel=(3, 3, 3),
    sep_pos_embed=True,
    head_dropout_rate=0.5,
)

# SlowFast's "B-Conv 32x3": 24 blocks in stages of 2, 3, 16 and 3, pool kernels derived from their strides.
_V1_B24_32X3 = replace(
    _V1_B_16X4,
    num_frames=32,
    depth=24,
    droppath_rate=0.3,
    dim_mul=_stages(2, 5, 21),
    head_mul=_stages(2, 5, 21),
    pool_q_stride=_halving(2, 5, 21),
    pool_kvq_kernel=None,
)

# MViTv2: relative positions instead of absolute ones, residual pooling, pooling of q in every
# block, and the width changes in the attention of a stage's first block.
_V2_S_16X4 = replace(
    _V1_B_16X4,
    pool_q_stride=_pool_every_block(16, 1, 3, 14),
    use_abs_pos=False,
    sep_pos_embed=False,
    rel_pos_spatial=True,
    rel_pos_temporal=True,
    residual_pooling=True,
    dim_mul_in_att=True,
)

_V2_B_32X3 = replace(
    _V2_S_16X4,
    num_frames=32,
    depth=24,
    droppath_rate=0.3,
    dim_mul=_stages(2, 5, 21),
    head_mul=_stages(2, 5, 21),
    pool_q_stride=_pool_every_block(24, 2, 5, 21),
)

_V2_L_40X3 = replace(
    _V2_S_16X4,
    num_frames=40,
    crop_size=312,
    embed_dim=144,
    num_heads=2,
    depth=48,
    droppath_rate=0.75,
    dim_mul=_stages(2, 8, 44),
    head_mul=_stages(2, 8, 44),
    pool_q_stride=_pool_every_block(48, 2, 8, 44),
)

ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        "mvitv1_b_16x4": _V1_B_16X4,
        "mvitv1_b_32x3": replace(_V1_B_16X4, num_frames=32, droppath_rate=0.3),
        "mvitv1_b_64x3": replace(_V1_B_16X4, num_frames=64),
        "mvitv1_b24_32x3": _V1_B24_32X3,
        "mvitv2_s_16x4": _V2_S_16X4,
        "mvitv2_b_32x3": _V2_B_32X3,
        "mvitv2_l_40x3": _V2_L_40X3,
    }
)


def architecture(name: str, **overrides: Any) -> Architecture:
    """The architecture of a published model, with some of its fields changed.

    Args:
        name: A key of `ARCHITECTURES`, such as ``mvitv2_s_16x4``.
        **overrides: Fields of `Architecture` to change.

    Raises:
        ArchitectureError: When the name or a field is unknown, or the changed values do not fit.
    """
    if name not in ARCHITECTURES:
        raise ArchitectureError(f"unknown model {name!r}{_suggest(name, ARCHITECTURES)}")
    for field in overrides:
        if field not in field_names():
            raise ArchitectureError(f"unknown architecture field {field!r}{_suggest(field, field_names())}")
    return replace(ARCHITECTURES[name], **overrides)


def _suggest(word: str, known: Mapping[str, Any] | tuple[str, ...]) -> str:
    close = get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}"
