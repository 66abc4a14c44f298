"""torchvision's MViT with the numbers of any of our architectures."""

import torch
from torchvision.models.video import MViT as PeerMViT
from torchvision.models.video.mvit import MSBlockConfig

from mvit_video.models import Architecture


def torchvision_mvit(architecture: Architecture) -> PeerMViT:
    """The class behind ``mvit_v1_b`` and ``mvit_v2_s``, with these numbers and random weights.

    For the architectures of those two it is the same model as the functions give.
    """
    blocks = [
        MSBlockConfig(
            num_heads=spec.num_heads,
            input_channels=spec.dim_in,
            output_channels=spec.dim_out,
            kernel_q=list(spec.kernel_q or ()),
            kernel_kv=list(spec.kernel_kv or ()),
            stride_q=list(spec.stride_q) if spec.kernel_q and _pools(architecture, spec.index) else [],
            stride_kv=list(spec.stride_kv) if spec.kernel_kv else [],
        )
        for spec in architecture.block_specs()
    ]
    is_v2 = architecture.dim_mul_in_att
    return PeerMViT(
        spatial_size=(architecture.crop_size, architecture.crop_size),
        temporal_size=architecture.num_frames,
        block_setting=blocks,
        residual_pool=architecture.residual_pooling,
        residual_with_cls_embed=not is_v2,
        rel_pos_embed=architecture.rel_pos_spatial,
        proj_after_attn=is_v2,
        dropout=architecture.head_dropout_rate,
        stochastic_depth_prob=architecture.droppath_rate,
        num_classes=architecture.num_classes,
    )


def _pools(architecture: Architecture, block: int) -> bool:
    """Whether the queries of a block are pooled, with stride 1 too."""
    return any(block == index for index, *_ in architecture.pool_q_stride)


def same_outputs(ours: torch.nn.Module, theirs: PeerMViT, clip: torch.Tensor) -> float:
    """Gives ours the weights of theirs; the largest difference of logits, relative to the largest logit."""
    import mvit_video

    mvit_video.load_weights(ours, theirs.state_dict())
    modes = ours.training, theirs.training
    with torch.no_grad():
        expected, found = theirs.eval()(clip), ours.eval()(clip)
    ours.train(modes[0])
    theirs.train(modes[1])
    return float((found - expected).abs().max() / expected.abs().max())
