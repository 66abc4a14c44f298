"""Linear layers, by whatever multiplies fastest on this CPU.

A CPU without bfloat16 instructions multiplies bfloat16 matrices two to four times slower than float32 ones.
So there the rows of a bfloat16 product are widened, a piece that fits the cache at a time, multiplied in
float32 and rounded once, at the end. Nothing whole is ever held in float32, the backward pass keeps bfloat16
tensors, and the result is at least as exact as that of a processor with such instructions, which also sums in
float32.

On AMD's processors oneDNN multiplies faster than MKL, and than itself where it may not lay out the weights as
it likes: 3 % (float32) to 6 % (bfloat16) of MViTv2-S. To torch, that is a convolution with a kernel of 1 x 1.

Elsewhere, and for every other dtype, this is torch's own product.

Letters: L rows (all leading axes as one), I features in, O features out.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.nn.modules import module

from mvit_video.models.capturing import is_captured
from mvit_video.models.processor import has_fast_bfloat16, is_made_by_amd

_HOOKS_ON_EVERYTHING = (
    module._global_forward_hooks,
    module._global_forward_pre_hooks,
    module._global_backward_hooks,
    module._global_backward_pre_hooks,
)
CONVOLUTION_TOKENS = 1024  # of a clip; fewer do not make up for laying out the weights
PIECE_ELEMENTS = 1 << 19  # floats of input and output that a thread works on at a time: what caches hold


class Linear(nn.Linear):
    """``nn.Linear`` whose product is `linear`."""

    def forward(self, input: Tensor) -> Tensor:
        """(..., I) -> (..., O)."""
        return linear(input, self.weight, self.bias)


def linear(x: Tensor, weight_OI: Tensor, bias_O: Tensor | None = None) -> Tensor:
    """``F.linear``, without its slow paths on CPUs.

    Args:
        x: (..., I), contiguous or not.
        weight_OI: (O, I).
        bias_O: (O,), or None.

    Returns:
        (..., O), in the dtype that ``F.linear`` gives, under autocast too.
    """
    if widens(x):
        result: Tensor = _WidenedLinear.apply(x, weight_OI, bias_O)
        return result
    if torch.is_grad_enabled() or is_captured() or not x.is_contiguous() or x.numel() == 0:
        return F.linear(x, weight_OI, bias_O)
    tokens = x.shape[-2] if x.ndim > 2 else 1
    out_LO = multiply(x.view(-1, x.shape[-1]), weight_OI, bias_O, tokens)
    return out_LO.view(*x.shape[:-1], len(weight_OI))


def multiply(x_LI: Tensor, weight_OI: Tensor, bias_O: Tensor | None, tokens: int) -> Tensor:
    """``F.linear`` of a matrix, as a convolution where that is faster; for what is not differentiated.

    Args:
        x_LI: (L, I).
        weight_OI: (O, I).
        bias_O: (O,), or None.
        tokens: Of each clip among the rows. They decide, and not L, so that what comes out for a clip does
            not depend on how many others are computed with it.

    Returns:
        (L, O), contiguous.
    """
    if not convolves(x_LI, tokens):
        return F.linear(x_LI, weight_OI, bias_O)
    x_1I1L = x_LI[None, None].permute(0, 3, 1, 2)  # a picture of one row whose layout is channels last
    out_1O1L = F.conv2d(x_1I1L, weight_OI[:, :, None, None], bias_O)
    return out_1O1L.permute(0, 2, 3, 1).reshape(len(x_LI), len(weight_OI))


def convolves(x_LI: Tensor, tokens: int) -> bool:
    """Whether `multiply` is a convolution."""
    if x_LI.device.type != "cpu" or tokens < CONVOLUTION_TOKENS or not is_made_by_amd():
        return False
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x_LI.dtype
    is_fit = has_fast_bfloat16() if dtype == torch.bfloat16 else x_LI.dtype == dtype == torch.float32
    return is_fit and bool(torch.backends.mkldnn.enabled)


def widens(x: Tensor) -> bool:
    """Whether `linear` computes with `x` in float32 what torch would compute in bfloat16.

    Compiled and exported models never do: what they are compiled for decides there.
    """
    if is_captured() or x.device.type != "cpu":
        return False
    if has_fast_bfloat16() or x.dtype not in (torch.bfloat16, torch.float32):
        return False
    if torch.is_autocast_enabled("cpu"):
        return torch.get_autocast_dtype("cpu") == torch.bfloat16
    return x.dtype == torch.bfloat16


def is_plain(layer: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a layer is what this package built and nobody watches it: neither replaced nor with hooks.

    Only then may its weights be used without calling it.
    """
    return type(layer) is kind and not is_watched(layer)


def is_watched(layer: nn.Module) -> bool:
    """Whether somebody has put hooks on a layer, or on all there are, or a ``forward`` of his own."""
    hooks = layer._forward_hooks, layer._forward_pre_hooks, layer._backward_hooks, layer._backward_pre_hooks
    return any(hooks) or any(_HOOKS_ON_EVERYTHING) or "forward" in layer.__dict__


class _WidenedLinear(torch.autograd.Function):
    """The product of bfloat16 tensors in float32, piece by piece, forward and backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight_OI: Tensor, bias_O: Tensor | None) -> Tensor:
        ctx.input_dtype = x.dtype
        if any(ctx.needs_input_grad):
            x = x.bfloat16()
        out = x.new_empty((*x.shape[:-1], weight_OI.shape[0]), dtype=torch.bfloat16)
        with torch.autocast("cpu", enabled=False):
            _multiply(x.reshape(-1, x.shape[-1]), weight_OI, bias_O, out.view(-1, out.shape[-1]))
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, weight_OI)
        ctx.bias_dtype = None if bias_O is None else bias_O.dtype
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight_OI = ctx.saved_tensors
        grad_LO = grad_out.reshape(-1, grad_out.shape[-1])
        grad_x, grad_weight, grad_bias = None, None, None
        with torch.autocast("cpu", enabled=False):
            if ctx.needs_input_grad[0]:
                grad_x = grad_out.new_empty((*grad_out.shape[:-1], weight_OI.shape[1]), dtype=ctx.input_dtype)
                _multiply(grad_LO, weight_OI.t(), None, grad_x.view(-1, grad_x.shape[-1]))
            if ctx.needs_input_grad[1]:
                grad_weight = _weight_gradient(grad_LO, x.reshape(-1, x.shape[-1])).to(weight_OI.dtype)
            if ctx.needs_input_grad[2]:
                grad_bias = grad_LO.sum(dim=0, dtype=torch.float32).to(ctx.bias_dtype)
        return grad_x, grad_weight, grad_bias


def _multiply(x_LI: Tensor, weight_OI: Tensor, bias_O: Tensor | None, out_LO: Tensor) -> None:
    """Write x W^T + b into `out_LO`, each piece of rows in float32."""
    weight_IO = weight_OI.float().t()
    bias_O = None if bias_O is None else bias_O.float()
    pieces = list(_pieces(x_LI.shape[0], sum(weight_IO.shape)))
    rows = pieces[0][1] if pieces else 0
    wide_in = x_LI.new_empty((rows, weight_IO.shape[0]), dtype=torch.float32)
    wide_out = x_LI.new_empty((rows, weight_IO.shape[1]), dtype=torch.float32)
    for start, end in pieces:
        x, out = x_LI[start:end], wide_out[: end - start]
        if x.dtype != torch.float32:
            x = wide_in[: end - start].copy_(x)
        if bias_O is None:
            torch.mm(x, weight_IO, out=out)
        else:
            torch.addmm(bias_O, x, weight_IO, out=out)
        out_LO[start:end].copy_(out)


def _weight_gradient(grad_LO: Tensor, x_LI: Tensor) -> Tensor:
    """G^T x in float32, (O, I), summed over pieces of rows."""
    total_OI = grad_LO.new_zeros((grad_LO.shape[1], x_LI.shape[1]), dtype=torch.float32)
    for start, end in _pieces(x_LI.shape[0], grad_LO.shape[1] + x_LI.shape[1]):
        total_OI.addmm_(grad_LO[start:end].float().t(), x_LI[start:end].float())
    return total_OI


def _pieces(rows: int, row_elements: int) -> Iterator[tuple[int, int]]:
    """(start, end) of the pieces of so many rows; none shorter than a product needs to run at full speed."""
    size = max(256, PIECE_ELEMENTS // row_elements) * torch.get_num_threads()
    for start in range(0, rows, size):
        yield start, min(start + size, rows)
