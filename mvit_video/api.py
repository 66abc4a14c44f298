"""Models and weights joined, for users."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mvit_video import weights as weights_room
from mvit_video.models import ARCHITECTURES, MViT, architecture
from mvit_video.weights import ZOO, LoadReport

__all__ = ["create_model", "list_models", "load_weights"]


def list_models(pretrained: bool = False) -> tuple[str, ...]:
    """Names that `create_model` takes: the architectures, or with `pretrained` the published weights."""
    return tuple(ZOO if pretrained else ARCHITECTURES)


def create_model(
    name: str,
    *,
    num_classes: int | None = None,
    weights: str | Path | Mapping[str, Tensor] | None = None,
    **overrides: Any,
) -> MViT:
    """Build a model."""
    entry = ZOO.get(name)
    classes = num_classes or (entry.num_classes if entry else None)
    if classes is not None:
        overrides["num_classes"] = classes
    model = MViT(architecture(entry.architecture if entry else name, **overrides))
    source = weights if weights is not None else (name if entry else None)
    if source is not None:
        load_weights(model, source)
    return model


def load_weights(
    model: nn.Module, source: str | Path | Mapping[str, Tensor], *, strict: bool = True
) -> LoadReport:
    """Load weights into a model, in place."""
    return weights_room.load_weights(model, source, strict=strict)
