"""The depth-wise 3D convolution that pools tokens, with gradients that cost what the convolution costs.

    y[o] = sum over taps k of  w[k] x[s o + k - p],        p = kernel // 2, channel by channel

On CPUs torch's own gradients of it take some thirty times as long as the convolution in float32. Here

- the input's gradient is a convolution again: of the output's gradient, spread out by the stride, with the
  kernel turned round;
- the weight's gradient is, for each of the kernel's kt frames, that of a 2D convolution over the frames which
  this one meets: the 2D ones have a fast gradient.

bfloat16 and float16 are computed in float32, a clip and some heads at a time, and rounded once, where the
processor has no instructions for them; the weight's gradient is summed in float32 anyhow.

Letters: B clips, C channels = heads * D, T H W the grid.
"""

from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.nn.grad import conv2d_weight

from mvit_video.models.architecture import THW
from mvit_video.models.capturing import is_captured
from mvit_video.models.processor import computing_dtype

DEVICES = {"cpu"}  # that take the gradients written here; on others torch's own, until measured
ONES = (1, 1, 1)
WIDE_ELEMENTS = 1 << 23  # float32 stand-ins for bfloat16 at a time, unless one head has more
SUMMED_ELEMENTS = 1 << 21  # the same for the weight's gradient, whose pieces need not be joined


def depthwise_conv3d(x_BCTHW: Tensor, weight: Tensor, stride: THW) -> Tensor:
    """Convolve every channel with the kernel of its place within its head, padded by kernel // 2.

    Args:
        x_BCTHW: (B, heads * D, T, H, W); fastest with the channels innermost in memory (channels last).
        weight: (D, 1, kt, kh, kw), shared by the heads.
        stride: (t, h, w).

    Returns:
        (B, heads * D, T', H', W'), in the dtype that ``F.conv3d`` gives, under autocast too.
    """
    device = x_BCTHW.device.type
    if device not in DEVICES or is_captured():
        return _by_torch(x_BCTHW, weight, stride)
    if torch.is_autocast_enabled(device) and x_BCTHW.dtype != torch.float64:
        dtype = torch.get_autocast_dtype(device)
        x_BCTHW, weight = x_BCTHW.to(dtype), weight.to(dtype)
    result: Tensor
    with torch.autocast(device, enabled=False):
        if torch.is_grad_enabled() and (x_BCTHW.requires_grad or weight.requires_grad):
            result = _DepthwiseConv3d.apply(x_BCTHW, weight, stride)
        else:
            result = _convolve(x_BCTHW, weight, stride, _padding(weight))
    return result


class _DepthwiseConv3d(torch.autograd.Function):
    """The convolution of tensors of one dtype; see above."""

    @staticmethod
    def forward(ctx: Any, x_BCTHW: Tensor, weight: Tensor, stride: THW) -> Tensor:
        x_BCTHW = x_BCTHW.contiguous(memory_format=torch.channels_last_3d)
        ctx.stride = stride
        ctx.save_for_backward(x_BCTHW, weight)
        return _convolve(x_BCTHW, weight, stride, _padding(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BCTHW: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x_BCTHW, weight = ctx.saved_tensors
        grad_BCTHW = grad_BCTHW.contiguous(memory_format=torch.channels_last_3d)
        grad_x, grad_weight = None, None
        if ctx.needs_input_grad[0]:
            grad_x = _input_gradient(grad_BCTHW, weight, x_BCTHW.shape, ctx.stride)
        if ctx.needs_input_grad[1]:
            grad_weight = _weight_gradient(grad_BCTHW, x_BCTHW, weight, ctx.stride)
        return grad_x, grad_weight, None


def _by_torch(x_BCTHW: Tensor, weight: Tensor, stride: THW) -> Tensor:
    """With torch's gradients: what is compiled or exported, and other devices."""
    if x_BCTHW.shape[2] == 2 and x_BCTHW.dtype == torch.bfloat16 and x_BCTHW.device.type == "cpu":
        # oneDNN (in torch 2.6 to 2.15) reads beyond the input for the weight's gradient in this one case,
        # channels last; in the plain layout it is right.
        x_BCTHW = x_BCTHW.contiguous()
    channels = x_BCTHW.shape[1]
    weight = _for_heads(weight, channels)
    return F.conv3d(x_BCTHW, weight, stride=stride, padding=_padding(weight), groups=channels)


def _convolve(x_BCTHW: Tensor, weight: Tensor, stride: THW, padding: THW) -> Tensor:
    """The convolution itself; in float32, piece by piece, what the processor has no instructions for."""
    if computing_dtype(x_BCTHW) != x_BCTHW.dtype:
        return _joined(
            [_convolve_wide(clip, weight, stride, padding) for clip in torch.split(x_BCTHW, 1)], dim=0
        )
    channels = x_BCTHW.shape[1]
    weight = _for_heads(weight, channels)
    return F.conv3d(x_BCTHW, weight, stride=stride, padding=padding, groups=channels)


def _convolve_wide(clip_1CTHW: Tensor, weight: Tensor, stride: THW, padding: THW) -> Tensor:
    """The convolution of one clip in float32, rounded at the end."""
    size = _channels_at_a_time(clip_1CTHW[0], weight.shape[0], WIDE_ELEMENTS)
    pieces = torch.split(clip_1CTHW, size, dim=1)
    weight = weight.float()
    wide = (_convolve(piece.float(), weight, stride, padding) for piece in pieces)
    return _joined([piece.to(clip_1CTHW.dtype) for piece in wide], dim=1)


def _channels_at_a_time(x_CTHW: Tensor, head_dim: int, elements: int) -> int:
    """Those of as many heads as have so many elements, and of one at least."""
    return head_dim * max(1, elements // (head_dim * prod(x_CTHW.shape[1:])))


def _joined(pieces: list[Tensor], dim: int) -> Tensor:
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim)


def _input_gradient(grad_BCTHW: Tensor, weight: Tensor, size: torch.Size, stride: THW) -> Tensor:
    """The output's gradient, zeros between its elements where the stride left some out, convolved."""
    kernel, padding = weight.shape[2:], _padding(weight)
    if stride != ONES:
        reach = [n + 2 * p - k + 1 for n, p, k in zip(size[2:], padding, kernel, strict=True)]
        with_zeros_BTHWC = grad_BCTHW.new_zeros((size[0], *reach, size[1]))
        with_zeros_BTHWC[:, :: stride[0], :: stride[1], :: stride[2]] = grad_BCTHW.permute(0, 2, 3, 4, 1)
        grad_BCTHW = with_zeros_BTHWC.permute(0, 4, 1, 2, 3)
    t, h, w = (k - 1 - p for k, p in zip(kernel, padding, strict=True))
    return _convolve(grad_BCTHW, weight.flip(2, 3, 4), ONES, (t, h, w))


def _weight_gradient(grad_BCTHW: Tensor, x_BCTHW: Tensor, weight: Tensor, stride: THW) -> Tensor:
    """Summed over the clips and the heads; what has to be widened for it, some heads at a time."""
    head_dim, channels = weight.shape[0], x_BCTHW.shape[1]
    dtype = torch.float64 if weight.dtype == torch.float64 else torch.float32
    total = weight.new_zeros((channels, *weight.shape[1:]), dtype=dtype)
    is_wide = dtype == x_BCTHW.dtype
    size = channels if is_wide else _channels_at_a_time(x_BCTHW[0], head_dim, SUMMED_ELEMENTS)
    for x_CTHW, grad_CTHW in zip(x_BCTHW, grad_BCTHW, strict=True):
        pieces = zip(*(torch.split(tensor, size) for tensor in (x_CTHW, grad_CTHW, total)), strict=True)
        for x, grad, sums in pieces:
            _add_weight_gradient(sums, grad.to(dtype).transpose(0, 1), x.to(dtype).transpose(0, 1), stride)
    return torch.unflatten(total, 0, (-1, head_dim)).sum(0).to(weight.dtype)


def _add_weight_gradient(total_C1KHW: Tensor, grad_TCHW: Tensor, x_TCHW: Tensor, stride: THW) -> None:
    """That of one clip, for each frame of the kernel."""
    channels, _, kt, kh, kw = total_C1KHW.shape
    padding = _padding(total_C1KHW)
    for k in range(kt):
        frames = range(k - padding[0], k - padding[0] + len(grad_TCHW) * stride[0], stride[0])
        there = [o for o, frame in enumerate(frames) if 0 <= frame < len(x_TCHW)]
        if not there:
            continue
        total_C1KHW[:, :, k] += conv2d_weight(  # type: ignore[no-untyped-call]
            x_TCHW[frames[there[0]] : frames[there[-1]] + 1 : stride[0]],
            (channels, 1, kh, kw),
            grad_TCHW[there[0] : there[-1] + 1],
            stride=stride[1:],
            padding=padding[1:],
            groups=channels,
        )


def _padding(weight: Tensor) -> THW:
    """Half the kernel along each axis."""
    return weight.shape[2] // 2, weight.shape[3] // 2, weight.shape[4] // 2


def _for_heads(weight: Tensor, channels: int) -> Tensor:
    """The kernels of one head repeated over all heads, which lie side by side in the channels."""
    return weight.repeat(channels // weight.shape[0], 1, 1, 1, 1)
