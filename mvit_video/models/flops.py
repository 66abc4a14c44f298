"""What a model costs, computed from its numbers alone: the published arithmetic, whatever kernels run it.

One multiply-add counts as one (as in the papers and in fvcore). Counters that watch a model run are of no
use here: they count fused attention as nothing. "With norms" adds 5 per element of every LayerNorm, as fvcore
does.

Letters: L tokens without the class token, N with it, M keys with it.
"""

from dataclasses import dataclass
from math import prod

from mvit_video.models.architecture import THW, Architecture, BlockSpec

NORM_FLOPS_PER_ELEMENT = 5


@dataclass(frozen=True)
class FlopCount:
    """Multiply-adds of one clip through the model, by kind."""

    convolutions: int
    linears: int
    attention: int  # q k^T and its product with v
    relative_positions: int
    norms: int  # 5 per element; not multiply-adds

    @property
    def multiply_adds(self) -> int:
        """What the papers report as FLOPs."""
        return self.convolutions + self.linears + self.attention + self.relative_positions

    @property
    def with_norms(self) -> int:
        """What fvcore reports: the multiply-adds, and the norms."""
        return self.multiply_adds + self.norms

    def __add__(self, other: "FlopCount") -> "FlopCount":
        return FlopCount(
            self.convolutions + other.convolutions,
            self.linears + other.linears,
            self.attention + other.attention,
            self.relative_positions + other.relative_positions,
            self.norms + other.norms,
        )


def count_flops(
    architecture: Architecture,
    *,
    num_frames: int | None = None,
    height: int | None = None,
    width: int | None = None,
) -> FlopCount:
    """Count the multiply-adds of one clip.

    Args:
        architecture: The model's numbers.
        num_frames: Frames of the clip; the architecture's own by default.
        height: In pixels; the architecture's crop size by default.
        width: In pixels; the architecture's crop size by default.

    Returns:
        The count by kind.

    Raises:
        ArchitectureError: When the clip is too small for the model.
    """
    size = architecture.crop_size
    grid = architecture.token_grid(num_frames or architecture.num_frames, height or size, width or size)
    total = _stem(architecture, grid)
    specs = architecture.block_specs(grid)
    for spec in specs:
        total += _block(architecture, spec)
    return total + _end(architecture, specs[-1])


def count_parameters(architecture: Architecture) -> int:
    """Number of parameters of the model, without making it."""
    import torch

    from mvit_video.models.mvit import MViT

    with torch.device("meta"):
        return sum(parameter.numel() for parameter in MViT(architecture).parameters())


def _stem(architecture: Architecture, grid: THW) -> FlopCount:
    tokens, dim = prod(grid), architecture.embed_dim
    convolution = tokens * dim * architecture.in_channels * prod(architecture.patch_kernel)
    norms = (
        NORM_FLOPS_PER_ELEMENT * (tokens + architecture.cls_embed_on) * dim if architecture.norm_stem else 0
    )
    return FlopCount(convolution, 0, 0, 0, norms)


def _block(architecture: Architecture, spec: BlockSpec) -> FlopCount:
    class_token = int(architecture.cls_embed_on)
    n_in, n_out, n_kv = (prod(grid) + class_token for grid in (spec.grid_in, spec.grid_out, spec.grid_kv))

    linears = n_in * spec.dim_in * 3 * spec.att_dim + n_out * spec.att_dim * spec.att_dim
    linears += n_out * spec.mlp_hidden * (spec.att_dim + spec.dim_out)
    if spec.dim_in != spec.dim_out:  # the shortcut widens before its pooling (in attention), or in the MLP
        linears += (n_in if architecture.dim_mul_in_att else n_out) * spec.dim_in * spec.dim_out

    norm_elements = n_in * spec.dim_in + n_out * spec.att_dim
    convolutions = 0
    for kernel, grid, times in ((spec.kernel_q, spec.grid_out, 1), (spec.kernel_kv, spec.grid_kv, 2)):
        if kernel is not None and architecture.mode == "conv":
            convolutions += times * prod(grid) * spec.att_dim * prod(kernel)
            norm_elements += times * (prod(grid) + class_token) * spec.att_dim

    rows_t, rows_h, rows_w = spec.rel_pos_rows
    key_axes = sum(n for n, rows in zip(spec.grid_kv, (rows_t, rows_h, rows_w), strict=True) if rows)
    return FlopCount(
        convolutions=convolutions,
        linears=linears,
        attention=2 * n_out * n_kv * spec.att_dim,
        relative_positions=prod(spec.grid_out) * spec.att_dim * key_axes,
        norms=NORM_FLOPS_PER_ELEMENT * norm_elements,
    )


def _end(architecture: Architecture, last: BlockSpec) -> FlopCount:
    normed = 1 if architecture.use_mean_pooling else prod(last.grid_out) + architecture.cls_embed_on
    linears = last.dim_out * architecture.num_classes
    return FlopCount(0, linears, 0, 0, NORM_FLOPS_PER_ELEMENT * normed * last.dim_out)
