"""Decomposed relative positions (MViTv2, "Decomposed relative position embedding").

Attention between a query i and a key j gets a term that depends on their distance alone,

    E_ij = q_i . R_p(i),p(j)
    R_p(i),p(j) = R^h_h(i),h(j) + R^w_w(i),w(j) + R^t_t(i),t(j)

with one learned vector for each distance along each axis: 2n - 1 rows instead of a table over all pairs. So E
is never needed whole: q_i . R^h, q_i . R^w and q_i . R^t are three short vectors per query, one number per
key row, column and time. The code divides only q . k by sqrt(D), not E (the equation as printed divides
both): the published weights were trained so.

Letters: B clips, A attention heads, L query tokens without the class token, D head dim; T H W the grid of
the queries, Q the queries and S the keys along one axis, J the keys of one clip.
"""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from mvit_video.models.architecture import THW

Vectors = tuple[
    Tensor | None, Tensor | None, Tensor | None
]  # R^t, R^h, R^w, each (Q, S, D), where there is one


def relative_index(num_queries: int, num_keys: int, device: torch.device | None = None) -> Tensor:
    """Row of the table for every (query, key) along one axis: int64 (num_queries, num_keys), from 0.

    Where one of the two is pooled more coarsely, its steps count as that many of the other's. Computed in
    float32 and cut to whole numbers at the end, in this order, as the official code does: fractional ratios
    depend on it.

    Source: SlowFast slowfast/models/attention.py, cal_rel_pos_spatial.
    """
    step_q = max(num_keys / num_queries, 1.0)
    step_k = max(num_queries / num_keys, 1.0)
    i = torch.arange(num_queries, device=device)[:, None] * step_q
    j = torch.arange(num_keys, device=device)[None, :] * step_k
    return (i - j + (num_keys - 1) * step_k).long()


def relative_vectors(tables: Sequence[Tensor | None], grid_q: THW, grid_k: THW) -> Vectors:
    """The vectors R of t, h and w, each (queries, keys, D) along it, where its table is given.

    Args:
        tables: For t, h and w: (rows, D), or None for no term along it.
        grid_q: Grid of the queries.
        grid_k: Grid of the keys.
    """
    t, h, w = (
        None if table is None else axis_vectors(table, num_queries, num_keys)
        for table, num_queries, num_keys in zip(tables, grid_q, grid_k, strict=True)
    )
    return t, h, w


def axis_vectors(table_RD: Tensor, num_queries: int, num_keys: int) -> Tensor:
    """The vectors R of one axis, (num_queries, num_keys, D), from its table of learned rows.

    A table of another length than this axis needs is resized along its rows, linearly. (That happens in
    MViTv2-L at its own size too: 39 tokens pooled by 2 are 20, while the table was made for 39 // 2 = 19.)

    Source: SlowFast slowfast/models/attention.py, get_rel_pos.
    """
    rows = 2 * max(num_queries, num_keys) - 1
    if table_RD.shape[0] != rows:
        exact = torch.promote_types(table_RD.dtype, torch.float32)
        table_1DR = table_RD.t().unsqueeze(0).to(exact)
        resized_1DR = F.interpolate(table_1DR, size=rows, mode="linear", align_corners=False)
        table_RD = resized_1DR.squeeze(0).t().to(table_RD.dtype)
    index = relative_index if torch.compiler.is_compiling() else _kept_index
    return table_RD[index(num_queries, num_keys, table_RD.device)]


@lru_cache(maxsize=256)
def _kept_index(num_queries: int, num_keys: int, device: torch.device) -> Tensor:
    """`relative_index`, made once: a dozen small operators otherwise."""
    with torch.inference_mode(mode=False):  # usable in training whoever asks first
        return relative_index(num_queries, num_keys, device)


def relative_terms(q_BALD: Tensor, grid_q: THW, vectors: Vectors) -> tuple[Tensor, ...]:
    """The terms q . R^t, q . R^h and q . R^w, each where its vectors are given.

    Args:
        q_BALD: Queries without the class token's, not scaled: (B, A, L, D).
        grid_q: Grid of the queries.
        vectors: For each axis its (Q, S, D), or None for no term along it (see `relative_vectors`).

    Returns:
        For each axis in the order t, h, w: (B, A, L, S), the term for every key coordinate S along it; with
        no vectors, an empty (B, A, L, 0).
    """
    q_BATHWD = torch.unflatten(q_BALD, 2, grid_q)
    terms = []
    for axis, vectors_QSD in zip("thw", vectors, strict=True):
        if vectors_QSD is None:
            terms.append(q_BALD[..., :0])
            continue
        term_BATHWS = torch.einsum(f"bathwd,{axis}sd->bathws", q_BATHWD, vectors_QSD)
        terms.append(term_BATHWS.flatten(2, 4))
    return tuple(terms)


def key_indicators(
    grid_k: THW, axes: tuple[bool, bool, bool], dtype: torch.dtype, device: torch.device
) -> Tensor:
    """One-hot coordinates of every key along the axes asked for: (J, st + sh + sw).

    Beside `relative_terms` joined along their last axis, the product of the two is E: a query's row picks,
    for each key, the three numbers that belong to that key's time, row and column.
    """
    indicators = [torch.zeros(grid_k[0] * grid_k[1] * grid_k[2], 0, dtype=dtype, device=device)]
    for axis, size in enumerate(grid_k):
        if not axes[axis]:
            continue
        shape = [1, 1, 1, size]
        shape[axis] = size
        one_hot = torch.eye(size, dtype=dtype, device=device).view(shape)
        indicators.append(one_hot.expand(*grid_k, size).reshape(-1, size))
    return torch.cat(indicators, dim=1)
