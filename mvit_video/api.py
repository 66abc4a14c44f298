"""Models and weights joined, for users: the one place that knows which weights fit which model."""

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mvit_video import weights as weights_room
from mvit_video.models import ARCHITECTURES, MViT, architecture
from mvit_video.weights import ZOO, Inflation, LoadReport, MismatchError, WeightsError, ZooEntry, weights_fit

__all__ = ["create_model", "fitting_models", "list_models", "load_weights"]


def list_models(pretrained: bool = False) -> tuple[str, ...]:
    """Names that `create_model` takes: the architectures, or with `pretrained` the published weights."""
    return tuple(ZOO if pretrained else ARCHITECTURES)


def create_model(
    name: str,
    *,
    num_classes: int | None = None,
    weights: str | Path | Mapping[str, Tensor] | None = None,
    averaged: bool = False,
    **overrides: Any,
) -> MViT:
    """Build a model: a plain name with random weights, a dotted one with the published weights of that name.

    Args:
        name: An architecture (``mvitv2_s_16x4``) or the name of published weights (``mvitv2_s_16x4.k400``).
        num_classes: Number of classes; by default that of the published weights, else 400. With another
            number than the weights have, the classifier is drawn at random.
        weights: Weights to load instead: whatever `load_weights` takes.
        averaged: Of a checkpoint of ours take the averaged weights (EMA), rather than the last ones.
        **overrides: Fields of `mvit_video.models.Architecture` to change, such as ``crop_size=256``.

    Returns:
        The model on the CPU, in training mode. `mvit_video.weights.loaded_from` tells what was loaded.

    Raises:
        ArchitectureError: When there is no such architecture, or the overrides do not fit.
        WeightsError: When there are no such weights, or they cannot be fetched, read or fitted.
    """
    entry = _entry(name)
    classes = entry.num_classes if entry is not None and num_classes is None else num_classes
    if classes is not None:
        overrides["num_classes"] = classes
    model = MViT(architecture(name if entry is None else entry.architecture, **overrides))
    if weights is None and entry is None:
        return model
    load_weights(model, name if weights is None else weights, averaged=averaged)
    return model


def load_weights(
    model: nn.Module,
    source: str | Path | Mapping[str, Tensor],
    *,
    strict: bool = True,
    averaged: bool = False,
    inflation: Inflation | None = None,
) -> LoadReport:
    """Load weights into a model, in place; the error for weights of another model names that model.

    Args:
        model: A model of `create_model`.
        source: A file, an http(s) address, the name of published weights, or tensors by name; in the naming
            of SlowFast, torchvision, PyTorchVideo, mmaction2 or our own.
        strict: With False, what fits is loaded and the rest reported.
        averaged: Take the averaged weights (EMA) of a checkpoint of ours, rather than the last ones.
        inflation: The weights are an image model's: repeat its kernels over time, divided by their new length
            ("mean", as TRAIN.CHECKPOINT_INFLATE) or not ("repeat", as TRAIN.CHECKPOINT_IN_INIT).

    Returns:
        What was loaded, resized, re-initialised, missing and unexpected. Tables of positions are resized for
        another clip size; a classifier with another number of classes is drawn afresh (build the optimiser
        after this).

    Raises:
        WeightsError: When the weights cannot be found, fetched, read or fitted; the model is then unchanged.
    """
    try:
        return weights_room.load_weights(model, source, strict=strict, averaged=averaged, inflation=inflation)
    except MismatchError as error:
        names = fitting_models(error.shapes)
        if not names:
            raise
        listed = " or ".join(repr(name) for name in names)
        raise MismatchError(f"{error}; these weights fit {listed}", error.shapes) from None


def fitting_models(shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, ...]:
    """Architectures that weights of these shapes are for.

    Args:
        shapes: Parameter name (ours) -> shape.

    Returns:
        Those that fit exactly, whatever the number of classes; if there are none, those that fit once their
        tables of positions are resized; possibly none.
    """
    exact = tuple(name for name in ARCHITECTURES if weights_fit(_outline(name), shapes, resizing=False))
    return exact or tuple(
        name for name in ARCHITECTURES if weights_fit(_outline(name), shapes, resizing=True)
    )


@cache
def _outline(name: str) -> Mapping[str, Tensor]:
    """The parameters of an architecture without their values."""
    with torch.device("meta"):
        return MViT(ARCHITECTURES[name]).state_dict()


def _entry(name: str) -> ZooEntry | None:
    """The published weights of a dotted name; None for a plain one."""
    if name in ZOO:
        return ZOO[name]
    base, dot, _ = name.partition(".")
    if not dot:
        return None
    known = [other for other in ZOO if other.startswith(f"{base}.")]
    close = get_close_matches(name, ZOO, n=1) if not known else []
    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known or ZOO)}"
    raise WeightsError(f"no published weights are called {name!r}; {hint}")
