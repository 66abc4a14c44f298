"""Softmax attention a block of queries at a time, forward and backward, with gradients written by hand.

A block is as large as the cache likes, unless that would be too few queries for fast products: its scores
are computed, exponentiated, used and overwritten while they are there. Against the fused kernel of CPUs that
spares padding, the joining of queries and relative terms in memory and copies into its layout; nothing is
kept for the backward pass but what came in. In time the two were level in whole models (MViTv2-S in float32,
one thread). What grows with the clip is the keys of one clip, laid out for all heads (and its values, where
float32 stands in for another dtype), in the backward pass the sums of one head, and blocks of the fewest
queries; all else is bounded. The width of the heads has no limit.

On CPUs the scores' exponentials need no maximum taken off first as long as they stay in range, and the sums
of the rows tell: where one is very large or small, the block is done again by torch's softmax, which takes it
off. They are powers of two, of scores made for that, as torch's exp takes up to three times as long as its
exp2. In bfloat16 it is torch's softmax at once. There scores and weights are rounded, as between any two
operators, all sums are float32's, and keys are centred: see `_scaled`.

Letters: B clips, A attention heads, N queries, M keys, D head dim, S columns of relative terms, W = D + S,
R queries of one block.
"""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CACHE_BYTES = 1 << 20  # of scores in a block, for each thread of a CPU
LEAST_QUERIES = 272  # in a block all the same: with fewer rows products may take twice as long
QUERY_STEP = 16  # and those of whole steps are a little faster
KEYS = 400  # whose scores MKL computes in one go: with many more, products may take twice as long
ROW_BYTES = 64  # a cache line
DEVICE_ELEMENTS = 1 << 24  # scores in a block elsewhere
SUMS_IN_RANGE = (1e-20, 1e30)  # of exponentials: in between, neither overflow nor underflow changes a result


def blocked_attention(
    q_BNAD: Tensor,
    k_BMAD: Tensor,
    v_BMAD: Tensor,
    columns_BNAS: Tensor,
    indicators_MS: Tensor,
    add_from: int | None,
) -> Tensor:
    """softmax(Q K^T / sqrt(D) + columns indicators^T) V, plus Q where asked for.

    Args:
        q_BNAD: Queries.
        k_BMAD: Keys.
        v_BMAD: Values.
        columns_BNAS: Relative terms of every query (see `relative_columns`), in the dtype to compute in.
        indicators_MS: What every key takes of them (see `key_indicators`), in that dtype.
        add_from: The first query that is added to what comes out of it; None to add none.

    Returns:
        (B, N, A, D), contiguous, in the dtype of the queries. Not differentiable twice.
    """
    result: Tensor = _BlockedAttention.apply(q_BNAD, k_BMAD, v_BMAD, columns_BNAS, indicators_MS, add_from)
    return result


def without_autocast(x: Tensor) -> AbstractContextManager[Any]:
    """A context in which products keep the dtype they are given."""
    return torch.autocast(x.device.type, enabled=False)


class _BlockedAttention(torch.autograd.Function):
    """See `blocked_attention`; for inference, only a block's scratch memory and one clip's keys are new."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, columns: Tensor, indicators: Tensor, add_from: int | None
    ) -> Tensor:
        ctx.save_for_backward(q, k, v, columns, indicators)
        ctx.add_from = q.shape[1] if add_from is None else add_from
        z = torch.empty_like(q, memory_format=torch.contiguous_format)
        with without_autocast(q):
            space = _Workspace(q, columns, k.shape[1])
            for b, a, head in _heads(q, k, v, columns, indicators, ctx.add_from, space.unit):
                for rows in space.blocks:
                    head.attend(rows, space, z[b, rows, a])
        return z

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_z: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, columns, indicators = ctx.saved_tensors
        contiguous = torch.contiguous_format
        grads = [torch.empty_like(x, memory_format=contiguous) for x in (q, k, v, columns)]
        grad_q, grad_k, grad_v, grad_columns = grads
        with without_autocast(q):
            space = _Workspace(q, columns, k.shape[1], backward=True)
            for b, a, head in _heads(q, k, v, columns, indicators, ctx.add_from, space.unit):
                sums = _sums_like(head.keys_MW), _sums_like(head.values_MD)
                for rows in space.blocks:
                    out = grad_q[b, rows, a], grad_columns[b, rows, a]
                    head.differentiate(rows, space, grad_z[b, rows, a], out, sums)
                grad_k[b, :, a] = sums[0][:, : q.shape[3]] * _scale(q)
                grad_v[b, :, a] = sums[1]
        return *grads, None, None


class _Workspace:
    """The blocks of queries, and memory for one of them, used again for all."""

    def __init__(
        self, q_BNAD: Tensor, columns_BNAS: Tensor, num_keys: int, *, backward: bool = False
    ) -> None:
        on_cpu = q_BNAD.device.type == "cpu"
        cache = CACHE_BYTES * torch.get_num_threads() // columns_BNAS.element_size()
        elements = cache if on_cpu else DEVICE_ELEMENTS
        num_queries, head_dim = q_BNAD.shape[1], q_BNAD.shape[3]
        size = min(num_queries, max(LEAST_QUERIES, elements // num_keys))
        size = -(-num_queries // -(-num_queries // size))  # as many blocks, of nearly equal size
        size = min(num_queries, -(-size // QUERY_STEP) * QUERY_STEP)
        self.blocks = [slice(i, min(i + size, num_queries)) for i in range(0, num_queries, size)]
        width = head_dim + columns_BNAS.shape[3]
        self.queries_RW = _aligned(columns_BNAS, size, width)
        self.scores_RM = columns_BNAS.new_empty(size, num_keys)
        self.out_RW = _aligned(columns_BNAS, size, width if backward else head_dim)
        self.grad_RM = columns_BNAS.new_empty(size if backward else 0, num_keys)
        is_wide = on_cpu and columns_BNAS.dtype in (torch.float32, torch.float64)
        # Elsewhere a look at the sums would wait for the device; and few digits are not to be rounded twice.
        self.sums_exponentials = is_wide
        self.unit = math.log2(math.e) if is_wide else 1.0  # of the scores: e^x is 2^(unit x)
        step = KEYS if is_wide else num_keys
        self._keys = [slice(i, i + step) for i in range(0, num_keys, step)]

    def against_keys(self, left_RW: Tensor, right_MW: Tensor, out_RM: Tensor) -> None:
        """Write the product of some queries' rows with the rows of all keys."""
        for keys in self._keys:
            torch.mm(left_RW, right_MW[keys].t(), out=out_RM[:, keys])


class _Head:
    """One head of one clip: queries and their columns, keys (scaled, with their indicators) and values.

    The keys are scaled so that scores come in the workspace's unit.
    """

    def __init__(
        self, q_ND: Tensor, columns_NS: Tensor, keys_MW: Tensor, values_MD: Tensor, add_from: int
    ) -> None:
        self.q_ND, self.columns_NS, self.add_from = q_ND, columns_NS, add_from
        self.keys_MW, self.values_MD = keys_MW, values_MD

    def attend(self, rows: slice, space: _Workspace, z_RD: Tensor) -> None:
        """Write what comes out of some queries into `z_RD`."""
        _, weights_RM, factors_R1 = self._weights(rows, space)
        out_RD = torch.mm(weights_RM, self.values_MD, out=space.out_RW[: len(z_RD)])
        plain = self._without_queries(rows)
        queries_RD = self.q_ND[rows][plain:]
        if factors_R1 is None:
            z_RD[:plain] = out_RD[:plain]
            torch.add(queries_RD, out_RD[plain:], out=z_RD[plain:])
        else:
            torch.mul(out_RD[:plain], factors_R1[:plain], out=z_RD[:plain])
            torch.addcmul(queries_RD, out_RD[plain:], factors_R1[plain:], out=z_RD[plain:])

    def differentiate(
        self,
        rows: slice,
        space: _Workspace,
        grad_z_RD: Tensor,
        out: tuple[Tensor, Tensor],
        sums: tuple[Tensor, Tensor],
    ) -> None:
        """Write the gradients of some queries and their columns; add what their keys and values get."""
        size, head_dim = grad_z_RD.shape
        queries_RW, weights_RM, factors_R1 = self._weights(rows, space)
        if factors_R1 is not None:
            weights_RM.mul_(factors_R1)
        grad_z_RD = grad_z_RD.to(weights_RM.dtype)
        add_matmul(sums[1], weights_RM.t(), grad_z_RD)
        grad_RM = space.grad_RM[:size]
        space.against_keys(grad_z_RD, self.values_MD, grad_RM)
        torch._softmax_backward_data(grad_RM, weights_RM, -1, weights_RM.dtype, grad_input=grad_RM)
        add_matmul(sums[0], grad_RM.t(), queries_RW)
        grad_RW = torch.mm(grad_RM, self.keys_MW, out=space.out_RW[:size]).div_(space.unit)
        plain = self._without_queries(rows)
        grad_RW[plain:, :head_dim] += grad_z_RD[plain:]
        out[0].copy_(grad_RW[:, :head_dim])
        out[1].copy_(grad_RW[:, head_dim:])

    def _weights(self, rows: slice, space: _Workspace) -> tuple[Tensor, Tensor, Tensor | None]:
        """Queries with their columns (R, W); weights on the keys (R, M), and what multiplies them, if any."""
        head_dim, size = self.q_ND.shape[1], rows.stop - rows.start
        queries_RW, scores_RM = space.queries_RW[:size], space.scores_RM[:size]
        queries_RW[:, :head_dim] = self.q_ND[rows]
        queries_RW[:, head_dim:] = self.columns_NS[rows]
        space.against_keys(queries_RW, self.keys_MW, scores_RM)
        if space.sums_exponentials:
            sums_R1 = scores_RM.exp2_().sum(1, keepdim=True)
            low, high = torch.aminmax(sums_R1)
            if SUMS_IN_RANGE[0] < float(low) and float(high) < SUMS_IN_RANGE[1]:
                return queries_RW, scores_RM, sums_R1.reciprocal_()
            space.against_keys(queries_RW, self.keys_MW, scores_RM)
            scores_RM.div_(space.unit)
        return queries_RW, torch.softmax(scores_RM, dim=1, out=scores_RM), None

    def _without_queries(self, rows: slice) -> int:
        """How many of the first of these queries are not added to what comes out."""
        count: int = min(max(self.add_from - rows.start, 0), rows.stop - rows.start)
        return count


def _summing_dtype(x: Tensor) -> torch.dtype:
    """At least float32."""
    return torch.promote_types(x.dtype, torch.float32)


def _sums_like(x_MW: Tensor) -> Tensor:
    """Zeros to add up in."""
    return _aligned(x_MW.new_empty(0, dtype=_summing_dtype(x_MW)), *x_MW.shape).zero_()


def add_matmul(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add the matrix product of both, or of each pair of a batch, to a total that may have a wider dtype."""
    if total.dtype != left.dtype:
        total.add_(left @ right)
    elif total.ndim == 3:
        total.baddbmm_(left, right)
    else:
        total.addmm_(left, right)


def _aligned(like: Tensor, rows: int, width: int) -> Tensor:
    """Room for a matrix whose rows start at whole cache lines: products of it are up to 40 % faster."""
    step = ROW_BYTES // like.element_size()
    return like.new_empty(rows, -(-width // step) * step)[:, :width]


def _heads(
    q_BNAD: Tensor,
    k_BMAD: Tensor,
    v_BMAD: Tensor,
    columns_BNAS: Tensor,
    indicators_MS: Tensor,
    add_from: int,
    unit: float,
) -> Iterator[tuple[int, int, _Head]]:
    """Each head of each clip, and the numbers of both; scores are to come in this unit."""
    _, num_keys, heads, head_dim = k_BMAD.shape
    keys = _aligned(columns_BNAS, heads * num_keys, head_dim + columns_BNAS.shape[3])
    keys_AMW = torch.unflatten(keys, 0, (heads, num_keys))
    keys_AMW[..., head_dim:] = _scaled(indicators_MS, unit, keys.dtype)
    for b, (k_MAD, v_MAD) in enumerate(zip(k_BMAD, v_BMAD, strict=True)):
        keys_AMW[..., :head_dim] = _scaled(k_MAD, _scale(q_BNAD) * unit, keys.dtype).transpose(0, 1)
        values_AMD = v_MAD.transpose(0, 1).to(columns_BNAS.dtype)
        for a in range(heads):
            yield b, a, _Head(q_BNAD[b, :, a], columns_BNAS[b, :, a], keys_AMW[a], values_AMD[a], add_from)


def _scaled(x: Tensor, factor: float, dtype: torch.dtype) -> Tensor:
    """Keys, or what they take of relative terms, times a factor, to be rounded to `dtype`.

    In few digits they come less their mean over all keys: what all scores of a query have in common makes no
    difference to its weights, but to how exact they are. Gradients stay as they are, as those of a query's
    scores sum to zero.
    """
    if dtype not in (torch.bfloat16, torch.float16):
        return x.to(dtype) * factor
    wide = x.to(torch.float32, copy=True)
    return wide.sub_(wide.mean(0)).mul_(factor)


def _scale(q_BNAD: Tensor) -> float:
    factor: float = q_BNAD.shape[3] ** -0.5
    return factor
