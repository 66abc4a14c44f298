"""The multiscale vision transformer of both papers, MViT and MViTv2.

A clip becomes tokens; blocks in stages trade resolution for width: where a stage starts, queries are pooled
by 2 in height and width, and width and number of heads double. The class token, or the mean of all tokens, is
classified.

Letters: B clips, T H W a grid (of pixels for the clip, of tokens after), L = T * H * W tokens, N = L, or
L + 1 with the class token at index 0, C width.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from mvit_video.models.architecture import THW, Architecture
from mvit_video.models.attention import NORM_EPS, MultiScaleAttention
from mvit_video.models.block import MultiScaleBlock, may_leave_out_patches
from mvit_video.models.checkpointing import checkpointed_blocks
from mvit_video.models.head import ClassifierHead
from mvit_video.models.initialisation import initialise, initialise_head
from mvit_video.models.linear import Linear, is_watched
from mvit_video.models.patch_embed import PatchEmbed
from mvit_video.models.positions import resize_positions, separate_positions


class MViT(nn.Module):
    """A video classifier. Parameters carry SlowFast's names, so its checkpoints load as they are.

    Args:
        architecture: Every number of the model; see `mvit_video.models.architecture` for the published ones.

    Source: SlowFast slowfast/models/video_model_builder.py, MViT.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        specs = architecture.block_specs()
        dim = architecture.embed_dim

        self.patch_embed = PatchEmbed(architecture)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim)) if architecture.cls_embed_on else None
        self._add_positions(architecture)
        self.pos_drop = nn.Dropout(architecture.dropout_rate)
        self.norm_stem = nn.LayerNorm(dim, eps=NORM_EPS) if architecture.norm_stem else None
        self.blocks = nn.ModuleList(MultiScaleBlock(architecture, spec) for spec in specs)
        self.norm = nn.LayerNorm(specs[-1].dim_out, eps=NORM_EPS)
        self.head = ClassifierHead(
            specs[-1].dim_out, architecture.num_classes, architecture.head_dropout_rate
        )
        initialise(self)

    def _add_positions(self, architecture: Architecture) -> None:
        """Absolute positions: none, one table for all tokens, or one for places and one for times."""
        t, h, w = architecture.built_grid
        dim, class_token = architecture.embed_dim, int(architecture.cls_embed_on)
        joint = architecture.use_abs_pos and not architecture.sep_pos_embed
        separate = architecture.use_abs_pos and architecture.sep_pos_embed
        self.pos_embed = nn.Parameter(torch.zeros(1, t * h * w + class_token, dim)) if joint else None
        self.pos_embed_spatial = nn.Parameter(torch.zeros(1, h * w, dim)) if separate else None
        self.pos_embed_temporal = nn.Parameter(torch.zeros(1, t, dim)) if separate else None
        self.pos_embed_class = nn.Parameter(torch.zeros(1, 1, dim)) if separate and class_token else None

    def forward(self, x: Tensor | Sequence[Tensor]) -> Tensor:
        """Classify clips, of any size the patch stride allows, square or not.

        Args:
            x: (B, 3, T, H, W) floats, RGB, normalised; or a list that holds this one tensor (SlowFast's way).

        Returns:
            Logits (B, num_classes), in training and evaluation mode alike.

        Raises:
            ValueError: When the shape, the channels, the dtype or the size is not what the model takes.
        """
        overridden = any(
            getattr(type(self), name) is not getattr(MViT, name)
            for name in ("forward_features", "forward_head")
        )
        if overridden:
            return self.forward_head(self.forward_features(x)[0])
        logits: Tensor = self.head(self.forward_embedding(x))
        return logits

    def forward_embedding(self, x: Tensor | Sequence[Tensor]) -> Tensor:
        """What enters the head, without gradients for less than `forward_features` costs.

        Where it is the class token, the last block then computes what becomes of that token alone, which
        spares a thirtieth of MViTv2-S.

        Args:
            x: As for `forward`.

        Returns:
            (B, C).
        """
        x_BNC, grid = self._embed(x)
        *blocks, last = self.blocks
        for block in blocks:
            x_BNC, grid = block(x_BNC, grid)
        if self._classifies_class_token and not is_watched(self.norm) and may_leave_out_patches(last):
            assert isinstance(last, MultiScaleBlock)
            x_BNC = last.class_token(x_BNC, grid)
        else:
            x_BNC, _ = last(x_BNC, grid)
        return self.pool_tokens(self._normed(x_BNC))

    def forward_features(self, x: Tensor | Sequence[Tensor]) -> tuple[Tensor, THW]:
        """Tokens of the last block, after the final norm, and their grid.

        Args:
            x: As for `forward`.

        Returns:
            (B, N, C) tokens, the class token first where the architecture has one, and the grid (t, h, w) of
            the others (w fastest). With ``use_mean_pooling`` the norm follows the mean, and these are not
            normed yet.
        """
        x_BNC, grid = self._embed(x)
        for block in self.blocks:
            x_BNC, grid = block(x_BNC, grid)
        return self._normed(x_BNC), grid

    @property
    def _classifies_class_token(self) -> bool:
        return self.architecture.cls_embed_on and not self.architecture.use_mean_pooling

    def _embed(self, x: Tensor | Sequence[Tensor]) -> tuple[Tensor, THW]:
        """What enters the first block: tokens with their positions, and their grid."""
        clip_BCTHW = self._checked(x)
        x_BNC, grid = self.patch_embed(clip_BCTHW)
        if self.cls_token is not None:
            x_BNC = torch.cat((self.cls_token.expand(x_BNC.shape[0], -1, -1).to(x_BNC.dtype), x_BNC), dim=1)
        positions = self._positions(grid)
        if positions is not None:
            x_BNC = x_BNC + positions
        x_BNC = self.pos_drop(x_BNC)
        if self.norm_stem is not None:
            x_BNC = self.norm_stem(x_BNC)
        return x_BNC, grid

    def _normed(self, x_BNC: Tensor) -> Tensor:
        """The final norm, unless it follows the mean."""
        if self.architecture.use_mean_pooling:
            return x_BNC
        normed: Tensor = self.norm(x_BNC)
        return normed

    def forward_head(self, tokens_BNC: Tensor) -> Tensor:
        """Logits (B, num_classes) of what `forward_features` gave: from the class token, or from the mean."""
        logits: Tensor = self.head(self.pool_tokens(tokens_BNC))
        return logits

    def pool_tokens(self, tokens_BNC: Tensor) -> Tensor:
        """What enters the head, (B, C), of what `forward_features` gave: the class token, or the mean."""
        patches = slice(int(self.architecture.cls_embed_on), None)
        if self.architecture.use_mean_pooling:
            mean_BC: Tensor = self.norm(tokens_BNC[:, patches].mean(dim=1))
            return mean_BC
        return tokens_BNC[:, 0] if self.architecture.cls_embed_on else tokens_BNC.mean(dim=1)

    def reset_head(self, num_classes: int) -> None:
        """Put a new, random classifier in place of the head, on its device and in its dtype."""
        self.architecture = replace(self.architecture, num_classes=num_classes)
        old = self.head.projection
        self.head.projection = Linear(
            old.in_features, num_classes, device=old.weight.device, dtype=old.weight.dtype
        )
        initialise_head(self)

    def set_activation_checkpointing(self, enabled: bool | str) -> None:
        """Keep only what enters a block's halves in training and compute the rest again in the backward pass.

        Args:
            enabled: False for no block, True or "all" for all, "stages:1,2" for those of the first two of the
                four stages, where the largest activations are, or "every:2" for every second block.

        Raises:
            ArchitectureError: When it is none of these, or names a stage that the model has not.
        """
        setting = "all" if enabled is True else enabled
        chosen = checkpointed_blocks(self.architecture, setting) if setting else frozenset()
        blocks = (block for block in self.blocks if isinstance(block, MultiScaleBlock))
        for index, block in enumerate(blocks):
            block.checkpoint_activations = index in chosen

    def use_reference_attention(self, enabled: bool) -> None:
        """Write attention out as the papers do not in one fused kernel: slow and large, to compare with."""
        for module in self.modules():
            if isinstance(module, MultiScaleAttention):
                module.use_reference = enabled

    def _positions(self, grid: THW) -> Tensor | None:
        """Absolute positions (1, N, C) for a grid of tokens, or None."""
        built = self.architecture.built_grid
        first: Tensor | None
        if self.pos_embed_spatial is not None and self.pos_embed_temporal is not None:
            patches = separate_positions(self.pos_embed_spatial, self.pos_embed_temporal)
            first = self.pos_embed_class
        elif self.pos_embed is not None:
            patches = self.pos_embed[:, int(self.architecture.cls_embed_on) :]
            first = self.pos_embed[:, :1] if self.architecture.cls_embed_on else None
        else:
            return None
        patches = resize_positions(patches, built, grid)
        return patches if first is None else torch.cat((first, patches), dim=1)

    def _checked(self, x: Tensor | Sequence[Tensor]) -> Tensor:
        """The one clip tensor, if it is one that the model takes."""
        if not isinstance(x, Tensor):
            if not isinstance(x, Sequence) or len(x) != 1 or not isinstance(x[0], Tensor):
                found = f"{type(x).__name__} of {len(x)}" if isinstance(x, Sequence) else type(x).__name__
                raise ValueError(f"expected one tensor of clips, or a list of one, got a {found}")
            x = x[0]
        channels = self.architecture.in_channels
        if x.ndim != 5 or x.shape[1] != channels:
            raise ValueError(
                f"expected clips (batch, {channels}, frames, height, width), got shape {tuple(x.shape)}"
            )
        if not x.is_floating_point():
            raise ValueError(
                f"expected clips as normalised floats, got {x.dtype}; scale and normalise them first"
            )
        self.architecture.token_grid(x.shape[2], x.shape[3], x.shape[4])
        return x
