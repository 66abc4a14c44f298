"""What a training set asks of a sampler: random numbers first, positions when the video is known."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mvit_video.data.sampling.clips import FrameIndices


class TrainSampling(Protocol):
    """How one training clip is taken from a video.

    Drawing and placing are apart, so that a frame count that turns out different changes the positions and
    nothing else that is random about the sample.
    """

    @property
    def num_frames(self) -> int:
        """T, frames per clip."""

    def draw(self, generator: np.random.Generator) -> NDArray[np.float64]:
        """Random numbers in [0, 1): always equally many, whatever the video."""

    def train_indices(self, draw: NDArray[np.float64], video_frames: int, fps: float) -> FrameIndices:
        """The clip that ``draw`` means in a video of this length and rate: int64 (T,), sorted, in range."""
