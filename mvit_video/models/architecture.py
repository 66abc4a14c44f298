"""What a multiscale vision transformer is made of: plain numbers, and what follows from them.

``Architecture`` holds the choices, under SlowFast's names in lower case; ``Architecture.block_specs`` derives
the numbers of every block once, for the model, the FLOP count and the printed table alike. No torch here.

MViT: Fan et al., "Multiscale Vision Transformers", 2021 (arXiv 2104.11227).
MViTv2: Li et al., "MViTv2: Improved Multiscale Vision Transformers for Classification and Detection", 2022
(arXiv 2112.01526).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from math import prod

THW = tuple[int, int, int]  # time, height, width: a grid of tokens, a kernel or a stride
BlockFactor = tuple[int, float]  # (block, factor)
BlockStride = tuple[int, int, int, int]  # (block, t, h, w)

POOL_MODES = ("conv", "avg", "max")


class ArchitectureError(ValueError):
    """A field of an architecture that cannot be, or does not fit the others."""


@dataclass(frozen=True)
class BlockSpec:
    """The numbers of one block, all derived from an `Architecture`.

    Grids are (t, h, w) counts of tokens without the class token. A kernel of None means no pooling at all
    (neither convolution nor norm), and its stride is then (1, 1, 1).
    """

    index: int
    dim_in: int
    att_dim: int  # width inside the attention, and of the MLP's input
    dim_out: int
    num_heads: int
    head_dim: int
    mlp_hidden: int
    grid_in: THW
    grid_out: THW  # of the queries, and of what the block gives
    grid_kv: THW
    kernel_q: THW | None
    stride_q: THW
    kernel_kv: THW | None
    stride_kv: THW
    rel_pos_rows: tuple[int, int, int]  # rows of the tables for t, h and w as built; 0 = no table
    drop_path: float

    @property
    def kernel_skip(self) -> THW | None:
        """Kernel of the max pooling on the residual path, None where the block keeps its grid."""
        return None if prod(self.stride_q) == 1 else derived_kernel(self.stride_q)


@dataclass(frozen=True)
class Architecture:
    """Every choice that makes one model; names are SlowFast's ``MVIT.*`` keys in lower case.

    Lists are accepted wherever tuples are declared. The defaults are SlowFast's, except the patch padding,
    which is the one all published models use.

    Raises:
        ArchitectureError: When a value cannot be or the values do not fit each other; names the field.
    """

    num_frames: int = 16
    crop_size: int = 224
    in_channels: int = 3
    num_classes: int = 400
    patch_kernel: THW = (3, 7, 7)
    patch_stride: THW = (2, 4, 4)
    patch_padding: THW = (1, 3, 3)
    embed_dim: int = 96
    num_heads: int = 1
    depth: int = 16
    mlp_ratio: float = 4.0
    qkv_bias: bool = True
    droppath_rate: float = 0.1
    dropout_rate: float = 0.0
    dim_mul: tuple[BlockFactor, ...] = ()
    head_mul: tuple[BlockFactor, ...] = ()
    pool_q_stride: tuple[BlockStride, ...] = ()
    pool_kv_stride: tuple[BlockStride, ...] = ()
    pool_kv_stride_adaptive: THW | None = None
    pool_kvq_kernel: THW | None = None  # None: stride + 1 where the stride is above 1, else 1
    mode: str = "conv"
    cls_embed_on: bool = True
    use_abs_pos: bool = True
    sep_pos_embed: bool = False
    rel_pos_spatial: bool = False
    rel_pos_temporal: bool = False
    rel_pos_zero_init: bool = False
    residual_pooling: bool = False
    dim_mul_in_att: bool = False
    norm_stem: bool = False
    use_mean_pooling: bool = False
    head_dropout_rate: float = 0.0
    head_init_scale: float = 1.0

    def __post_init__(self) -> None:
        for name in (
            "patch_kernel",
            "patch_stride",
            "patch_padding",
            "pool_kv_stride_adaptive",
            "pool_kvq_kernel",
        ):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _thw(name, value, least=0 if name == "patch_padding" else 1))
        for name in ("dim_mul", "head_mul"):
            object.__setattr__(self, name, _block_factors(name, getattr(self, name), self.depth))
        for name in ("pool_q_stride", "pool_kv_stride"):
            object.__setattr__(self, name, _block_strides(name, getattr(self, name), self.depth))
        self._check_numbers()
        for spec in self.block_specs():
            if spec.att_dim % spec.num_heads:
                raise ArchitectureError(
                    f"num_heads: block {spec.index} has {spec.num_heads} heads, which do not divide its "
                    f"width {spec.att_dim}; change embed_dim, num_heads, dim_mul or head_mul"
                )
            skip = spec.kernel_skip
            shortcut = spec.grid_in if skip is None else pooled_grid(spec.grid_in, skip, spec.stride_q)
            if shortcut != spec.grid_out:
                raise ArchitectureError(
                    f"pool_kvq_kernel: {spec.kernel_q} with stride {spec.stride_q} makes a grid of "
                    f"{spec.grid_out} in block {spec.index}, and the shortcut beside it {shortcut}; take odd "
                    "kernels and strides of 1 or 2"
                )

    def _check_numbers(self) -> None:
        for name in (
            "num_frames",
            "crop_size",
            "in_channels",
            "num_classes",
            "embed_dim",
            "num_heads",
            "depth",
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ArchitectureError(f"{name}: expected a whole number of at least 1, got {value!r}")
        for name in ("droppath_rate", "dropout_rate", "head_dropout_rate"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 <= value < 1:
                raise ArchitectureError(f"{name}: expected a rate in [0, 1), got {value!r}")
        if not isinstance(self.mlp_ratio, int | float) or not self.mlp_ratio > 0:
            raise ArchitectureError(f"mlp_ratio: expected a number above 0, got {self.mlp_ratio!r}")
        if self.mode not in POOL_MODES:
            raise ArchitectureError(f"mode: expected one of {', '.join(POOL_MODES)}, got {self.mode!r}")
        if self.pool_kv_stride and self.pool_kv_stride_adaptive is not None:
            raise ArchitectureError(
                "pool_kv_stride: given together with pool_kv_stride_adaptive, which derives it; keep one"
            )
        if self.num_frames < self.patch_stride[0] or self.crop_size < max(self.patch_stride[1:]):
            raise ArchitectureError(
                f"num_frames, crop_size: {self.num_frames} frames of {self.crop_size} pixels are smaller "
                f"than one patch_stride {self.patch_stride}"
            )

    @property
    def built_grid(self) -> THW:
        """Token grid that position and relative position tables are built for (sizes floored by the stride).

        Source: SlowFast slowfast/models/video_model_builder.py, MViT.patch_dims.
        """
        t, h, w = self.patch_stride
        return self.num_frames // t, self.crop_size // h, self.crop_size // w

    def token_grid(self, num_frames: int, height: int, width: int) -> THW:
        """Token grid (t, h, w) that the patch embedding gives for a clip of this size in frames and pixels.

        Raises:
            ArchitectureError: When the clip is smaller than one patch stride or the unpadded kernel.
        """
        size = (num_frames, height, width)
        least = tuple(
            max(s, k - 2 * p)
            for k, s, p in zip(self.patch_kernel, self.patch_stride, self.patch_padding, strict=True)
        )
        if any(n < m for n, m in zip(size, least, strict=True)):
            raise ArchitectureError(
                f"clip of {num_frames} frames, {height} x {width} pixels: too small, this model needs at "
                f"least {least[0]} frames, {least[1]} x {least[2]} pixels"
            )
        return pooled_grid(size, self.patch_kernel, self.patch_stride, self.patch_padding)

    def block_specs(self, grid: THW | None = None) -> tuple[BlockSpec, ...]:
        """Derive the numbers of every block.

        Args:
            grid: Token grid (t, h, w) that enters block 0; by default that of a clip of the architecture's
                own size. Widths, heads, kernels and the rows of the tables do not depend on it.

        Returns:
            One `BlockSpec` per block, in order.

        Source: SlowFast slowfast/models/video_model_builder.py, MViT.__init__.
        """
        if grid is None:
            grid = self.token_grid(self.num_frames, self.crop_size, self.crop_size)
        dim_mul: Mapping[int, float] = dict(self.dim_mul)
        head_mul: Mapping[int, float] = dict(self.head_mul)
        stride_q = {block: stride for block, *stride in self.pool_q_stride}
        stride_kv = self._kv_strides()
        specs: list[BlockSpec] = []
        built, dim_in, num_heads = self.built_grid, self.embed_dim, self.num_heads
        for i in range(self.depth):
            # Heads multiply at the listed block. The width does too (MViTv2), or else in the MLP of the block
            # before it (MViT), so that it is there when the listed block starts.
            num_heads = round_width(num_heads, head_mul.get(i, 1.0))
            widened = i if self.dim_mul_in_att else i + 1
            divisor = round_width(num_heads, head_mul.get(widened, 1.0))
            dim_out = round_width(dim_in, dim_mul.get(widened, 1.0), divisor=divisor)
            att_dim = dim_out if self.dim_mul_in_att else dim_in
            kernel_q, s_q = self._pooling(stride_q.get(i))
            kernel_kv, s_kv = self._pooling(stride_kv.get(i))
            grid_out = grid if kernel_q is None else pooled_grid(grid, kernel_q, s_q)
            specs.append(
                BlockSpec(
                    index=i,
                    dim_in=dim_in,
                    att_dim=att_dim,
                    dim_out=dim_out,
                    num_heads=num_heads,
                    head_dim=att_dim // num_heads,
                    mlp_hidden=int(att_dim * self.mlp_ratio),
                    grid_in=grid,
                    grid_out=grid_out,
                    grid_kv=grid if kernel_kv is None else pooled_grid(grid, kernel_kv, s_kv),
                    kernel_q=kernel_q,
                    stride_q=s_q,
                    kernel_kv=kernel_kv,
                    stride_kv=s_kv,
                    rel_pos_rows=self._rel_pos_rows(built, s_q, s_kv),
                    drop_path=self.droppath_rate * i / max(self.depth - 1, 1),
                )
            )
            grid, dim_in = grid_out, dim_out
            built = (built[0] // s_q[0], built[1] // s_q[1], built[2] // s_q[2])
        return tuple(specs)

    def _kv_strides(self) -> dict[int, list[int]]:
        """Stride of the keys and values by block: as listed, or kept proportional to the grid (adaptive)."""
        if self.pool_kv_stride_adaptive is None:
            return {block: stride for block, *stride in self.pool_kv_stride}
        pooled = {block: stride for block, *stride in self.pool_q_stride}
        strides: dict[int, list[int]] = {}
        running = list(self.pool_kv_stride_adaptive)
        for i in range(self.depth):
            running = [max(s // q, 1) for s, q in zip(running, pooled.get(i, (1, 1, 1)), strict=True)]
            strides[i] = running
        return strides

    def _pooling(self, stride: Iterable[int] | None) -> tuple[THW | None, THW]:
        """(kernel, stride) of a pooling; kernel None when there is nothing to do."""
        if stride is None:
            return None, (1, 1, 1)
        t, h, w = stride
        kernel = self.pool_kvq_kernel or derived_kernel((t, h, w))
        return (None if prod(kernel) * t * h * w == 1 else kernel), (t, h, w)

    def _rel_pos_rows(self, built: THW, stride_q: THW, stride_kv: THW) -> tuple[int, int, int]:
        """Rows of the relative position tables: 2 * n - 1 for the longer of the query and the key axis.

        Height and width share one length (tables are built for square clips), and time is never pooled here:
        Source: SlowFast slowfast/models/attention.py, MultiScaleAttention.__init__.
        """
        spatial = max(built[1] // stride_q[1], built[1] // stride_kv[1], 1)
        rows_hw = 2 * spatial - 1 if self.rel_pos_spatial else 0
        rows_t = 2 * max(built[0], 1) - 1 if self.rel_pos_temporal else 0
        return rows_t, rows_hw, rows_hw


def derived_kernel(stride: THW) -> THW:
    """Kernel of a pooling that names only its stride: overlapping where it strides, 1 elsewhere."""
    t, h, w = (s + 1 if s > 1 else 1 for s in stride)
    return t, h, w


def pooled_grid(grid: THW, kernel: THW, stride: THW, padding: THW | None = None) -> THW:
    """Size after a convolution or pooling; `padding` defaults to kernel // 2, as in all poolings here."""
    pads = padding or tuple(k // 2 for k in kernel)
    t, h, w = ((n + 2 * p - k) // s + 1 for n, k, s, p in zip(grid, kernel, stride, pads, strict=True))
    return t, h, w


def round_width(width: int, multiplier: float, divisor: int = 1) -> int:
    """`width` times `multiplier`, rounded to a multiple of `divisor`, never below nine tenths of that.

    Source: SlowFast slowfast/models/utils.py, round_width.
    """
    product = width * multiplier
    rounded = max(1, int(product + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * product else rounded


def field_names() -> tuple[str, ...]:
    """Names of the fields of `Architecture`, in order."""
    return tuple(field.name for field in fields(Architecture))


def _thw(name: str, value: Iterable[int], least: int) -> THW:
    numbers = tuple(value) if isinstance(value, Iterable) else ()
    if len(numbers) != 3 or not all(isinstance(n, int) and n >= least for n in numbers):
        raise ArchitectureError(
            f"{name}: expected three whole numbers of at least {least} (time, height, width), got {value!r}"
        )
    t, h, w = numbers
    return t, h, w


def _require_list(name: str, value: object) -> None:
    if not isinstance(value, Iterable):
        raise ArchitectureError(f"{name}: expected a list of entries, one per block, got {value!r}")


def _block_factors(name: str, value: Iterable[Iterable[float]], depth: int) -> tuple[BlockFactor, ...]:
    _require_list(name, value)
    entries: dict[int, float] = {}
    for entry in value:
        numbers = tuple(entry) if isinstance(entry, Iterable) else ()
        is_entry = len(numbers) == 2 and all(isinstance(n, int | float) for n in numbers)
        if not is_entry or numbers[0] != int(numbers[0]) or not numbers[1] > 0:
            raise ArchitectureError(f"{name}: expected entries (block, factor), got {entry!r}")
        block = int(numbers[0])
        if not 0 <= block <= depth:
            raise ArchitectureError(f"{name}: block {block} is not one of the {depth} blocks")
        entries[block] = float(numbers[1])
    return tuple(sorted(entries.items()))


def _block_strides(name: str, value: Iterable[Iterable[int]], depth: int) -> tuple[BlockStride, ...]:
    _require_list(name, value)
    entries: dict[int, BlockStride] = {}
    for entry in value:
        numbers = tuple(entry) if isinstance(entry, Iterable) else ()
        if len(numbers) != 4 or not all(isinstance(n, int) for n in numbers) or min(numbers[1:]) < 1:
            raise ArchitectureError(f"{name}: expected entries (block, t, h, w), got {entry!r}")
        block, t, h, w = numbers
        if not 0 <= block < depth:
            raise ArchitectureError(
                f"{name}: block {block} is not one of the {depth} blocks (0 to {depth - 1})"
            )
        entries[block] = (block, t, h, w)
    return tuple(entries[block] for block in sorted(entries))
