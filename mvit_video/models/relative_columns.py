"""The relative terms of all queries as columns, computed on plain views with gradients written by hand.

A term along one axis is a product of the queries at each place along it with the vectors of that place. Time
and height go together, as every row of a frame has vectors of both: two batched products make all terms. In
the layout (B, N, A, D) the queries of each row and of each column are views, forward and backward, so that
nothing is permuted in memory.

Letters: B clips, N tokens with the class token, L = T * H * W without it, A attention heads, D head dim,
S columns, P places (all rows of all frames; all columns, for each head), R queries at one of them.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mvit_video.models.architecture import THW
from mvit_video.models.blocked import add_matmul, without_autocast
from mvit_video.models.processor import computing_dtype
from mvit_video.models.relative_positions import Vectors


def relative_columns(q_BNAD: Tensor, grid_q: THW, vectors: Vectors, first: int) -> Tensor:
    """Products q . R^t, q . R^h and q . R^w side by side: `relative_terms` in another layout.

    Args:
        q_BNAD: Queries, not scaled, contiguous.
        grid_q: Their grid.
        vectors: For each axis its (places, S, D), or None for no term along it.
        first: 1 where token 0 is the class token, which gets zeros; else 0.

    Returns:
        (B, N, A, st + sh + sw), in the dtype to compute in (see `computing_dtype`).
    """
    (t, h, _), (_, _, heads, head_dim) = grid_q, q_BNAD.shape
    dtype = computing_dtype(q_BNAD)
    if all(vectors_QSD is None for vectors_QSD in vectors):
        return q_BNAD.new_empty((*q_BNAD.shape[:3], 0), dtype=dtype)
    of_t, of_h, of_w = (
        q_BNAD.new_empty((size, 0, head_dim), dtype=dtype) if vectors_QSD is None else vectors_QSD.to(dtype)
        for size, vectors_QSD in zip(grid_q, vectors, strict=True)
    )
    of_rows = torch.cat((of_t[:, None].expand(-1, h, -1, -1), of_h.expand(t, -1, -1, -1)), dim=2)
    columns_PSD = of_w.repeat_interleave(heads, dim=0)
    result: Tensor = _RelativeColumns.apply(q_BNAD, t * h, first, of_rows.flatten(0, 1), columns_PSD)
    return result


class _RelativeColumns(torch.autograd.Function):
    """See `relative_columns`; ``num_rows`` is T * H."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, num_rows: int, first: int, rows_PSD: Tensor, columns_PSD: Tensor
    ) -> Tensor:
        ctx.save_for_backward(q, rows_PSD, columns_PSD)
        ctx.num_rows, ctx.first = num_rows, first
        sizes = rows_PSD.shape[1], columns_PSD.shape[1]
        out = rows_PSD.new_empty((*q.shape[:3], sum(sizes)))
        out[:, :first] = 0
        with without_autocast(q):
            for q_LAD, out_LAS in zip(q[:, first:], out[:, first:], strict=True):
                q_PRD = _by_row(q_LAD, num_rows).to(out.dtype)
                by_row, by_column = (_by_row(part, num_rows) for part in out_LAS.split(sizes, dim=2))
                by_row.copy_(torch.bmm(q_PRD, rows_PSD.transpose(1, 2)))
                by_column.copy_(torch.bmm(q_PRD.transpose(0, 1), columns_PSD.transpose(1, 2)).transpose(0, 1))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (q, rows_PSD, columns_PSD), num_rows, first = ctx.saved_tensors, ctx.num_rows, ctx.first
        sizes = rows_PSD.shape[1], columns_PSD.shape[1]
        grad_q = torch.empty_like(q, memory_format=torch.contiguous_format)
        grad_q[:, :first] = 0
        wide = torch.promote_types(rows_PSD.dtype, torch.float32)
        grad_rows, grad_columns = (torch.zeros_like(x, dtype=wide) for x in (rows_PSD, columns_PSD))
        with without_autocast(q):
            parts = q[:, first:], grad[:, first:], grad_q[:, first:]
            for q_LAD, grad_LAS, grad_q_LAD in zip(*parts, strict=True):
                q_PRD = _by_row(q_LAD, num_rows).to(grad.dtype)
                of_rows, of_columns = (_by_row(part, num_rows) for part in grad_LAS.split(sizes, dim=2))
                of_columns = of_columns.transpose(0, 1)
                total_PRD = torch.bmm(of_rows, rows_PSD)
                total_PRD += torch.bmm(of_columns, columns_PSD).transpose(0, 1)
                grad_q_LAD.copy_(total_PRD.view(grad_q_LAD.shape))
                add_matmul(grad_rows, of_rows.transpose(1, 2), q_PRD)
                add_matmul(grad_columns, of_columns.transpose(1, 2), q_PRD.transpose(0, 1))
        return grad_q, None, None, grad_rows.to(rows_PSD.dtype), grad_columns.to(columns_PSD.dtype)


def _by_row(x_LAS: Tensor, num_rows: int) -> Tensor:
    """A view of one clip's tokens: (T * H, W * A, S). Transposed, its places are the columns of each head."""
    length, heads, size = x_LAS.shape
    return x_LAS.view(num_rows, length // num_rows * heads, size)
