"""The classifier: dropout and one linear layer; gives logits in training and evaluation alike."""

import torch
from torch import Tensor, nn

from mvit_video.models.capturing import is_captured
from mvit_video.models.linear import Linear


class ClassifierHead(nn.Module):
    """(B, C) -> logits (B, num_classes). Softmax belongs to evaluation, not to the model.

    Source: SlowFast slowfast/models/head_helper.py, TransformerBasicHead (which applies softmax in eval
        mode).
    """

    def __init__(self, dim: int, num_classes: int, dropout_rate: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout_rate)
        self.projection = Linear(dim, num_classes)

    def forward(self, x_BC: Tensor) -> Tensor:
        """Features (B, C) -> logits (B, num_classes)."""
        x_BC = self.dropout(x_BC)
        if not (torch.is_grad_enabled() or is_captured()) and x_BC.device.type == "cpu" and len(x_BC) == 1:
            # One row alone is rounded otherwise than among others, on which an answer is not to depend.
            pair: Tensor = self.projection(x_BC.expand(2, -1))
            return pair[:1]
        logits: Tensor = self.projection(x_BC)
        return logits
