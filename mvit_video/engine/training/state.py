"""What changes during training."""

from dataclasses import dataclass, field

import torch
from torch import nn

from mvit_video.engine.optimising.weight_average import WeightAverage
from mvit_video.engine.training.video_troubles import VideoTroubles
from mvit_video.engine.training.window import Window


@dataclass
class TrainState:
    """What changes during training: everything a checkpoint holds.

    Attributes:
        model: the model itself; its parameters may be shards.
        optimiser: of its parameters.
        scaler: of float16's gradients.
        epoch: epochs done.
        step: steps done, skipped ones included.
        average: the averaged weights, with TRAIN.EMA_DECAY.
        wrapped: what several processes train the model by, where that is not the model.
        step_in_epoch: steps done of the epoch after those done.
        skipped: steps that were left out as their loss was no number.
        window: the steps since the last row of the log.
        troubles: the videos of the running epoch that were not as they should be; None before the first.
    """

    model: nn.Module
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    epoch: int = 0
    step: int = 0
    average: WeightAverage | None = None
    wrapped: nn.Module | None = None
    step_in_epoch: int = 0
    skipped: int = 0
    window: Window = field(default_factory=Window)
    troubles: VideoTroubles | None = None

    @property
    def network(self) -> nn.Module:
        """What a training step calls: the model, or what several processes train it by."""
        return self.model if self.wrapped is None else self.wrapped

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device
