"""MODEL and MVIT: which network, by its name or by its numbers."""

import re
from typing import Annotated, Literal

from mvit_video.config.section import (
    THW,
    BlockFactor,
    BlockStride,
    Count,
    Expected,
    NonNegative,
    PaddingTHW,
    Positive,
    Section,
    Share,
    checked,
)

CheckpointedBlocks = Annotated[
    str,
    checked(lambda text: re.fullmatch(r"all|stages:\d+(,\d+)*|every:[1-9]\d*", text) is not None),
    Expected("all, stages:1,2 or every:2"),
]


class Model(Section):
    """MODEL: the network's name, its classes, its head and its loss."""

    name: str = ""
    """A known model, such as mvitv2_s_16x4 (or mvitv2_s_16x4.k400, with the classes of those weights): it
    gives the numbers of MVIT.*, and each MVIT.* key that is set changes one. Empty: MVIT.* says it all."""

    arch: Literal["mvit"] = "mvit"
    """Kind of network, as SlowFast calls it."""

    model_name: Literal["MViT"] = "MViT"
    """Class of network, as SlowFast calls it."""

    num_classes: Count = 400
    """Classes that the head tells apart."""

    dropout_rate: Share = 0.5
    """Dropout before the head's projection, in training. With MODEL.NAME: the named model's, unless set."""

    loss_func: Literal["cross_entropy", "soft_cross_entropy"] = "cross_entropy"
    """Training loss; soft_cross_entropy takes mixed labels, and without MIXUP equals cross_entropy."""

    act_checkpoint: bool = False
    """Recompute activations of blocks in the backward pass: less memory, more time, the same result."""

    act_checkpoint_blocks: CheckpointedBlocks = "all"
    """Of which blocks, with ACT_CHECKPOINT: all, stages:1,2 (of these stages, from 1) or every:2 (of every
    second block)."""


class MViT(Section):
    """MVIT: the numbers of the network. The defaults are SlowFast's, and are no published model.

    With MODEL.NAME, only the keys that are set count. A block is counted from 0.
    """

    mode: Literal["conv", "avg", "max"] = "conv"
    """How queries, keys and values are pooled."""

    cls_embed_on: bool = True
    """Put a class token before the patches and classify by it."""

    patch_kernel: THW = (3, 7, 7)
    """Kernel of the patch embedding: frames, height and width in pixels."""

    patch_stride: THW = (2, 4, 4)
    """Stride of the patch embedding: frames, height and width in pixels."""

    patch_padding: PaddingTHW = (2, 4, 4)
    """Padding of the patch embedding: frames, height and width in pixels. Published models use (1, 3, 3)."""

    embed_dim: Count = 96
    """Width of the tokens that enter block 0."""

    num_heads: Count = 1
    """Attention heads of block 0."""

    depth: Count = 16
    """Number of blocks."""

    mlp_ratio: Positive = 4.0
    """Hidden width of a block's MLP over the width of its input."""

    qkv_bias: bool = True
    """Bias in the projection to queries, keys and values."""

    droppath_rate: Share = 0.1
    """Probability of skipping the last block's branches while training; it grows from 0 in block 0."""

    dropout_rate: Share = 0.0
    """Dropout in the blocks and on the embedded patches, while training."""

    dim_mul: tuple[BlockFactor, ...] = ()
    """[block, factor]: where the width is multiplied."""

    head_mul: tuple[BlockFactor, ...] = ()
    """[block, factor]: where the number of heads is multiplied."""

    pool_q_stride: tuple[BlockStride, ...] = ()
    """[block, t, h, w]: strides of the query pooling, in tokens; a block not listed does not pool them."""

    pool_kv_stride: tuple[BlockStride, ...] = ()
    """[block, t, h, w]: strides of the key and value pooling, in tokens. Ignored beside the adaptive one."""

    pool_kv_stride_adaptive: THW | None = None
    """Stride of block 0's key and value pooling; later blocks divide it by the query strides so far."""

    pool_kvq_kernel: THW | None = None
    """Kernel of all pooling, in tokens; None: stride + 1 where it strides, else 1."""

    zero_decay_pos_cls: bool = True
    """No weight decay for position embeddings, relative position tables and the class token."""

    norm_stem: bool = False
    """Normalise the tokens before block 0."""

    sep_pos_embed: bool = False
    """Absolute positions as a spatial plus a temporal table, rather than one joint table."""

    use_abs_pos: bool = True
    """Add absolute position embeddings."""

    rel_pos_spatial: bool = False
    """Relative positions along height and width, in the attention."""

    rel_pos_temporal: bool = False
    """Relative positions along time, in the attention."""

    rel_pos_zero_init: bool = False
    """Start the relative position tables at zero."""

    residual_pooling: bool = False
    """Add the pooled queries to the attention's output."""

    dim_mul_in_att: bool = False
    """Change the width in the attention of a stage's first block, not in the MLP of the block before."""

    use_mean_pooling: bool = False
    """Classify by the mean of the patches, though there is a class token."""

    head_init_scale: NonNegative = 1.0
    """Factor on the head's initial weights."""
