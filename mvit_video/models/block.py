"""One transformer block: pooling attention and an MLP, on a residual path that follows grid and width.

Letters: B clips, N tokens with the class token, C width.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from mvit_video.models.architecture import THW, Architecture, BlockSpec
from mvit_video.models.attention import NORM_EPS, MultiScaleAttention
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


class Mlp(nn.Module):
    """Linear, GELU (the exact one), linear.

    Source: SlowFast slowfast/models/common.py, Mlp.
    """

    def __init__(self, dim_in: int, dim_hidden: int, dim_out: int, dropout_rate: float) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim_in, dim_hidden)
        self.fc2 = nn.Linear(dim_hidden, dim_out)
        self.drop = nn.Dropout(dropout_rate)

    def forward(self, x_BNC: Tensor) -> Tensor:
        """(B, N, dim_in) -> (B, N, dim_out)."""
        hidden = self.drop(F.gelu(self.fc1(x_BNC)))
        out: Tensor = self.drop(self.fc2(hidden))
        return out


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
        self.norm1 = nn.LayerNorm(spec.dim_in, eps=NORM_EPS)
        self.attn = MultiScaleAttention(architecture, spec)
        self.norm2 = nn.LayerNorm(spec.att_dim, eps=NORM_EPS)
        self.mlp = Mlp(spec.att_dim, spec.mlp_hidden, spec.dim_out, architecture.dropout_rate)
        self.drop_path = DropPath(spec.drop_path)
        self.proj = nn.Linear(spec.dim_in, spec.dim_out) if spec.dim_in != spec.dim_out else None
        self.widens_in_attention = architecture.dim_mul_in_att
        self.pool_skip: nn.Module | None = None
        if spec.kernel_skip is not None:
            kernel = spec.kernel_skip
            padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
            self.pool_skip = nn.MaxPool3d(kernel, spec.stride_q, padding)

    def forward(self, x_BNC: Tensor, grid: THW) -> tuple[Tensor, THW]:
        """(B, N, dim_in) tokens on `grid` -> (B, N', dim_out) tokens and their grid."""
        normed = self.norm1(x_BNC)
        z_BNC, grid_out = self.attn(normed, grid)
        skip = self.proj(normed) if self.proj is not None and self.widens_in_attention else x_BNC
        if self.pool_skip is not None:
            skip, _ = pool_tokens(skip, grid, self.pool_skip, self.has_class_token)
        x_BNC = skip + self.drop_path(z_BNC)

        normed = self.norm2(x_BNC)
        skip = self.proj(normed) if self.proj is not None and not self.widens_in_attention else x_BNC
        return skip + self.drop_path(self.mlp(normed)), grid_out
