"""One transformer block: pooling attention and an MLP, on a residual path that follows grid and width.

Letters: B clips, N tokens with the class token, C width.
"""

from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mvit_video.models.architecture import THW, Architecture, BlockSpec
from mvit_video.models.attention import NORM_EPS, MultiScaleAttention
from mvit_video.models.capturing import is_captured
from mvit_video.models.feed_forward import Mlp, add_mlp_branch, mlp_branch, runs_in_pieces
from mvit_video.models.linear import Linear, is_plain, is_watched
from mvit_video.models.pooling import pool_tokens


class DropPath(nn.Module):
    """Stochastic depth (arXiv 1603.09382): in training, some clips do without a branch.

    Written here because torchvision's takes longer to import than the rest of the model.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x_BNC: Tensor) -> Tensor:
        """(B, N, C), each clip either zero or divided by the share that is kept."""
        if not self.training or self.rate == 0.0:
            return x_BNC
        kept = 1.0 - self.rate
        mask_B11 = x_BNC.new_empty((x_BNC.shape[0], 1, 1)).bernoulli_(kept)
        return x_BNC * (mask_B11 / kept)

    def extra_repr(self) -> str:
        """What printing the module says of it."""
        return f"rate={self.rate:.3f}"


class MultiScaleBlock(nn.Module):
    """Pre-norm block; its residual path is max-pooled with the queries and projected where the width changes.

    The width changes at one of two places (``dim_mul_in_att``): MViTv2 widens in the attention of a stage's
    first block, and the shortcut is a projection of norm1(x); MViT widens in the MLP of the block before, and
    the shortcut is a projection of norm2(x). In both it is the normed x that is projected.

    Source: SlowFast slowfast/models/attention.py, MultiScaleBlock.
    """

    def __init__(self, architecture: Architecture, spec: BlockSpec) -> None:
        super().__init__()
        self.spec = spec
        self.has_class_token = architecture.cls_embed_on
        self.checkpoint_activations = False
        self.norm1 = nn.LayerNorm(spec.dim_in, eps=NORM_EPS)
        self.attn = MultiScaleAttention(architecture, spec)
        self.norm2 = nn.LayerNorm(spec.att_dim, eps=NORM_EPS)
        self.mlp = Mlp(spec.att_dim, spec.mlp_hidden, spec.dim_out, architecture.dropout_rate)
        self.drop_path = DropPath(spec.drop_path)
        self.proj = Linear(spec.dim_in, spec.dim_out) if spec.dim_in != spec.dim_out else None
        self.widens_in_attention = architecture.dim_mul_in_att
        self.pool_skip: nn.Module | None = None
        if spec.kernel_skip is not None:
            kernel = spec.kernel_skip
            padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
            self.pool_skip = nn.MaxPool3d(kernel, spec.stride_q, padding)

    def forward(self, x_BNC: Tensor, grid: THW) -> tuple[Tensor, THW]:
        """(B, N, dim_in) tokens on `grid` -> (B, N', dim_out) tokens and their grid."""
        if not (self.checkpoint_activations and torch.is_grad_enabled()):
            x_BNC, grid = self._attend(x_BNC, grid)
            return self._feed_forward(x_BNC), grid
        if not runs_in_pieces(x_BNC, self.norm2, self.mlp):
            return _checkpoint(self._attend_and_feed_forward, x_BNC, grid)
        # The MLP is told to keep its input alone: made again too, it would cost two products for nothing.
        x_BNC, grid = _checkpoint(self._attend, x_BNC, grid)
        return self._feed_forward(x_BNC), grid

    def class_token(self, x_BNC: Tensor, grid: THW) -> Tensor:
        """What `forward` makes of the class token, (B, 1, dim_out), where `may_leave_out_patches`.

        On CPUs one clip at a time: products of few rows round by how many there are, and what comes out for a
        clip is not to depend on its neighbours. Not in training mode: it draws branches for all at once.
        """
        if not (self.training or is_captured()) and x_BNC.device.type == "cpu" and len(x_BNC) > 1:
            return torch.cat([self.class_token(x_NC[None], grid) for x_NC in x_BNC])
        normed = self.norm1(x_BNC)
        skip_B1C = x_BNC[:, :1]
        if self.proj is not None and self.widens_in_attention:
            skip_B1C = self.proj(normed[:, :1])
        z_B1C = self.attn.class_token(normed, grid)
        return self._feed_forward(skip_B1C + self.drop_path(z_B1C))

    def _attend(self, x_BNC: Tensor, grid: THW) -> tuple[Tensor, THW]:
        """The first half: pooling attention."""
        normed = self.norm1(x_BNC)
        skip = self.proj(normed) if self.proj is not None and self.widens_in_attention else x_BNC
        if self.pool_skip is not None:
            skip = self._pool_skip(skip, grid)
        z_BNC, grid = self.attn(normed, grid)
        return skip + self.drop_path(z_BNC), grid

    def _pool_skip(self, skip_BNC: Tensor, grid: THW) -> Tensor:
        """Max-pooling of the residual path; on CPUs the path is float32 from there on under autocast.

        Autocast itself would make a float32 copy of what is pooled there, and keep it for the gradient. The
        largest of some numbers is the same in any dtype; only gradients that meet are added up in it.
        """
        assert self.pool_skip is not None
        would_copy = skip_BNC.device.type == "cpu" and torch.is_autocast_enabled("cpu") and not is_captured()
        with torch.autocast("cpu", enabled=False) if would_copy else nullcontext():
            pooled_BNC, _ = pool_tokens(skip_BNC, grid, self.pool_skip, self.has_class_token)
        if would_copy or pooled_BNC.dtype != skip_BNC.dtype:
            # Norms whose weights are in bfloat16 refuse float32.
            pooled_BNC = pooled_BNC.to(torch.promote_types(skip_BNC.dtype, self.norm2.weight.dtype))
        return pooled_BNC

    def _feed_forward(self, x_BNC: Tensor) -> Tensor:
        """The second half: the MLP. At inference it writes to a sum or a projection that nobody else has."""
        projection = None if self.widens_in_attention else self.proj
        if not runs_in_pieces(x_BNC, self.norm2, self.mlp):
            normed = self.norm2(x_BNC)
            skip = x_BNC if projection is None else projection(normed)
            plain_BNC: Tensor = skip + self.drop_path(self.mlp(normed))
            return plain_BNC
        skip = x_BNC if projection is None else projection(self.norm2(x_BNC))
        is_ours = projection is None or is_plain(projection, Linear)
        if is_ours and not (self.training or torch.is_grad_enabled()):
            return add_mlp_branch(skip, x_BNC, self.norm2, self.mlp)
        branch = mlp_branch(x_BNC, self.norm2, self.mlp, keep_hidden=not self.checkpoint_activations)
        out_BNC: Tensor = skip + self.drop_path(branch)
        return out_BNC

    def _attend_and_feed_forward(self, x_BNC: Tensor, grid: THW) -> tuple[Tensor, THW]:
        x_BNC, grid = self._attend(x_BNC, grid)
        return self._feed_forward(x_BNC), grid


def may_leave_out_patches(block: nn.Module) -> bool:
    """Whether a block may be asked for its class token alone.

    Not where gradients are wanted: parameters that only patches use would have none, which is not the same
    as zero to an optimiser, or to processes that train together. Nor where parts were replaced or are watched
    by hooks, nor with dropout, whose random numbers would be others.
    """
    if torch.is_grad_enabled():
        return False
    if type(block) is not MultiScaleBlock or not block.has_class_token or block.attn.use_reference:
        return False
    if type(block.attn) is not MultiScaleAttention or type(block.mlp) is not Mlp:
        return False
    if _may_drop(block.mlp.drop) or _may_drop(block.attn.proj_drop):
        return False
    return not any(is_watched(module) for module in block.modules())


def _may_drop(module: nn.Module) -> bool:
    """Whether a dropout may set anything to zero, or is something else."""
    return type(module) is not nn.Dropout or (module.training and module.p > 0)


def _checkpoint(
    half: Callable[[Tensor, THW], tuple[Tensor, THW]], x_BNC: Tensor, grid: THW
) -> tuple[Tensor, THW]:
    """Call it so that only its input is kept; the backward pass calls it again."""
    result: tuple[Tensor, THW] = checkpoint(half, x_BNC, grid, use_reentrant=False)
    return result
