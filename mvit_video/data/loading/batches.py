"""A training batch, and putting one together.

Axes: B = videos times R repeats, T frames, S crop size, C = 3 colours.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch

from mvit_video.data.augment.erasing import Erasure
from mvit_video.data.augment.mixing import Mix
from mvit_video.data.loading.bad_videos import BadVideo
from mvit_video.data.loading.datasets import TrainSample


class Batch(NamedTuple):
    """Training clips uint8 (B, 3, T, S, S), laid out channels last, of B / R videos: v0r0 v0r1 v1r0 v1r1 ...

    ``labels`` and ``indices`` are int64 (B,); ``erasures`` has an entry per clip; ``mixes`` one per group of
    ``group_size`` clips, or none when nothing is mixed. ``bad`` are the unreadable videos that others stand
    in for, ``damaged`` those whose good part is in the batch.
    """

    clips: torch.Tensor
    labels: torch.Tensor
    indices: torch.Tensor
    erasures: Sequence[Erasure | None] = ()
    mixes: Sequence[Mix] = ()
    group_size: int = 1
    bad: tuple[BadVideo, ...] = ()
    damaged: tuple[BadVideo, ...] = ()

    @property
    def num_replaced(self) -> int:
        """How many unreadable videos were met on the way to this batch."""
        return len(self.bad)


class BatchBuilder:
    """Copies the clips of one sample after the other to their place in a batch, once.

    Args:
        num_videos: Samples in the batch.
        pin_memory: Put the clips where copies to a GPU need not wait for each other.
    """

    def __init__(self, num_videos: int, *, pin_memory: bool) -> None:
        self._num_videos = num_videos
        self._pin_memory = pin_memory
        self._samples: list[TrainSample] = []  # without their clips
        self._clips_NRTSSC: torch.Tensor | None = None

    def add(self, sample: TrainSample) -> None:
        """Copies a sample; its clips may be overwritten afterwards."""
        clips_RTSSC = sample.clips.permute(0, 2, 3, 4, 1)
        if self._clips_NRTSSC is None:
            shape = (self._num_videos, *clips_RTSSC.shape)
            self._clips_NRTSSC = torch.empty(shape, dtype=torch.uint8, pin_memory=self._pin_memory)
        self._clips_NRTSSC[len(self._samples)] = clips_RTSSC
        self._samples.append(replace(sample, clips=clips_RTSSC[:0]))

    @property
    def height_width(self) -> tuple[int, int]:
        """Of the clips; there must be one."""
        assert self._clips_NRTSSC is not None
        return self._clips_NRTSSC.shape[3], self._clips_NRTSSC.shape[4]

    def batch(self, mixes: Sequence[Mix] = (), group_size: int = 1) -> Batch:
        """The batch, once all samples are there; groups of ``group_size`` videos are mixed."""
        assert self._clips_NRTSSC is not None
        assert len(self._samples) == self._num_videos
        repeats = self._clips_NRTSSC.shape[1]
        return Batch(
            self._clips_NRTSSC.flatten(0, 1).permute(0, 4, 1, 2, 3),
            torch.tensor([sample.label for sample in self._samples]).repeat_interleave(repeats),
            torch.tensor([sample.index for sample in self._samples]).repeat_interleave(repeats),
            [erasure for sample in self._samples for erasure in sample.erasures],
            mixes,
            group_size * repeats if mixes else 1,
            tuple(bad for sample in self._samples for bad in sample.bad),
            tuple(damaged for sample in self._samples for damaged in sample.damaged),
        )
