"""From uint8 pixels to what the network takes, on the device that the clips are on.

Source: SlowFast slowfast/datasets/utils.py (tensor_normalize).
Axes: B batch, C = 3 colours, T frames, H height, W width.
"""

from collections.abc import Sequence

import torch


def subsample(clip_CTHW: torch.Tensor, num_frames: int) -> torch.Tensor:
    """``num_frames`` of a clip's frames, spread evenly from the first to the last: (C, num_frames, H, W)."""
    points = torch.linspace(0, clip_CTHW.shape[1] - 1, num_frames)
    return clip_CTHW[:, points.long()]


def normalise(
    clips_uint8: torch.Tensor,
    mean: Sequence[float],
    std: Sequence[float],
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    """``(clips / 255 - mean) / std`` on the device the clips are on.

    Args:
        clips_uint8: uint8 (..., 3, T, H, W).
        mean: Per colour, for pixels in 0 to 1.
        std: Per colour, for pixels in 0 to 1.
        dtype: Of the result; the arithmetic is float32.
    """
    if clips_uint8.dtype != torch.uint8 or clips_uint8.ndim < 4 or clips_uint8.shape[-4] != 3:
        raise ValueError(
            f"clips are {clips_uint8.dtype} {tuple(clips_uint8.shape)}, expected uint8 (..., 3, T, H, W)"
        )
    mean_C = torch.tensor(mean, dtype=torch.float32, device=clips_uint8.device).view(3, 1, 1, 1)
    std_C = torch.tensor(std, dtype=torch.float32, device=clips_uint8.device).view(3, 1, 1, 1)
    return clips_uint8.to(torch.float32).sub_(mean_C * 255).div_(std_C * 255).to(dtype)
