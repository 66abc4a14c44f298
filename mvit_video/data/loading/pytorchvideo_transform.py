"""Our training transform as the ``transform`` of a PyTorchVideo dataset."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mvit_video.data.augment.normalising import normalise, subsample


class SampleTransform:
    """Cuts and augments the "video" of a PyTorchVideo sample; everything else in it stays.

    Random numbers come from PyTorch's generator on the CPU, which a ``DataLoader`` seeds differently in each
    worker and epoch.

    Args:
        transform: Such as ``TrainTransform(224)``: called with uint8 frames (T, H, W, C) and a generator.
        num_frames: T, spread evenly over the frames of the sample; None keeps them all.
        mean: With ``std``, makes normalised float32 of the clip; without both it stays uint8.
        std: Per colour, for pixels in 0 to 1.
    """

    def __init__(
        self,
        transform: Callable[[NDArray[np.uint8], np.random.Generator], torch.Tensor],
        num_frames: int | None = None,
        *,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        if (mean is None) != (std is None):
            raise ValueError(f"mean is {mean} and std is {std}; give both, or neither")
        self.transform = transform
        self.num_frames = num_frames
        self._statistics = None if mean is None or std is None else (tuple(mean), tuple(std))

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        """The sample with "video" (3, T, S, S) in place of float32 (3, T, H, W) in 0-255.

        A list of single frames (``SegmentClips``) is one clip. A list of longer clips (PyTorchVideo's random
        multi sampler) stays a list, and random numbers are drawn for each.
        """
        video = sample["video"]
        if not isinstance(video, list):
            cut: Any = self._cut(video)
        elif all(clip_CTHW.shape[1] == 1 for clip_CTHW in video):
            cut = self._cut(torch.cat(video, 1))
        else:
            cut = [self._cut(clip_CTHW) for clip_CTHW in video]
        return {**sample, "video": cut}

    def _cut(self, clip_CTHW: torch.Tensor) -> torch.Tensor:
        if self.num_frames is not None:
            clip_CTHW = subsample(clip_CTHW, self.num_frames)
        frames_THWC = clip_CTHW.permute(1, 2, 3, 0).to(torch.uint8).contiguous().numpy()
        seed = int(torch.randint(2**63 - 1, ()))
        cut = self.transform(frames_THWC, np.random.default_rng(seed))
        return cut if self._statistics is None else normalise(cut, *self._statistics)
