"""The relative terms of all queries as columns, computed on plain views with gradients written by hand.

A term along one axis is a batched product: the queries of one time (or row, or column) with the relative
vectors of that time. In the layout (B, N, A, D) the queries of each are a view, forward and backward, so that
nothing is permuted in memory.

Letters: B clips, N tokens with the class token, L = T * H * W without it, A attention heads, D head dim,
S columns, P places along one axis, R what lies at one of them.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mvit_video.models.architecture import THW
from mvit_video.models.blocked import computing_dtype, without_autocast
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
    result: Tensor = _RelativeColumns.apply(q_BNAD, grid_q, first, *vectors)
    return result


class _RelativeColumns(torch.autograd.Function):
    """See `relative_columns`."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, grid: THW, first: int, *vectors: Tensor | None) -> Tensor:
        ctx.save_for_backward(q, *vectors)
        ctx.grid, ctx.first = grid, first
        dtype = computing_dtype(q)
        sizes = [0 if v is None else v.shape[1] for v in vectors]
        columns = q.new_empty((*q.shape[:3], sum(sizes)), dtype=dtype)
        columns[:, :first] = 0
        with without_autocast(q):
            for q_LAD, columns_LAS in zip(q[:, first:], columns[:, first:], strict=True):
                q_LAD = q_LAD.to(dtype)
                for axis, out_LAS in enumerate(columns_LAS.split(sizes, dim=2)):
                    vectors_PSD = vectors[axis]
                    if vectors_PSD is None:
                        continue
                    vectors_PDS = vectors_PSD.to(dtype).transpose(1, 2)
                    for q_PRD, out_PRS in zip(
                        _places(q_LAD, axis, grid), _places(out_LAS, axis, grid), strict=True
                    ):
                        out_PRS.copy_(torch.bmm(q_PRD, vectors_PDS))
        return columns

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_columns: Tensor) -> tuple[Tensor | None, ...]:
        q, *vectors = ctx.saved_tensors
        dtype, grid, first = grad_columns.dtype, ctx.grid, ctx.first
        sizes = [0 if v is None else v.shape[1] for v in vectors]
        grad_q = torch.empty_like(q, memory_format=torch.contiguous_format)
        grad_q[:, :first] = 0
        grad_vectors = [None if v is None else torch.zeros_like(v, dtype=dtype) for v in vectors]
        with without_autocast(q):
            for b, grad_LAS in enumerate(grad_columns[:, first:]):
                q_LAD = q[b, first:].to(dtype)
                total_LAD = torch.zeros_like(q_LAD)
                for axis, part_LAS in enumerate(grad_LAS.split(sizes, dim=2)):
                    grad_PSD = grad_vectors[axis]
                    if grad_PSD is None:
                        continue
                    vectors_PSD = vectors[axis].to(dtype)
                    for q_PRD, part_PRS, total_PRD in zip(
                        _places(q_LAD, axis, grid),
                        _places(part_LAS, axis, grid),
                        _places(total_LAD, axis, grid),
                        strict=True,
                    ):
                        total_PRD += torch.bmm(part_PRS, vectors_PSD)
                        grad_PSD.baddbmm_(part_PRS.transpose(1, 2), q_PRD)
                grad_q[b, first:] = total_LAD
        given = [g if g is None else g.to(v.dtype) for g, v in zip(grad_vectors, vectors, strict=True)]
        return grad_q, None, None, *given


def _places(x_LAS: Tensor, axis: int, grid: THW) -> Iterator[Tensor]:
    """Views (P, R, S) of one clip that together hold it once: P places along the axis, in order."""
    t, h, w = grid
    _, heads, size = x_LAS.shape
    if axis == 0:
        yield x_LAS.view(t, h * w * heads, size)
    elif axis == 1:
        yield from x_LAS.view(t, h, w * heads, size)
    else:
        yield from x_LAS.view(t * h, w, heads, size).permute(2, 1, 0, 3)
