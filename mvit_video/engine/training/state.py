"""What changes during training."""

from dataclasses import dataclass

import torch
from torch import nn

from mvit_video.engine.optimising.weight_average import WeightAverage


@dataclass
class TrainState:
    """What changes during training: everything a checkpoint holds."""

    model: nn.Module
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    epoch: int = 0
    step: int = 0
    average: WeightAverage | None = None
    wrapped: nn.Module | None = None

    @property
    def network(self) -> nn.Module:
        """What a training step calls: the model, or what several processes train it by."""
        return self.model if self.wrapped is None else self.wrapped

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device
