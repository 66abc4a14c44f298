"""Softmax attention over pooled tokens, twice: fused, and written out as the reference it is held to.

    Attention(Q, K, V) = softmax(Q K^T / sqrt(D) + E) V

(MViT, "Multi Head Pooling Attention"; with E: MViTv2, "Decomposed relative position embedding".)

E_ij = a_i,t(j) + b_i,h(j) + c_i,w(j) comes as three short vectors per query (see ``relative_positions``).

Letters: B clips, A attention heads, N queries and M keys with the class token, L queries without it,
D head dim.
"""

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from mvit_video.models.architecture import THW
from mvit_video.models.relative_positions import key_indicators

WIDEST_FUSED = 256  # head dim beyond which no fused CUDA kernel runs
CHUNK_ELEMENTS = 1 << 24  # attention weights held at a time where the fused kernel cannot run


def fused_attention(
    q_BAND: Tensor, k_BAMD: Tensor, v_BAMD: Tensor, terms: tuple[Tensor, ...], grid_k: THW, scale: float
) -> Tensor:
    """Attention in one fused kernel, which never holds the N x M matrix; E included.

    The relative terms ride in the head dim: the queries get them as extra columns, divided by the scale that
    the kernel will multiply by, and the keys get one-hot indicators of their coordinates, so that the product
    of the two adds E exactly. The class token has zeros in both. Keys, queries and values are padded with
    zeros to one width that is a multiple of 8: unequal or odd widths make the fused kernels refuse, silently.

    Args:
        q_BAND: Queries; N is L, or L + 1 with the class token first.
        k_BAMD: Keys.
        v_BAMD: Values.
        terms: (B, A, L, S) for t, h, w, any of which may have no columns (see `relative_terms`).
        grid_k: Grid of the keys.
        scale: 1 / sqrt(D).

    Returns:
        (B, A, N, D), a view of the padded result.
    """
    head_dim, num_columns = q_BAND.shape[-1], sum(term.shape[-1] for term in terms)
    width = -(-(head_dim + num_columns) // 8) * 8
    if width > WIDEST_FUSED:
        return chunked_attention(q_BAND, k_BAMD, v_BAMD, terms, grid_k, scale)
    padding = width - head_dim - num_columns
    if num_columns:
        columns = torch.cat(terms, dim=-1) / scale
        indicators = key_indicators(grid_k, terms)
        has_class_token = q_BAND.shape[2] - columns.shape[2]
        columns = F.pad(columns, (0, padding, has_class_token, 0))
        indicators = F.pad(indicators, (0, padding, has_class_token, 0))
        q_BAND = torch.cat((q_BAND, columns), dim=-1)
        k_BAMD = torch.cat((k_BAMD, indicators.expand(*k_BAMD.shape[:2], -1, -1)), dim=-1)
    elif padding:
        q_BAND, k_BAMD = F.pad(q_BAND, (0, padding)), F.pad(k_BAMD, (0, padding))
    v_BAMD = F.pad(v_BAMD, (0, width - head_dim))
    # Contiguous: on CPUs the fused kernel takes transposed views at less than half the speed.
    out = F.scaled_dot_product_attention(
        q_BAND.contiguous(), k_BAMD.contiguous(), v_BAMD.contiguous(), scale=scale
    )
    return out[..., :head_dim]


def reference_attention(
    q_BAND: Tensor, k_BAMD: Tensor, v_BAMD: Tensor, terms: tuple[Tensor, ...], grid_k: THW, scale: float
) -> Tensor:
    """The same, term by term as the papers have it. Holds the N x M matrix: for tests and FLOP counts."""
    scores_BANM = (q_BAND * scale) @ k_BAMD.transpose(-2, -1)
    first = q_BAND.shape[2] - terms[0].shape[2]  # 1 with a class token, which has no position
    bias = _bias(terms, grid_k)
    if bias is not None:
        scores_BANM = scores_BANM + F.pad(bias, (first, 0, first, 0))
    return scores_BANM.softmax(dim=-1) @ v_BAMD


def chunked_attention(
    q_BAND: Tensor, k_BAMD: Tensor, v_BAMD: Tensor, terms: tuple[Tensor, ...], grid_k: THW, scale: float
) -> Tensor:
    """The reference, a bounded number of queries at a time, for clips too large for the fused kernel's width.

    Memory stays bounded in training too: the backward pass computes each chunk again.
    """
    batch, heads, num_queries, _ = q_BAND.shape
    first = num_queries - terms[0].shape[2]
    size = max(1, CHUNK_ELEMENTS // (batch * heads * k_BAMD.shape[2]))
    padded = tuple(F.pad(term, (0, 0, first, 0)) for term in terms)
    chunks = []
    for start in range(0, num_queries, size):
        part = tuple(term[:, :, start : start + size] for term in padded)
        chunks.append(
            checkpoint(
                _attend_chunk,
                q_BAND[:, :, start : start + size],
                k_BAMD,
                v_BAMD,
                part,
                grid_k,
                scale,
                use_reentrant=False,
            )
        )
    return torch.cat(chunks, dim=2)


def _attend_chunk(
    q_BAND: Tensor, k_BAMD: Tensor, v_BAMD: Tensor, terms: tuple[Tensor, ...], grid_k: THW, scale: float
) -> Tensor:
    """Some queries, whose terms hold a zero row for the class token, against all keys."""
    scores_BANM = (q_BAND * scale) @ k_BAMD.transpose(-2, -1)
    bias = _bias(terms, grid_k)
    if bias is not None:
        scores_BANM = scores_BANM + F.pad(bias, (scores_BANM.shape[-1] - bias.shape[-1], 0))
    return scores_BANM.softmax(dim=-1) @ v_BAMD


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
