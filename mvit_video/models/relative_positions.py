"""Decomposed relative positions (MViTv2, "Decomposed relative position embedding").

Attention between a query i and a key j gets a term that depends on their distance alone,

    E_ij = q_i . R_p(i),p(j)
    R_p(i),p(j) = R^h_h(i),h(j) + R^w_w(i),w(j) + R^t_t(i),t(j)

with one learned vector for each distance along each axis: 2n - 1 rows instead of a table over all pairs. So E
is never needed whole: q_i . R^h, q_i . R^w and q_i . R^t are three short vectors per query, one number per
key row, column and time. The code divides only q . k by sqrt(D), not E (the equation as printed divides
both): the published weights were trained so.

Letters: B clips, A attention heads, L query tokens without the class token, D head dim; T H W the grid of
the queries, S the keys along one axis, J the keys of one clip.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from mvit_video.models.architecture import THW


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


def relative_vectors(table_RD: Tensor, num_queries: int, num_keys: int) -> Tensor:
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
    return table_RD[relative_index(num_queries, num_keys, table_RD.device)]


def relative_terms(
    q_BALD: Tensor,
    grid_q: THW,
    grid_k: THW,
    table_t: Tensor | None,
    table_h: Tensor | None,
    table_w: Tensor | None,
) -> tuple[Tensor, ...]:
    """The terms q . R^t, q . R^h and q . R^w, each where its table is given.

    Args:
        q_BALD: Queries without the class token's, not scaled: (B, A, L, D).
        grid_q: Grid of the queries.
        grid_k: Grid of the keys.
        table_t: (rows, D), or None for no term along time.
        table_h: The same for height.
        table_w: The same for width.

    Returns:
        For each axis in the order t, h, w: (B, A, L, S), the term for every key coordinate S along it; with
        no table, an empty (B, A, L, 0).
    """
    q_BATHWD = torch.unflatten(q_BALD, 2, grid_q)
    terms = []
    for axis, table in zip("thw", (table_t, table_h, table_w), strict=True):
        if table is None:
            terms.append(q_BALD[..., :0])
            continue
        n = "thw".index(axis)
        vectors_QSD = relative_vectors(table, grid_q[n], grid_k[n])
        term_BATHWS = torch.einsum(f"bathwd,{axis}sd->bathws", q_BATHWD, vectors_QSD)
        terms.append(term_BATHWS.flatten(2, 4))
    return tuple(terms)


def key_indicators(grid_k: THW, terms: tuple[Tensor, ...]) -> Tensor:
    """One-hot coordinates of every key: (J, st + sh + sw), where a term without columns has none here.

    Beside `relative_terms` joined along their last axis, the product of the two is E: a query's row picks,
    for each key, the three numbers that belong to that key's time, row and column.
    """
    like = terms[0]
    indicators = []
    for axis, (size, term) in enumerate(zip(grid_k, terms, strict=True)):
        if term.shape[-1] == 0:
            continue
        shape = [1, 1, 1, size]
        shape[axis] = size
        one_hot = torch.eye(size, dtype=like.dtype, device=like.device).view(shape)
        indicators.append(one_hot.expand(*grid_k, size).reshape(-1, size))
    return torch.cat(indicators, dim=1)
