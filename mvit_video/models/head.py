"""The classifier: dropout and one linear layer; gives logits in training and evaluation alike."""

from torch import Tensor, nn

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
        logits: Tensor = self.projection(self.dropout(x_BC))
        return logits
