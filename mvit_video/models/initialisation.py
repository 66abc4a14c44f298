"""Starting values, as SlowFast has them: every weight normal with standard deviation 0.02, every bias 0.02.

That a bias starts at 0.02, of linear layers and norms alike, is no slip of ours: SlowFast's code does so,
while the later image code starts them at 0. Its normal is cut at +-2, a hundred standard deviations out, so a
plain one is the same and faster.

Source: SlowFast slowfast/models/video_model_builder.py, MViT._init_weights; attention.py for the tables.
"""

from typing import TYPE_CHECKING

import torch
from torch import nn

from mvit_video.models.pooling import PoolConv

if TYPE_CHECKING:
    from mvit_video.models.mvit import MViT

STD = 0.02
BIAS = 0.02


@torch.no_grad()
def initialise(model: "MViT") -> None:
    """Give every parameter its starting value, in the order of the modules."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv3d | PoolConv):
            nn.init.normal_(module.weight, std=STD)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.constant_(module.bias, BIAS)
        if isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.constant_(module.bias, BIAS)
    zero_tables = model.architecture.rel_pos_zero_init
    for name, parameter in model.named_parameters():
        if "rel_pos" in name and zero_tables:
            nn.init.zeros_(parameter)
        elif "rel_pos" in name or "pos_embed" in name or name == "cls_token":
            nn.init.normal_(parameter, std=STD)
    _scale_head(model)


@torch.no_grad()
def initialise_head(model: "MViT") -> None:
    """Give the head alone its starting value."""
    nn.init.normal_(model.head.projection.weight, std=STD)
    nn.init.constant_(model.head.projection.bias, BIAS)
    _scale_head(model)


def _scale_head(model: "MViT") -> None:
    model.head.projection.weight.mul_(model.architecture.head_init_scale)
    model.head.projection.bias.mul_(model.architecture.head_init_scale)
