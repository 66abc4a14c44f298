"""Pooling attention: attention between grids of different size.

    Q = P_Q(X W_Q),  K = P_K(X W_K),  V = P_V(X W_V)      (MViT, "Multi Head Pooling Attention")
    Z = Attention(Q, K, V)                                (the same)
    Z = Attention(Q, K, V) + Q                            (MViTv2, "Residual pooling connection")

P pools on the token grid (see ``pooling``). Pooling Q sets the grid of what comes out; pooling K and V makes
the attention cheap and leaves that grid as it is.

Letters: B clips, N tokens with the class token, C width, A attention heads, D = C / A head dim.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from mvit_video.models.architecture import THW, Architecture, BlockSpec
from mvit_video.models.attend import Layout, attend, reference_attention
from mvit_video.models.capturing import is_captured
from mvit_video.models.linear import Linear, is_plain, linear
from mvit_video.models.pooling import Pool, PoolConv, build_pool, pool_tokens
from mvit_video.models.relative_positions import relative_vectors
from mvit_video.models.thinning import skips, thin_out

NORM_EPS = 1e-6  # of every LayerNorm in every published model


class MultiScaleAttention(nn.Module):
    """Pooling attention with optional relative positions and residual pooling.

    Source: SlowFast slowfast/models/attention.py, MultiScaleAttention.
    """

    def __init__(self, architecture: Architecture, spec: BlockSpec) -> None:
        super().__init__()
        self.num_heads, self.head_dim = spec.num_heads, spec.head_dim
        self.scale = spec.head_dim**-0.5
        self.has_class_token = architecture.cls_embed_on
        self.residual_pooling = architecture.residual_pooling
        self.use_reference = False

        self.qkv = Linear(spec.dim_in, 3 * spec.att_dim, bias=architecture.qkv_bias)
        self.proj = Linear(spec.att_dim, spec.att_dim)
        self.proj_drop = nn.Dropout(architecture.dropout_rate)

        self.pool_q, self.norm_q = _pool_and_norm(architecture, spec.head_dim, spec.kernel_q, spec.stride_q)
        self.pool_k, self.norm_k = _pool_and_norm(architecture, spec.head_dim, spec.kernel_kv, spec.stride_kv)
        self.pool_v, self.norm_v = _pool_and_norm(architecture, spec.head_dim, spec.kernel_kv, spec.stride_kv)

        rows_t, rows_h, rows_w = spec.rel_pos_rows
        self.rel_pos_h = _table(rows_h, spec.head_dim)
        self.rel_pos_w = _table(rows_w, spec.head_dim)
        self.rel_pos_t = _table(rows_t, spec.head_dim)

    def forward(self, x_BNC: Tensor, grid: THW) -> tuple[Tensor, THW]:
        """Attend.

        Args:
            x_BNC: (B, N, dim_in) tokens, normed, the class token first where there is one.
            grid: Grid (t, h, w) of the others.

        Returns:
            (B, N', att_dim) tokens on the grid of the pooled queries, and that grid.
        """
        parts, grid_kv = self._project(x_BNC, grid)
        q_BNAD, grid_q = self._pool(next(parts), grid, self.pool_q, self.norm_q)
        k_BNAD, grid_k = self._pool(next(parts), grid_kv, _pool_for(grid, grid_kv, self.pool_k), self.norm_k)
        v_BNAD, _ = self._pool(next(parts), grid_kv, _pool_for(grid, grid_kv, self.pool_v), self.norm_v)

        layout = Layout(grid_q, grid_k, self.has_class_token)
        tables = self.rel_pos_t, self.rel_pos_h, self.rel_pos_w
        way = reference_attention if self.use_reference else attend
        z_BNAD = way(
            q_BNAD,
            k_BNAD,
            v_BNAD,
            relative_vectors(tables, grid_q, grid_k),
            layout,
            add_queries=self.residual_pooling,
        )
        z_BNC = self.proj(z_BNAD.flatten(2))
        return self.proj_drop(z_BNC), grid_q

    def class_token(self, x_BNC: Tensor, grid: THW) -> Tensor:
        """What `forward` makes of the class token, (B, 1, att_dim).

        It attends to all tokens, has no place and so no relative terms, and is not added to what comes out.
        """
        parts, grid_kv = self._project(x_BNC, grid, x_BNC[:, :1])
        q_B1AD, _ = self._pool(next(parts)[:, :1], grid, None, self.norm_q)
        k_BMAD, _ = self._pool(next(parts), grid_kv, _pool_for(grid, grid_kv, self.pool_k), self.norm_k)
        v_BMAD, _ = self._pool(next(parts), grid_kv, _pool_for(grid, grid_kv, self.pool_v), self.norm_v)
        q_BA1D, k_BAMD, v_BAMD = (x.transpose(1, 2) for x in (q_B1AD, k_BMAD, v_BMAD))
        weights_BA1M = (self.scale * q_BA1D @ k_BAMD.transpose(2, 3)).softmax(dim=3)
        z_BA1D = weights_BA1M.to(v_BAMD.dtype) @ v_BAMD
        z_B1C: Tensor = self.proj_drop(self.proj(z_BA1D.transpose(1, 2).flatten(2)))
        return z_B1C

    def _project(
        self, x_BNC: Tensor, grid: THW, asking_BQC: Tensor | None = None
    ) -> tuple[Iterator[Tensor], THW]:
        """Queries (of the tokens given for it, or of more), keys and values, and the grid of the last two.

        On CPUs they are made one after the other, as slices of one tensor cost copies later; keys and values
        only of the tokens that their pooling reads. Layers that were replaced or are watched get all tokens.
        """
        if is_captured() or x_BNC.device.type != "cpu" or not is_plain(self.qkv, Linear):
            return iter(self.qkv(x_BNC).chunk(3, dim=-1)), grid
        read_BMC, grid_kv = x_BNC, grid
        if _may_thin(self.pool_k) and _may_thin(self.pool_v):
            assert isinstance(self.pool_k, PoolConv)
            kernel, stride = self.pool_k.kernel, self.pool_k.stride
            read_BMC, grid_kv = thin_out(x_BNC, grid, kernel, stride, self.has_class_token)
        biases = (None, None, None) if self.qkv.bias is None else self.qkv.bias.chunk(3)
        asking_BQC = x_BNC if asking_BQC is None else asking_BQC
        return map(linear, (asking_BQC, read_BMC, read_BMC), self.qkv.weight.chunk(3), biases), grid_kv

    def _pool(
        self, x_BNC: Tensor, grid: THW, pool: Pool | None, norm: nn.Module | None
    ) -> tuple[Tensor, THW]:
        """Pool on the grid, split into heads, then norm within each head (the class token too)."""
        if pool is not None:
            x_BNC, grid = pool_tokens(x_BNC, grid, pool, self.has_class_token)
        x_BNAD = torch.unflatten(x_BNC, 2, (self.num_heads, self.head_dim))
        if norm is not None:
            x_BNAD = norm(x_BNAD).to(x_BNAD.dtype)  # autocast norms in float32 on GPUs
        return x_BNAD, grid


def _may_thin(pool: nn.Module | None) -> bool:
    return isinstance(pool, PoolConv) and is_plain(pool, PoolConv) and skips(pool.kernel, pool.stride)


def _pool_for(grid: THW, grid_kv: THW, pool: nn.Module | None) -> Pool | None:
    """The pooling of keys or values: of a whole grid, or of what was left of it."""
    return pool.thinned if isinstance(pool, PoolConv) and grid_kv != grid else pool


def _pool_and_norm(
    architecture: Architecture, head_dim: int, kernel: THW | None, stride: THW
) -> tuple[nn.Module | None, nn.Module | None]:
    """The pooling of one of q, k, v, and the norm that follows a learned one."""
    if kernel is None:
        return None, None
    pool = build_pool(architecture.mode, head_dim, kernel, stride)
    return pool, nn.LayerNorm(head_dim, eps=NORM_EPS) if architecture.mode == "conv" else None


def _table(rows: int, head_dim: int) -> nn.Parameter | None:
    return nn.Parameter(torch.zeros(rows, head_dim)) if rows else None
