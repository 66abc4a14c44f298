"""Softmax attention over pooled tokens, three times over: the same sums in three ways.

    Attention(Q, K, V) = softmax(Q K^T / sqrt(D) + E) V

(MViT, "Multi Head Pooling Attention"; with E: MViTv2, "Decomposed relative position embedding".)

E_ij = a_i,t(j) + b_i,h(j) + c_i,w(j) comes as three short vectors per query (see ``relative_positions``).

- `blocked_attention` (see ``blocked``) works through blocks of queries that fit the cache: for CPUs, and for
  heads too wide for fused kernels;
- `fused_attention` leaves it to one fused kernel: for GPUs, for bfloat16 on CPUs with AMX or ARM's BF16, for
  models that are compiled or exported;
- `reference_attention` writes it out as the papers do: what the others are held to.

Letters: B clips, A attention heads, N queries and M keys with the class token, L queries without it, D head
dim, S columns of relative terms.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from mvit_video.models.architecture import THW
from mvit_video.models.blocked import blocked_attention
from mvit_video.models.capturing import is_captured
from mvit_video.models.processor import AMX, ARM_BF16, bfloat16_instructions
from mvit_video.models.relative_columns import relative_columns
from mvit_video.models.relative_positions import Vectors, key_indicators, relative_terms

WIDEST_FUSED = 256  # head dim beyond which no fused CUDA kernel runs


@dataclass(frozen=True)
class Layout:
    """How the tokens of one attention lie."""

    grid_q: THW
    grid_k: THW
    has_class_token: bool  # at index 0 of queries, keys and values


def attend(
    q_BNAD: Tensor, k_BMAD: Tensor, v_BMAD: Tensor, vectors: Vectors, layout: Layout, *, add_queries: bool
) -> Tensor:
    """Attention, by whichever way is fastest here.

    Args:
        q_BNAD: Queries, pooled and normed.
        k_BMAD: Keys.
        v_BMAD: Values.
        vectors: The relative vectors of t, h, w (see `relative_vectors`), each where there is one.
        layout: Grids of queries and keys.
        add_queries: Whether to add the queries to what comes out, but for the class token's (MViTv2,
            "Residual pooling connection").

    Returns:
        (B, N, A, D).
    """
    way = _by_blocks if _prefers_blocks(q_BNAD, vectors) else fused_attention
    return way(q_BNAD, k_BMAD, v_BMAD, vectors, layout, add_queries=add_queries)


def fused_attention(
    q_BNAD: Tensor, k_BMAD: Tensor, v_BMAD: Tensor, vectors: Vectors, layout: Layout, *, add_queries: bool
) -> Tensor:
    """As `attend`, in one fused kernel, which never holds the N x M matrix; E included.

    The relative terms ride in the head dim: the queries get them as extra columns, divided by the scale that
    the kernel will multiply by, and the keys get one-hot indicators of their coordinates, so that the product
    of the two adds E exactly. The class token has zeros in both. Keys, queries and values are padded with
    zeros to one width that is a multiple of 8: unequal or odd widths make the fused kernels refuse, silently.
    """
    q_BAND, k_BAMD, v_BAMD = (x.transpose(1, 2) for x in (q_BNAD, k_BMAD, v_BMAD))
    head_dim, first = q_BAND.shape[-1], int(layout.has_class_token)
    terms = relative_terms(q_BAND[:, :, first:], layout.grid_q, vectors)
    scale, num_columns = head_dim**-0.5, _num_columns(vectors)
    width = _padded_width(head_dim, vectors)
    padding = width - head_dim - num_columns
    if num_columns:
        columns = F.pad(torch.cat(terms, dim=-1) / scale, (0, padding, first, 0))
        indicators = key_indicators(layout.grid_k, _axes(vectors), k_BAMD.dtype, k_BAMD.device)
        indicators = F.pad(indicators, (0, padding, first, 0))
        q_BAND = torch.cat((q_BAND, columns), dim=-1)
        k_BAMD = torch.cat((k_BAMD, indicators.expand(*k_BAMD.shape[:2], -1, -1)), dim=-1)
    elif padding:
        q_BAND, k_BAMD = F.pad(q_BAND, (0, padding)), F.pad(k_BAMD, (0, padding))
    v_BAMD = F.pad(v_BAMD, (0, width - head_dim))
    # Contiguous: on CPUs the fused kernel takes transposed views at less than half the speed.
    z_BAND = F.scaled_dot_product_attention(
        q_BAND.contiguous(), k_BAMD.contiguous(), v_BAMD.contiguous(), scale=scale
    )
    z_BNAD = z_BAND[..., :head_dim].transpose(1, 2)
    return _plus_queries(z_BNAD, q_BNAD, first) if add_queries else z_BNAD


def reference_attention(
    q_BNAD: Tensor, k_BMAD: Tensor, v_BMAD: Tensor, vectors: Vectors, layout: Layout, *, add_queries: bool
) -> Tensor:
    """As `attend`, term by term as the papers have it. Holds the N x M matrix: for tests and FLOP counts."""
    q_BAND, k_BAMD, v_BAMD = (x.transpose(1, 2) for x in (q_BNAD, k_BMAD, v_BMAD))
    first = int(layout.has_class_token)
    scores_BANM = (q_BAND * q_BAND.shape[-1] ** -0.5) @ k_BAMD.transpose(-2, -1)
    bias = _bias(relative_terms(q_BAND[:, :, first:], layout.grid_q, vectors), layout.grid_k)
    if bias is not None:
        scores_BANM = scores_BANM + F.pad(bias, (first, 0, first, 0))
    z_BNAD = (scores_BANM.softmax(dim=-1) @ v_BAMD).transpose(1, 2)
    return _plus_queries(z_BNAD, q_BNAD, first) if add_queries else z_BNAD


def _by_blocks(
    q_BNAD: Tensor, k_BMAD: Tensor, v_BMAD: Tensor, vectors: Vectors, layout: Layout, *, add_queries: bool
) -> Tensor:
    """As `attend`, a block of queries at a time."""
    first = int(layout.has_class_token)
    q_BNAD = q_BNAD.contiguous()
    columns_BNAS = relative_columns(q_BNAD, layout.grid_q, vectors, first)
    indicators_MS = _indicators(layout, _axes(vectors), columns_BNAS.dtype, columns_BNAS.device)
    return blocked_attention(
        q_BNAD, k_BMAD, v_BMAD, columns_BNAS, indicators_MS, add_from=first if add_queries else None
    )


def _prefers_blocks(q_BNAD: Tensor, vectors: Vectors) -> bool:
    if is_captured():
        return False
    if q_BNAD.device.type == "cuda":
        return _padded_width(q_BNAD.shape[-1], vectors) > WIDEST_FUSED
    if q_BNAD.dtype == torch.bfloat16 and bfloat16_instructions() in (AMX, ARM_BF16):
        return False  # with AVX512 alone the fused kernel takes twice as long as separate products
    return q_BNAD.device.type == "cpu"


@lru_cache(maxsize=64)
def _indicators(
    layout: Layout, axes: tuple[bool, bool, bool], dtype: torch.dtype, device: torch.device
) -> Tensor:
    """`key_indicators`, zeros for the class token included, (M, S), made once."""
    with torch.inference_mode(mode=False):  # usable in training whoever asks first
        indicators = key_indicators(layout.grid_k, axes, dtype, device)
        first = indicators.new_zeros((int(layout.has_class_token), indicators.shape[1]))
        return torch.cat((first, indicators))  # torch 2.6 pads no tensor without columns


def _axes(vectors: Vectors) -> tuple[bool, bool, bool]:
    t, h, w = vectors
    return t is not None, h is not None, w is not None


def _num_columns(vectors: Vectors) -> int:
    return sum(0 if vectors_QSD is None else vectors_QSD.shape[1] for vectors_QSD in vectors)


def _padded_width(head_dim: int, vectors: Vectors) -> int:
    return -(-(head_dim + _num_columns(vectors)) // 8) * 8


def _plus_queries(z_BNAD: Tensor, q_BNAD: Tensor, first: int) -> Tensor:
    """Residual pooling: Z = Attention + Q, but for the class token, which stays as it is."""
    if not first:
        return z_BNAD + q_BNAD
    return torch.cat((z_BNAD[:, :first], z_BNAD[:, first:] + q_BNAD[:, first:]), dim=1)


def _bias(terms: tuple[Tensor, ...], grid_k: THW) -> Tensor | None:
    """E written out, (B, A, L, t*h*w of the keys); None where there is no term."""
    bias = None
    for axis, term in enumerate(terms):
        if term.shape[-1] == 0:
            continue
        shape = [1, 1, 1]
        shape[axis] = grid_k[axis]
        spread = torch.unflatten(term, -1, shape)
        bias = spread if bias is None else bias + spread
    return None if bias is None else bias.expand(*bias.shape[:3], *grid_k).flatten(3)
