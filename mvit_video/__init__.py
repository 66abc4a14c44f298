"""Multiscale Vision Transformers for video: recognise, evaluate and train.

Names load what they need when they are first used, so that ``import mvit_video`` stays quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from mvit_video.version import __version__

if TYPE_CHECKING:
    from mvit_video.api import create_model, list_models, load_weights
    from mvit_video.inference.predictor import Predictor

__all__ = ["Predictor", "__version__", "create_model", "list_models", "load_weights"]

_HOMES = {
    "create_model": "mvit_video.api",
    "list_models": "mvit_video.api",
    "load_weights": "mvit_video.api",
    "Predictor": "mvit_video.inference.predictor",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'mvit_video' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
