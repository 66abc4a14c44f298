"""The MLP branch of a block, MLP(LN(x)), piece by piece.

The hidden activation is the largest tensor of the model, four times as wide as the tokens. Every token goes
through alone, so it is made for a piece of the tokens at a time: on a CPU the piece stays in the cache, and
no fresh memory is asked for. In training it is kept, before the GELU, unless memory is to be spared: then
nothing is kept but the branch's input, and the backward pass makes the hidden activation of each piece again,
which costs one of seven matrix products.

Letters: B clips, N tokens with the class token, L tokens of all clips as one axis, C width, H hidden width.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from mvit_video.models.capturing import is_captured
from mvit_video.models.linear import Linear, convolves, is_plain, multiply, widens

PIECE_ELEMENTS = 3 << 20  # of the hidden activation, on a CPU
PIECE_ELEMENTS_ELSEWHERE = 1 << 27


class Mlp(nn.Module):
    """Linear, GELU (the exact one), linear.

    Source: SlowFast slowfast/models/common.py, Mlp.
    """

    def __init__(self, dim_in: int, dim_hidden: int, dim_out: int, dropout_rate: float) -> None:
        super().__init__()
        self.fc1 = Linear(dim_in, dim_hidden)
        self.fc2 = Linear(dim_hidden, dim_out)
        self.drop = nn.Dropout(dropout_rate)

    def forward(self, x_BNC: Tensor) -> Tensor:
        """(B, N, dim_in) -> (B, N, dim_out)."""
        hidden = self.drop(F.gelu(self.fc1(x_BNC)))
        out: Tensor = self.drop(self.fc2(hidden))
        return out


def mlp_branch(x_BNC: Tensor, norm: nn.LayerNorm, mlp: Mlp, *, keep_hidden: bool = False) -> Tensor:
    """MLP(LN(x)), piece by piece where that pays.

    Args:
        x_BNC: (B, N, C) tokens.
        norm: Of width C.
        mlp: From width C.
        keep_hidden: In training, whether to keep the hidden activation for the backward pass. It is made
            again nevertheless where float32 stands in for bfloat16: that would double the memory.

    Returns:
        (B, N, dim_out).
    """
    if not runs_in_pieces(x_BNC, norm, mlp):
        out: Tensor = mlp(norm(x_BNC))
        return out
    if torch.is_grad_enabled():
        keep_hidden = keep_hidden and not widens(x_BNC)
        branch: Tensor = _Branch.apply(x_BNC, norm.eps, keep_hidden, *_parameters(norm, mlp))
        return branch
    out_BNC = x_BNC.new_empty((*x_BNC.shape[:2], mlp.fc2.out_features), dtype=_output_dtype(x_BNC))
    _forward(x_BNC, norm.eps, _parameters(norm, mlp), out_BNC, add=False)
    return out_BNC


def add_mlp_branch(skip_BNO: Tensor, x_BNC: Tensor, norm: nn.LayerNorm, mlp: Mlp) -> Tensor:
    """Give skip + MLP(LN(x)), written to `skip_BNO` if it is contiguous; for inference.

    Args:
        skip_BNO: (B, N, dim_out) tokens that nobody else needs; may be `x_BNC` itself.
        x_BNC: (B, N, C) tokens, for which `runs_in_pieces`.
        norm: Of width C.
        mlp: From width C.

    Returns:
        (B, N, dim_out).
    """
    if not skip_BNO.is_contiguous():
        return skip_BNO + mlp_branch(x_BNC, norm, mlp)
    _forward(x_BNC, norm.eps, _parameters(norm, mlp), skip_BNO, add=True)
    return skip_BNO


def runs_in_pieces(x_BNC: Tensor, norm: nn.LayerNorm, mlp: Mlp) -> bool:
    """Whether the branch of `x_BNC` is computed in pieces, forward and backward.

    It is not where a compiler is to see plain operators, where layers were replaced or are watched by hooks,
    with dropout, and in training on GPUs, whose memory is not what the pieces spare.
    """
    if is_captured():
        return False
    if torch.is_grad_enabled() and (x_BNC.device.type != "cpu" or (mlp.training and mlp.drop.p > 0)):
        return False
    layers = ((norm, nn.LayerNorm), (mlp, Mlp), (mlp.fc1, Linear), (mlp.fc2, Linear))
    return all(is_plain(layer, kind) for layer, kind in layers)


class _Parameters(NamedTuple):
    """Of the norm, both (C,), of the first layer, (H, C) and (H,), and of the second, (O, H) and (O,)."""

    norm_weight: Tensor
    norm_bias: Tensor
    weight1: Tensor
    bias1: Tensor
    weight2: Tensor
    bias2: Tensor


def _parameters(norm: nn.LayerNorm, mlp: Mlp) -> _Parameters:
    return _Parameters(norm.weight, norm.bias, mlp.fc1.weight, mlp.fc1.bias, mlp.fc2.weight, mlp.fc2.bias)


def _output_dtype(x: Tensor) -> torch.dtype:
    """What torch's layers would give."""
    device = x.device.type
    if torch.is_autocast_enabled(device) and x.dtype != torch.float64:
        return torch.get_autocast_dtype(device)
    return x.dtype


class _Precision(NamedTuple):
    """What norm and products are computed in."""

    norm: torch.dtype
    product: torch.dtype


def _precision(x: Tensor) -> _Precision:
    """Of the branch of `x`: bfloat16 becomes float32 where that is faster; under autocast the norm stays."""
    if widens(x):
        return _Precision(torch.float32, torch.float32)
    product = _output_dtype(x)
    return _Precision(x.dtype if product == x.dtype else torch.float32, product)


def _cast(parameters: _Parameters, precision: _Precision) -> _Parameters:
    norm, product = parameters[:2], parameters[2:]
    return _Parameters(*(p.to(precision.norm) for p in norm), *(p.to(precision.product) for p in product))


def _pieces(x_LC: Tensor, hidden: int) -> Iterator[slice]:
    """Even pieces of the tokens."""
    if x_LC.device.type == "cpu":
        limit = PIECE_ELEMENTS * max(1, torch.get_num_threads() // 4)
    else:
        limit = PIECE_ELEMENTS_ELSEWHERE
    count = -(-x_LC.shape[0] * hidden // limit)
    size = -(-x_LC.shape[0] // max(count, 1))
    for start in range(0, x_LC.shape[0], max(size, 1)):
        yield slice(start, start + size)


def _forward(
    x_BNC: Tensor,
    eps: float,
    parameters: _Parameters,
    out_BNO: Tensor,
    *,
    add: bool,
    hidden_LH: Tensor | None = None,
) -> None:
    """Write the branch to `out_BNO`, or add it; and the hidden activation to `hidden_LH`, if it is given."""
    precision = _precision(x_BNC)
    x_LC, out_LO, tokens = x_BNC.flatten(0, 1), out_BNO.view(-1, out_BNO.shape[-1]), x_BNC.shape[1]
    with torch.no_grad(), torch.autocast(x_BNC.device.type, enabled=False):
        p = _cast(parameters, precision)
        for piece in _pieces(x_LC, p.bias1.shape[0]):
            wide = x_LC[piece].to(precision.norm)
            normed = F.layer_norm(wide, wide.shape[-1:], p.norm_weight, p.norm_bias, eps)
            normed = normed.to(precision.product)
            if hidden_LH is None:
                active = torch.ops.aten.gelu_(multiply(normed, p.weight1, p.bias1, tokens))
            else:
                active = F.gelu(torch.addmm(p.bias1, normed, p.weight1.t(), out=hidden_LH[piece]))
            _write(active, p, out_LO[piece], tokens, add=add)
            del active  # before the next piece takes as much


def _write(active_LH: Tensor, p: _Parameters, out_LO: Tensor, tokens: int, *, add: bool) -> None:
    """Write the second layer to `out_LO`, or add it; where torch's own product is best, without a copy."""
    is_wide = out_LO.dtype == active_LH.dtype and out_LO.dtype in (torch.float32, torch.float64)
    if is_wide and add and convolves(active_LH, tokens):
        out_LO.add_(multiply(active_LH, p.weight2, p.bias2, tokens))
    elif not is_wide or convolves(active_LH, tokens):
        branch = multiply(active_LH, p.weight2, p.bias2, tokens)
        out_LO.copy_(out_LO + branch if add else branch)
    elif add:
        out_LO.add_(p.bias2).addmm_(active_LH, p.weight2.t())
    else:
        torch.addmm(p.bias2, active_LH, p.weight2.t(), out=out_LO)


class _Branch(torch.autograd.Function):
    """The branch in training: keeps its input and, where asked to, the hidden activation."""

    @staticmethod
    def forward(ctx: Any, x_BNC: Tensor, eps: float, keep_hidden: bool, *parameters: Tensor) -> Tensor:
        ctx.eps, ctx.precision = eps, _precision(x_BNC)
        p = _Parameters(*parameters)
        tokens, hidden_LH = x_BNC.shape[:2], None
        if keep_hidden and any(ctx.needs_input_grad):
            hidden_LH = x_BNC.new_empty((tokens.numel(), len(p.bias1)), dtype=ctx.precision.product)
        ctx.save_for_backward(x_BNC, hidden_LH, *parameters)
        out_BNO = x_BNC.new_empty((*tokens, len(p.bias2)), dtype=_output_dtype(x_BNC))
        _forward(x_BNC, eps, p, out_BNO, add=False, hidden_LH=hidden_LH)
        return out_BNO

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BNO: Tensor) -> tuple[Tensor | None, ...]:
        x_BNC, hidden_LH, *kept = ctx.saved_tensors
        parameters = _Parameters(*kept)
        x_LC, grad_LO = x_BNC.flatten(0, 1), grad_BNO.flatten(0, 1)
        grad_x_BNC = torch.empty_like(x_BNC, memory_format=torch.contiguous_format)
        grad_x_LC = grad_x_BNC.view(x_LC.shape)
        with torch.autocast(x_BNC.device.type, enabled=False):
            p = _cast(parameters, ctx.precision)
            sums = _Sums(parameters)
            for piece in _pieces(x_LC, p.bias1.shape[0]):
                grad_x_LC[piece] = _piece_backward(
                    x_LC[piece].to(ctx.precision.norm),
                    None if hidden_LH is None else hidden_LH[piece],
                    grad_LO[piece].to(ctx.precision.product),
                    p,
                    sums,
                    ctx,
                )
        return grad_x_BNC, None, None, *sums.as_gradients()


def _piece_backward(
    x_LC: Tensor, hidden_LH: Tensor | None, grad_LO: Tensor, p: _Parameters, sums: "_Sums", ctx: Any
) -> Tensor:
    """The gradient of a piece of the input; those of the parameters are added to `sums`."""
    normed_LC, mean, rstd = torch.native_layer_norm(
        x_LC, x_LC.shape[-1:], p.norm_weight, p.norm_bias, ctx.eps
    )
    narrow_LC = normed_LC.to(ctx.precision.product)
    if hidden_LH is None:
        hidden_LH = F.linear(narrow_LC, p.weight1, p.bias1)
    active_LH = F.gelu(hidden_LH)
    sums.add_product("weight2", grad_LO, active_LH)
    sums.add("bias2", grad_LO.sum(dim=0))  # in float32, and each piece rounded once
    grad_LH = torch.mm(grad_LO, p.weight2, out=active_LH)
    grad_LH = torch.ops.aten.gelu_backward.grad_input(grad_LH, hidden_LH, grad_input=grad_LH)
    sums.add_product("weight1", grad_LH, narrow_LC)
    sums.add("bias1", grad_LH.sum(dim=0))
    grad_normed_LC = torch.mm(grad_LH, p.weight1).to(ctx.precision.norm)
    grad_x_LC, grad_weight_C, grad_bias_C = torch.ops.aten.native_layer_norm_backward(
        grad_normed_LC, x_LC, x_LC.shape[-1:], mean, rstd, p.norm_weight, p.norm_bias, [True, True, True]
    )
    sums.add("norm_weight", grad_weight_C)
    sums.add("norm_bias", grad_bias_C)
    result: Tensor = grad_x_LC
    return result


class _Sums:
    """The gradients of the parameters, summed over pieces, in float32 at least."""

    def __init__(self, parameters: _Parameters) -> None:
        self._parameters = parameters
        self._totals: dict[str, Tensor] = {}

    def add(self, name: str, grad: Tensor) -> None:
        """Add what a piece gives."""
        if name in self._totals:
            self._totals[name].add_(grad)
        else:
            self._totals[name] = grad.to(torch.promote_types(grad.dtype, torch.float32))

    def add_product(self, name: str, grad_LO: Tensor, x_LI: Tensor) -> None:
        """Add G^T x, without room for the product where there is a sum in its dtype."""
        total_OI = self._totals.get(name)
        if total_OI is not None and total_OI.dtype == x_LI.dtype:
            total_OI.addmm_(grad_LO.t(), x_LI)
        else:
            self.add(name, grad_LO.t() @ x_LI)

    def as_gradients(self) -> Iterator[Tensor]:
        """In the order and the dtypes of the parameters; zeros where no piece came."""
        for name, parameter in self._parameters._asdict().items():
            total = self._totals.get(name)
            yield torch.zeros_like(parameter) if total is None else total.to(parameter.dtype)
