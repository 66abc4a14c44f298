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

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device
